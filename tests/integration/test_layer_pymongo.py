# SPDX-License-Identifier: Apache-2.0
"""The layer of pymongo on a real server: what statements show, what is an error, and what else goes on meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pymongo
import pymongo.errors
import pymongo.monitoring
import pytest

from osprofiler import config, notifier, opentracing_compat, profiler
from osprofiler.context import current, scope
from osprofiler.delivery.masking.names import MASK
from osprofiler.delivery.masking.values import Masker
from osprofiler.drivers import base
from osprofiler.instrumentation import pymongo_commands, registry
from osprofiler.testing.recorder import KEY, Recording, recording
from tests import servers

_SECRET = "hUnTeR2"


@pytest.fixture
def client(ferretdb: servers.FerretDB) -> Iterator[Any]:
    """A client that was made before the layer was turned on."""
    made: Any = pymongo.MongoClient(ferretdb.url)
    made.admin.command("ping")
    registry.instrument("pymongo")
    yield made
    registry.uninstrument()
    made.close()


@pytest.fixture
def spans(client: Any) -> Iterator[Recording]:
    with recording() as recorded:
        yield recorded
        assert recorded.unfinished() == []


@pytest.fixture
def things(client: Any, ferretdb: servers.FerretDB) -> Any:
    """A collection with ten documents."""
    made = client[ferretdb.fresh_name()]["things"]
    with scope.entered(None):
        made.insert_many([{"_id": number, "value": _SECRET} for number in range(10)])
    return made


def told(spans: Recording) -> list[tuple[str, Any]]:
    """Operation and statement of each span, in the order of their ends."""
    return [(span.operation, span.tags["db.statement"]) for span in spans]


#: What is sent, and the command and parts of its statement: releases order fields in their own way, and add some.
COMMANDS: list[tuple[Callable[[Any], Any], str, tuple[str, ...]]] = [
    (lambda things: things.insert_one({"value": _SECRET}), "insert", ("documents: [{", "value: ?", "_id: ?")),
    (
        lambda things: things.insert_many([{"_id": number + 20, "a": {"b": [_SECRET]}} for number in range(3)]),
        "insert",
        ("documents: [{_id: ?, a: {b: [?]}}, ...(2 more)]",),
    ),
    (
        lambda things: list(things.find({"value": _SECRET, "n": {"$gt": 1, "$in": [1, 2, 3]}}).limit(2)),
        "find",
        ("filter: {value: ?, n: {$gt: ?, $in: [?, ...(2 more)]}}", "limit: ?"),
    ),
    (
        lambda things: things.update_many({"value": _SECRET}, {"$set": {"other": _SECRET}}),
        "update",
        ("updates: [{q: {value: ?}, u: {$set: {other: ?}}, ",),
    ),
    (lambda things: things.delete_one({"_id": 1}), "delete", ("deletes: [{q: {_id: ?}, limit: ?",)),
    (lambda things: things.distinct("value"), "distinct", ("key: ?",)),
]


@pytest.mark.parametrize(("send", "verb", "parts"), COMMANDS)
def test_a_statement_shows_fields_and_no_values(
    things: Any, spans: Recording, send: Callable[[Any], Any], verb: str, parts: tuple[str, ...]
) -> None:
    send(things)
    (span,) = spans
    assert span.operation == f"mongodb {verb}"
    statement = span.tags["db.statement"]
    assert statement.startswith(f"{verb} things {{")
    assert [part for part in parts if part not in statement] == [], statement
    assert "lsid" not in statement
    assert span.tags["db.instance"] == things.database.name
    assert _SECRET not in repr(spans)


def test_a_cursor_that_asks_for_more_is_a_span_each_time(things: Any, spans: Recording) -> None:
    assert len(list(things.find(batch_size=4))) == 10
    operations = [span.operation for span in spans]
    assert operations[0] == "mongodb find"
    assert set(operations[1:]) == {"mongodb getMore"}
    assert all(statement.split()[1] == "things" for _, statement in told(spans))


def test_a_command_without_a_collection(things: Any, spans: Recording) -> None:
    things.database.command("ping")
    assert told(spans) == [("mongodb ping", "ping")]


def test_documents_are_bounded() -> None:
    deep: dict[str, Any] = {}
    for _ in range(50):
        deep = {"d": deep}
    wide = {f"f{number}": number for number in range(100)}
    text = pymongo_commands.statement({"insert": "things", "documents": [deep], "wide": wide, "lsid": {"id": 1}})
    assert text == (
        "insert things {documents: [{d: {d: {d: {d: ?}}}}], wide: {"
        + ", ".join(f"f{number}: ?" for number in range(16))
        + ", ...(84 more)}}"
    )
    broad = {"f" * 200 + str(number): wide for number in range(50)}
    assert len(pymongo_commands.statement({"insert": "things", "documents": [broad]})) == 4096


def test_a_write_that_is_refused_is_an_error_of_its_command(things: Any, spans: Recording) -> None:
    with pytest.raises(pymongo.errors.DuplicateKeyError):
        things.insert_one({"_id": 1})
    with pytest.raises(pymongo.errors.BulkWriteError):
        things.insert_many([{"_id": 100}, {"_id": 1}])
    with pytest.raises(pymongo.errors.OperationFailure):
        things.database.command("nosuchcommand")
    assert [span.error for span in spans][2] == "CommandNotFound"
    assert all(span.error for span in spans)
    assert all(span.stop_info["message"] for span in spans)


def test_the_value_of_a_duplicate_is_masked() -> None:
    error = f'E11000 duplicate key error collection: db.users index: name_1 dup key: {{ name: "{_SECRET}" }}'
    assert Masker().text(error) == f"E11000 duplicate key error collection: db.users index: name_1 dup key: {MASK}"


def test_listeners_of_the_service_are_told_once_as_before(
    things: Any, spans: Recording, ferretdb: servers.FerretDB
) -> None:
    seen: list[str] = []

    class Own(pymongo.monitoring.CommandListener):
        def started(self, event: Any) -> None:
            seen.append(f"started {event.command_name}")

        def succeeded(self, event: Any) -> None:
            seen.append(f"succeeded {event.command_name}")

        def failed(self, event: Any) -> None:
            seen.append(f"failed {event.command_name}")

    with pymongo.MongoClient(ferretdb.url, event_listeners=[Own()]) as other:
        other.admin.command("ping")
        del seen[:], spans[:]
        collection: Any = other[things.database.name]["things"]
        collection.find_one()
        with pytest.raises(pymongo.errors.OperationFailure):
            other.admin.command("nosuchcommand")
        registry.uninstrument()
        collection.find_one()
    find = ["started find", "succeeded find"]
    assert seen[:6] == [*find, "started nosuchcommand", "failed nosuchcommand", *find]
    assert len(spans) == 2


def test_threads_do_not_mix_up_their_commands(things: Any, spans: Recording) -> None:
    here = current.point.get()

    def work(name: str) -> None:
        with scope.entered(here), profiler.Trace(name):
            for _ in range(20):
                things.database[name].find_one()

    threads = [threading.Thread(target=work, args=(f"thread{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        point = spans.one(f"thread{number}")
        own = [span for span in spans if span.parent_id == point.point_id and "find" in span.operation]
        assert [span.tags["db.statement"].split()[1] for span in own] == [f"thread{number}"] * 20


def test_tasks_of_asyncio_do_not_mix_up_their_commands(
    things: Any, spans: Recording, ferretdb: servers.FerretDB
) -> None:
    if not hasattr(pymongo, "AsyncMongoClient"):
        pytest.skip("this pymongo has no client for asyncio")

    async def task(connection: Any, name: str) -> None:
        with profiler.Trace(name):
            for _ in range(5):
                await connection[things.database.name][name].find_one()

    async def main() -> None:
        async with pymongo.AsyncMongoClient(ferretdb.url) as connection:
            await asyncio.gather(*(task(connection, f"task{number}") for number in range(4)))

    asyncio.run(main())
    for number in range(4):
        point = spans.one(f"task{number}")
        own = [span for span in spans if span.parent_id == point.point_id and "find" in span.operation]
        assert [span.tags["db.statement"].split()[1] for span in own] == [f"task{number}"] * 5


def test_a_command_whose_end_is_not_told_ends_with_the_next(things: Any, spans: Recording) -> None:
    """As of a task that is cancelled, with older releases."""
    listeners = pymongo.monitoring._EventListeners(None)
    listeners.publish_command_start({"find": "things"}, "db", 7, ("localhost", 1), None)
    assert things.find_one() is not None
    assert [span.error for span in spans] == ["Interrupted", None]
    assert [span.tags["peer.hostname"] for span in spans] == ["localhost", "127.0.0.1"]


def test_our_own_delivery_is_not_traced(things: Any, ferretdb: servers.FerretDB) -> None:
    """Of spans that are stored in MongoDB, no further spans are made."""
    config.publish(enabled=True)
    name = ferretdb.fresh_name()
    notifier.set(notifier.create(ferretdb.url, project="p", service="s", db_name=name))
    try:
        profiler.init(KEY)
        base_id = str(profiler.get().get_base_id())  # type: ignore[union-attr]
        with profiler.Trace("around"):
            things.find_one()
        assert opentracing_compat.flush(60)  # which writes what came of the delivery as well
        assert opentracing_compat.flush(60)
    finally:
        profiler.clean()
        notifier.set(notifier._noop_notifier)
    names = [record["name"] for record in base.get_driver(ferretdb.url, db_name=name).read(base_id)]
    assert sorted(names) == ["around-start", "around-stop", "mongodb-start", "mongodb-stop"]
