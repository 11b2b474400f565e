# SPDX-License-Identifier: Apache-2.0
"""MongoDB's protocol: expiry, the oldest client, values that BSON does not hold, and malformed strings."""

import dataclasses
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure

from osprofiler._runtime import guard
from osprofiler.drivers import mongodb_indexes, mongodb_search, search
from osprofiler.drivers.errors import StoreUnavailable
from osprofiler.drivers.mongodb import MongoDB
from osprofiler.testing.records import T0_US, TRACE, record, span, two_spans
from tests import servers
from tests.waiting import wait_until

PROGRAM = Path(__file__).parent / "programs" / "old_mongo.py"
REPOSITORY = Path(__file__).resolve().parents[2]


def test_an_old_client_and_expiry(mongo_java: servers.MongoJava, stock_python: Path) -> None:
    """The TTL index, which FerretDB does not have; with pymongo 4.6."""
    done = subprocess.run(
        [str(stock_python), str(PROGRAM), f"{mongo_java.url}/?ttl=7d"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    first = {"base_id": TRACE, "timestamp": "2026-11-18T11:06:40.000000"}
    assert told == {
        "pymongo": "4.6.3",
        "same": True,
        "listed": [first],
        "failed": [{**first, "timestamp": "2026-11-18T11:06:40.000005"}],
        "expiries": [7 * 86400],
        "dated": 2,
        "deleted": 2,
    }


def test_what_has_expired_is_gone(nx27017: servers.NX27017) -> None:
    """The index and the dates are right: the server removes each record at its time, and not before."""
    lasting = MongoDB(f"{nx27017.url}/?ttl=7d", db_name=nx27017.fresh_name())
    passing = MongoDB(f"{nx27017.url}/?ttl=1", db_name=nx27017.fresh_name())
    for driver in lasting, passing:
        driver.write(two_spans())
    wait_until(lambda: passing.read(TRACE) == [])
    assert passing.list_traces() == passing.list_error_traces() == []
    assert len(lasting.read(TRACE)) == 4


def test_an_index_that_is_there_by_another_name_costs_no_record(ferretdb: servers.FerretDB) -> None:
    driver = MongoDB(ferretdb.url, db_name=ferretdb.fresh_name())
    driver.db.profiler.create_index([("base_id", 1), ("timestamp", 1)], name="ours")
    driver.write(two_spans())
    assert len(driver.read(TRACE)) == 4


def test_a_large_collection_has_its_indexes_made_by_its_operator(
    ferretdb: servers.FerretDB, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A service would wait for them. It says once how to make them."""
    monkeypatch.setattr(mongodb_indexes, "_MOST_DOCUMENTS", 3)
    monkeypatch.setattr(guard, "_last_logged", {})
    driver = MongoDB(ferretdb.url, db_name=ferretdb.fresh_name())
    collection = driver.db.profiler
    collection.insert_many(two_spans())
    for number in range(2):
        driver.write(span(number + 3, 9))
    (line,) = (each.getMessage() for each in caplog.records)
    assert "osp:***@" in line
    assert 'db.profiler.createIndex({"base_id": 1, "timestamp": 1}); ' in line
    assert line.endswith('db.profiler.createIndex({"error": 1}, {"sparse": true})')
    assert driver.advice() == line[line.index("make its indexes") :]
    for index in mongodb_indexes._INDEXES:
        collection.create_index(**index)
    assert driver.advice() == ""
    caplog.clear()
    monkeypatch.setattr(guard, "_last_logged", {})
    driver.write(span(7, 9))
    assert caplog.records == []


def test_a_search_passes_a_page_of_one_time(ferretdb: servers.FerretDB, monkeypatch: pytest.MonkeyPatch) -> None:
    """More records than a page holds have the same time."""
    monkeypatch.setattr(mongodb_search, "_FIRST_PAGE", 2)
    monkeypatch.setattr(mongodb_search, "_MOST", 4)
    driver = MongoDB(ferretdb.url, db_name=ferretdb.fresh_name())
    driver.write([record(1, "start", 5, f"trace-{number}") for number in range(9)])
    driver.write(two_spans())
    found = [mark["base_id"] for mark in search.identified(driver, search.Wanted())]
    assert sorted(found) == sorted([TRACE, *(f"trace-{number}" for number in range(9))])
    assert found[-1] == TRACE


def test_a_trace_is_found_by_a_record_that_is_later_than_the_search(ferretdb: servers.FerretDB) -> None:
    driver = MongoDB(ferretdb.url, db_name=ferretdb.fresh_name())
    late = {**record(2, "start", 9, parent=1, etype="ValueError"), "service": "nova-compute"}
    driver.write([record(1, "start", 0), late, record(1, "start", 8, "later")])
    for wanted in search.Wanted(service="nova-compute"), search.Wanted(error=True):
        before = dataclasses.replace(wanted, until_us=T0_US + 5)
        assert [mark["base_id"] for mark in search.identified(driver, before)] == [TRACE]


def test_a_collection_that_was_dropped_has_its_indexes_again(nx27017: servers.NX27017) -> None:
    driver = MongoDB(f"{nx27017.url}/?ttl=7d", db_name=nx27017.fresh_name())
    driver.write(two_spans())
    there = driver.db.profiler.index_information()
    driver.db.profiler.drop()
    driver.write(two_spans())
    assert driver.db.profiler.index_information() == there


def test_another_expiry_than_the_index_has(nx27017: servers.NX27017, monkeypatch: pytest.MonkeyPatch) -> None:
    """NX-27017 takes the new index; MongoDB refuses it, and needs a command to change the index."""
    create_index, command, changed = Collection.create_index, Database.command, []

    def refuse(self: Any, keys: Any, **options: Any) -> str:
        if "expireAfterSeconds" in options:
            raise OperationFailure("An equivalent index already exists with the same name but different options", 85)
        return str(create_index(self, keys, **options))

    def keep(self: Any, asked: Any, *args: Any, **options: Any) -> Any:
        changed.append(asked)
        return command(self, asked, *args, **options)

    monkeypatch.setattr(Collection, "create_index", refuse)
    monkeypatch.setattr(Database, "command", keep)
    driver = MongoDB(f"{nx27017.url}/?ttl=3d", db_name=nx27017.fresh_name())
    driver.write(two_spans())
    assert {"keyPattern": {"stored_at": 1}, "expireAfterSeconds": 3 * 86400} in [each.get("index") for each in changed]
    assert len(driver.read(TRACE)) == 4


def test_a_purge_asks_for_many_traces_at_once(ferretdb: servers.FerretDB, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = MongoDB(ferretdb.url, db_name=ferretdb.fresh_name())
    driver.write([record(1, "start", number, f"trace-{number}") for number in range(60)])
    driver.notify_error_trace(record(1, "stop", 0, "trace-0"))
    asked: list[Any] = []
    delete_many = Collection.delete_many
    monkeypatch.setattr(Collection, "delete_many", lambda *args: asked.append(args) or delete_many(*args))
    assert driver.purge(T0_US + 50) == 50
    assert len(asked) == 2  # one for records, one for marks
    assert {trace["base_id"] for trace in driver.list_traces()} == {f"trace-{number}" for number in range(50, 60)}
    assert driver.list_error_traces() == []


@pytest.mark.parametrize("kind", ["ferretdb", "nx27017"])
def test_a_list_is_one_request(kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request, with any number of traces. Documents that are not records are not listed."""
    server: servers.FerretDB | servers.NX27017 = request.getfixturevalue(kind)
    driver = MongoDB(server.url, db_name=server.fresh_name())
    driver.write([each for number in range(20) for each in reversed(span(1, number, f"trace-{number:02}"))])
    driver.db.profiler.insert_one({"somebody": "else's"})
    asked: list[Any] = []
    find = Collection.find
    monkeypatch.setattr(Collection, "find", lambda *args: asked.append(args) or find(*args))
    listed = driver.list_traces({"base_id", "name"})
    assert listed == [{"base_id": f"trace-{number:02}", "name": "neutron-api-start"} for number in range(20)]
    assert len(asked) <= 1


def test_what_bson_does_not_hold_is_stored_as_text(ferretdb: servers.FerretDB) -> None:
    """Records of service code may have any values; no batch is lost."""
    driver = MongoDB(ferretdb.url, db_name=ferretdb.fresh_name())
    made = record(1, "start", 0, huge=2**70, lone="\ud800", path=Path("/etc"), pair=(1, 2), keys={1: {None: 2}})
    driver.write([made, record(2, "start", 1)])
    infos = {each["trace_id"]: each["info"] for each in driver.read(TRACE)}
    assert len(infos) == 2
    info = infos[made["trace_id"]]
    assert (info["huge"], info["lone"], info["path"]) == (str(2**70), "\\ud800", "/etc")
    assert (info["pair"], info["keys"]) == ([1, 2], {"1": {"None": 2}})


def test_what_is_plain_is_stored_as_it_is(ferretdb: servers.FerretDB) -> None:
    """Users who query the collection, and older versions, find the same fields."""
    driver = MongoDB(ferretdb.url, db_name=ferretdb.fresh_name(), project="p", service="s")
    driver.write(two_spans())
    stored = driver.db.profiler.find_one({"info.etype": "ValueError"}, {"_id": 0})
    assert stored == {**two_spans()[2], "project": "p", "service": "s", "error": True}


def test_over_tls(ferretdb: servers.FerretDB) -> None:
    name = ferretdb.fresh_name()
    MongoDB(ferretdb.tls_url, db_name=name).write(two_spans())
    assert len(MongoDB(ferretdb.tls_url, db_name=name).read(TRACE)) == 4
    assert len(MongoDB(ferretdb.url, db_name=name).read(TRACE)) == 4  # it is the same server


@pytest.mark.parametrize("unsure", ["", "&tlsCAFile={other}"])
def test_a_server_that_is_not_known_gets_no_record(
    ferretdb: servers.FerretDB, redis: servers.Redis, unsure: str
) -> None:
    """The account is not sent to a server whose certificate is not trusted."""
    place = ferretdb.tls_url.partition("&tlsCAFile")[0] + unsure.format(other=redis.certificate)
    name = ferretdb.fresh_name()
    with pytest.raises(StoreUnavailable, match=r"(?i)certificate"):
        MongoDB(f"{place}&serverSelectionTimeoutMS=500", db_name=name).write(two_spans())
    assert MongoDB(ferretdb.url, db_name=name).read(TRACE) == []


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://",
        "mongodb://osp:my-secret@",
        "mongodb://osp:my-secret@h:port",
        "mongodb://osp:my@secret@h",
        "mongodb://osp:my-secret@h/?ttl=0",
        "mongodb://osp:my-secret@h/?tls=perhaps",
    ],
)
def test_a_malformed_string_is_one_line_without_the_password(url: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        MongoDB(url)
    assert "secret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
