# SPDX-License-Identifier: Apache-2.0
"""The layer of redis-py on a real Redis: pipelines, messages, names of commands, and what is never shown."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as library
from oslo_config import cfg

from osprofiler import initializer, notifier, opentracing_compat, opts, profiler
from osprofiler.concurrency import isolation
from osprofiler.config import switches
from osprofiler.delivery.masking.values import Masker
from osprofiler.drivers import base
from osprofiler.instrumentation import redis_commands, registry
from osprofiler.testing.recorder import KEY, Recording, recording
from tests import servers

_PASSWORD = "of-redis"
_SECRET = "hUnTeR2"


@pytest.fixture
def client(redis: servers.Redis) -> Iterator[Any]:
    """A client that was made before the layer was turned on."""
    made = library.Redis.from_url(redis.fresh_url())
    made.ping()
    registry.instrument("redis")
    yield made
    registry.uninstrument()
    made.flushdb()
    made.close()


@pytest.fixture
def spans(client: Any) -> Iterator[Recording]:
    with recording() as recorded:
        yield recorded
        assert recorded.unfinished() == []


def told(spans: Recording) -> list[tuple[str, Any]]:
    """Operation and statement of each span, in the order of their ends."""
    return [(span.operation, span.tags.get("db.statement")) for span in spans]


def test_a_transaction_is_one_span_with_its_commands(client: Any, spans: Recording) -> None:
    with client.pipeline() as pipeline:
        assert pipeline.set("a", "v").incr("b").mset({"c": 1, "d": 2}).execute() == [True, 1, True]
    assert told(spans) == [("redis MULTI", "SET a ?; INCRBY b ?; MSET c ? d ?")]
    assert spans[0].tags["db.operation.batch.size"] == 3
    assert spans[0].tags["peer.port"] == client.connection_pool.connection_kwargs["port"]


def test_a_pipeline_is_one_span_and_an_empty_one_is_none(client: Any, spans: Recording) -> None:
    with client.pipeline(transaction=False) as pipeline:
        assert pipeline.execute() == []
        for number in range(40):
            pipeline.get(f"k{number}")
        pipeline.execute()
    ((operation, statement),) = told(spans)
    assert operation == "redis PIPELINE"
    assert statement.startswith("GET k0; GET k1; ")
    assert statement.endswith("; GET k31; ...(8 more)")


def test_what_is_sent_at_once_in_a_pipeline_is_a_span_of_its_own(client: Any, spans: Recording) -> None:
    with client.pipeline() as pipeline:
        pipeline.watch("a")
        pipeline.get("a")
        pipeline.multi()
        pipeline.set("a", "v")
        pipeline.execute()
    assert told(spans) == [("redis WATCH", "WATCH a"), ("redis GET", "GET a"), ("redis MULTI", "SET a ?")]


@pytest.mark.parametrize("raise_on_error", [True, False])
def test_a_command_that_is_refused_is_the_pipeline_s_error(client: Any, spans: Recording, raise_on_error: bool) -> None:
    client.set("a", "v")
    pipeline = client.pipeline(transaction=False).lpush("a", _SECRET).get("a")
    if raise_on_error:
        with pytest.raises(library.ResponseError):
            pipeline.execute()
    else:
        assert pipeline.execute(raise_on_error=False)[1] == b"v"
    assert spans[1].error == "redis.exceptions.ResponseError"


def test_the_library_s_text_of_that_error_is_masked(client: Any, spans: Recording) -> None:
    """It shows the command with its values, also in the points around."""
    client.set("a", "v")
    with pytest.raises(library.ResponseError) as raised:
        client.pipeline().lpush("a", f"{_SECRET} (and) {_SECRET}").execute()
    text = str(raised.value)
    assert _SECRET in text
    assert Masker().text(text) == text.replace(f"a {_SECRET} (and) {_SECRET}", "***")


def test_messages_are_spans_of_their_subscriber(client: Any, spans: Recording) -> None:
    taken: list[Any] = []

    def handle(message: Any) -> None:
        taken.append(message)
        client.set("handled", 1)

    with client.pubsub() as subscriber:
        subscriber.subscribe(plain=None, handled=handle)
        subscriber.psubscribe("pat*")
        for channel in ("plain", "handled", "pattern"):
            client.publish(channel, _SECRET)
        listening = subscriber.listen()
        kinds = [next(listening)["type"] for _ in range(5)]
    assert kinds == ["subscribe", "subscribe", "psubscribe", "message", "pmessage"]
    assert len(taken) == 1
    received = [span for span in spans if span.operation == "redis RECEIVE"]
    assert [span.tags["message_bus.destination"] for span in received] == ["plain", "handled", "pattern"]
    assert {span.tags["span.kind"] for span in received} == {"consumer"}
    assert spans[[span.operation for span in spans].index("redis SET")].parent_id == received[1].point_id
    assert told(spans)[:2] == [("redis SUBSCRIBE", told(spans)[0][1]), ("redis PSUBSCRIBE", "PSUBSCRIBE pat*")]
    assert set(told(spans)[0][1].split()) == {"SUBSCRIBE", "plain", "handled"}
    assert spans[2].tags["message_bus.destination"] == "plain"
    assert _SECRET not in repr(spans)


def test_a_poll_that_finds_no_message_is_no_span(client: Any, spans: Recording) -> None:
    with client.pubsub() as subscriber:
        subscriber.subscribe("plain")
        assert subscriber.get_message(timeout=30)["type"] == "subscribe"
        spans.clear()
        assert [subscriber.get_message() for _ in range(10)] == [None] * 10
    assert [span.operation for span in spans if span.operation != "redis UNSUBSCRIBE"] == []


def test_tasks_of_asyncio_do_not_mix_up_their_commands(client: Any, spans: Recording, redis: servers.Redis) -> None:
    async def task(connection: Any, name: str) -> None:
        with profiler.Trace(name):
            await connection.set(name, "v")
            await connection.blpop(f"{name}-list", timeout=0.05)
            async with connection.pipeline(transaction=False) as pipeline:
                await pipeline.get(name).get(name).execute()
            await connection.get(name)

    async def main() -> None:
        connection = library.asyncio.Redis.from_url(redis.url)
        await asyncio.gather(*(task(connection, f"task{number}") for number in range(8)))
        await getattr(connection, "aclose", connection.close)()

    asyncio.run(main())
    for number in range(8):
        name = f"task{number}"
        point = spans.one(name)
        own = [(span.operation, span.tags["db.statement"]) for span in spans if span.parent_id == point.point_id]
        assert own == [
            ("redis SET", f"SET {name} ?"),
            ("redis BLPOP", f"BLPOP {name}-list ?"),
            ("redis PIPELINE", f"GET {name}; GET {name}"),
            ("redis GET", f"GET {name}"),
        ]


def test_a_task_that_is_cancelled_ends_its_command(client: Any, spans: Recording, redis: servers.Redis) -> None:
    async def main() -> None:
        connection = library.asyncio.Redis.from_url(redis.url)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(connection.blpop("nothing"), 0.05)
        await getattr(connection, "aclose", connection.close)()

    asyncio.run(main())
    (span,) = spans
    assert (span.operation, span.error) == ("redis BLPOP", "asyncio.exceptions.CancelledError")


def test_a_pipeline_of_a_cluster_names_its_commands(spans: Recording, redis_cluster: servers.RedisCluster) -> None:
    with library.cluster.RedisCluster("127.0.0.1", redis_cluster.nodes[0].port, password=_PASSWORD) as cluster:
        spans.clear()
        pipeline = cluster.pipeline()
        pipeline.set("dropped", 1)
        pipeline.reset()
        assert pipeline.set("a", _SECRET).get("b").execute() == [True, None]
        assert pipeline.get("a").execute() == [_SECRET.encode()]

        async def main() -> None:
            async with library.asyncio.cluster.RedisCluster(
                "127.0.0.1", redis_cluster.nodes[0].port, password=_PASSWORD
            ) as connection:
                spans.clear()
                if not hasattr(connection, "pipeline"):
                    pytest.skip("clusters of this release have no pipelines for asyncio")
                assert await connection.pipeline().set("a", _SECRET).get("b").execute() == [True, None]

        assert told(spans) == [("redis PIPELINE", "SET a ?; GET b"), ("redis PIPELINE", "GET a")]
        asyncio.run(main())
    assert told(spans) == [("redis PIPELINE", "SET a ?; GET b")]


SENSITIVE: list[tuple[Callable[[Any], Any], str]] = [
    (lambda client: client.auth(_SECRET), "AUTH ?"),
    (lambda client: client.execute_command("auth", "user", _SECRET), "AUTH ? ?"),
    (lambda client: client.execute_command("HELLO", 3, "AUTH", "user", _SECRET), "HELLO ? ? ? ?"),
    (lambda client: client.config_set("masterauth", _SECRET), "CONFIG SET ? ?"),
    (lambda client: client.execute_command("CONFIG", "SET", "masteruser", _SECRET), "CONFIG SET ? ?"),
    (lambda client: client.execute_command(b"config set", b"masteruser", _SECRET), "CONFIG SET ? ?"),
    (lambda client: client.acl_setuser("someone", passwords=[f"+{_SECRET}"]), "ACL SETUSER ? ? ?"),
    (lambda client: client.migrate("127.0.0.1", 1, "k", 0, 5, auth=_SECRET), "MIGRATE ? ? ? ? ? ? ? ? ?"),
    (lambda client: client.eval(f"return '{_SECRET}'", 1, "k", _SECRET), "EVAL ? ? ? ?"),
    (lambda client: client.set("k", _SECRET, ex=10), "SET k ? ? ?"),
    (lambda client: client.hset("k2", _SECRET, _SECRET), "HSET k2 ? ?"),
    (lambda client: client.execute_command("no such name", _SECRET), "COMMAND ?"),
    (lambda client: client.execute_command("JSON.SET", "k", "$", _SECRET), "JSON.SET ? ? ?"),
]


@pytest.mark.parametrize(("send", "statement"), SENSITIVE)
def test_what_is_never_shown(client: Any, spans: Recording, send: Callable[[Any], Any], statement: str) -> None:
    answer = ""
    try:
        send(client)
    except library.RedisError as refused:
        answer = str(refused)
    (span,) = spans
    assert span.tags["db.statement"] == statement
    assert _SECRET not in repr((span.operation, span.tags, span.info))
    assert _SECRET not in Masker().text(answer), "the server's text, which the reporter masks"


def test_the_keys_of_commands_are_where_the_server_says(client: Any) -> None:
    described = client.execute_command("COMMAND")
    for (first, last, step), names in redis_commands.KEYS.items():
        for name in names.split():
            assert name.lower() in described, name
            about = described[name.lower()]
            assert (about["first_key_pos"], about["last_key_pos"], about["step_count"]) == (first, last, step), name


def test_more_arguments_than_are_shown(client: Any, spans: Recording) -> None:
    client.mget([f"k{number}" for number in range(20)])
    assert told(spans)[0][1] == f"MGET {' '.join(f'k{number}' for number in range(16))} ...(4 more)"


def test_the_switch_of_a_running_service(redis: servers.Redis, tmp_path: Path) -> None:
    """It is turned on, off and on again by mutate; its client is older than all of that."""
    client: Any = library.Redis.from_url(redis.fresh_url())
    client.ping()
    path, conf, store = tmp_path / "service.conf", cfg.ConfigOpts(), f"sqlite:///{tmp_path / 'traces.db'}"
    opts.register(conf)

    def write(on: bool) -> None:
        path.write_text(f"[profiler]\nenabled = true\nconnection_string = {store}\ntrace_redis = {on}\n")

    def traced() -> list[str]:
        """The names of the points of a request that sends one command."""
        profiler.init(KEY)
        base_id = str(profiler.get().get_base_id())  # type: ignore[union-attr]
        with profiler.Trace("request"):
            client.get("a")
        profiler.clean()
        assert opentracing_compat.flush(60)
        return sorted(record["name"] for record in base.get_driver(store).read(base_id))

    request = ["request-start", "request-stop"]
    original = library.Redis.execute_command
    write(False)
    conf(["--config-file", str(path)])
    try:
        initializer.init_from_conf(conf, None, "p", "s", "h")
        assert traced() == request
        for on, command in ((True, ["redis-start", "redis-stop"]), (False, []), (True, ["redis-start", "redis-stop"])):
            write(on)
            conf.mutate_config_files()
            assert traced() == sorted([*command, *request])
            assert (library.Redis.execute_command is original) is not on
    finally:
        registry.uninstrument()
        isolation.uninstall()
        switches.reset()
        notifier.set(notifier._noop_notifier)


def test_our_own_delivery_is_not_traced(client: Any, redis: servers.Redis) -> None:
    """Of spans that are stored in Redis, no further spans are made."""
    store = redis.fresh_url()
    notifier.set(notifier.create(store, project="p", service="s"))
    try:
        profiler.init(KEY)
        base_id = str(profiler.get().get_base_id())  # type: ignore[union-attr]
        with profiler.Trace("around"):
            client.set("a", "v")
        assert opentracing_compat.flush(60)  # which writes what came of the delivery as well
        assert opentracing_compat.flush(60)
    finally:
        profiler.clean()
        notifier.set(notifier._noop_notifier)
    names = [record["name"] for record in base.get_driver(store).read(base_id)]
    assert sorted(names) == ["around-start", "around-stop", "redis-start", "redis-stop"]
    with library.Redis.from_url(store) as kept:
        assert kept.keys("osprofiler_opt:*") == [f"osprofiler_opt:{base_id}".encode()]
