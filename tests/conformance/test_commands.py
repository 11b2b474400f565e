# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on every library that sends commands, and on instrumentation that is wrong on purpose."""

import asyncio
from collections.abc import Awaitable, Iterator
from typing import Any, ClassVar

import pymemcache
import pymongo
import pymongo.monitoring
import pytest
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel
from pymemcache.client.hash import HashClient

from osprofiler import profiler
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current, scope
from osprofiler.handlers import command
from osprofiler.handlers.call import Closing
from osprofiler.instrumentation import registry
from osprofiler.testing.commands import CommandClient, CommandKit
from tests import servers
from tests.conformance.kit_runs import failed
from tests.servers.door import Door

_PASSWORD = "of-redis"


class Layer:
    """A layer of ours, by its name."""

    library: ClassVar[str]
    knows_peer: bool = True

    def instrument(self) -> None:
        registry.instrument(self.library)

    def uninstrument(self) -> None:
        registry.uninstrument(self.library)


# Redis


class Redis(Layer):
    """redis-py with one server."""

    library = system = "redis"
    operations = ("redis SET", "redis GET")
    classes: ClassVar[tuple[type, ...]] = (redis.Redis, redis.client.Pipeline, redis.client.PubSub)
    methods = ("execute_command", "immediate_execute_command", "execute", "handle_message")

    def __init__(self, port: int) -> None:
        self.redis = self.connected(port)

    def connected(self, port: int) -> Any:
        return redis.Redis(port=port, password=_PASSWORD)

    def original(self) -> Any:
        return [vars(cls)[name] for cls in self.classes for name in self.methods if name in vars(cls)]

    def write(self, place: str, value: str) -> None:
        self.redis.set(place, value)

    def read(self, place: str) -> Any:
        return self.redis.get(place)

    def refused(self, place: str, value: str) -> None:
        self.redis.lpush(place, value)

    def unanswered(self, place: str) -> None:
        door = Door(self.redis.connection_pool.connection_kwargs["port"])
        client = self.connected(door.port)
        client.ping()
        door.close()
        client.get(place)

    def close(self) -> None:
        self.redis.close()


class AsyncRedis(Redis):
    """Its clients for asyncio."""

    classes = (redis.asyncio.Redis, redis.asyncio.client.Pipeline, redis.asyncio.client.PubSub)

    def __init__(self, port: int) -> None:
        self.loop = asyncio.new_event_loop()
        super().__init__(port)

    def run(self, awaitable: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(awaitable)

    def connected(self, port: int) -> Any:
        return redis.asyncio.Redis(port=port, password=_PASSWORD)

    def write(self, place: str, value: str) -> None:
        self.run(self.redis.set(place, value))

    def read(self, place: str) -> Any:
        return self.run(self.redis.get(place))

    def refused(self, place: str, value: str) -> None:
        self.run(self.redis.lpush(place, value))

    def unanswered(self, place: str) -> None:
        door = Door(self.redis.connection_pool.connection_kwargs["port"])
        client = self.connected(door.port)
        self.run(client.ping())
        door.close()
        self.run(client.get(place))

    def close(self) -> None:
        self.run(getattr(self.redis, "aclose", self.redis.close)())  # of redis before 5.0.1
        self.loop.close()


class Cluster(Redis):
    """A cluster: which node a command goes to is found while it is sent."""

    knows_peer = False
    classes = (redis.cluster.RedisCluster, redis.cluster.ClusterPipeline, redis.cluster.ClusterPubSub)

    def connected(self, port: int) -> Any:
        return redis.cluster.RedisCluster("127.0.0.1", port, password=_PASSWORD)

    def unanswered(self, place: str) -> None:
        self.redis.execute_command("GET", place, target_nodes=redis.cluster.ClusterNode("127.0.0.1", 1))


class AsyncCluster(AsyncRedis):
    """The same for asyncio."""

    knows_peer = False
    classes = (redis.asyncio.cluster.RedisCluster,)

    def connected(self, port: int) -> Any:
        return redis.asyncio.cluster.RedisCluster("127.0.0.1", port, password=_PASSWORD)

    def unanswered(self, place: str) -> None:
        nowhere = redis.asyncio.cluster.ClusterNode("127.0.0.1", 1)
        self.run(self.redis.execute_command("GET", place, target_nodes=nowhere))


class Sentinel(Redis):
    """A master that Sentinels name."""

    def connected(self, port: int) -> Any:
        sentinel = redis.sentinel.Sentinel([("127.0.0.1", port)])
        return sentinel.master_for("mymaster", password=_PASSWORD)

    def unanswered(self, place: str) -> None:
        self.connected(1).get(place)


class AsyncSentinel(AsyncRedis):
    """The same for asyncio."""

    def connected(self, port: int) -> Any:
        sentinel = redis.asyncio.sentinel.Sentinel([("127.0.0.1", port)])
        return sentinel.master_for("mymaster", password=_PASSWORD)

    def unanswered(self, place: str) -> None:
        self.run(self.connected(1).get(place))


def _closing(client: Any) -> Iterator[CommandClient]:
    yield client
    client.close()


class TestRedis(CommandKit):
    @pytest.fixture(params=[Redis, AsyncRedis])
    def client(self, redis: servers.Redis, request: pytest.FixtureRequest) -> Iterator[CommandClient]:
        yield from _closing(request.param(redis.port))


class TestRedisCluster(CommandKit):
    @pytest.fixture(params=[Cluster, AsyncCluster])
    def client(self, redis_cluster: servers.RedisCluster, request: pytest.FixtureRequest) -> Iterator[CommandClient]:
        yield from _closing(request.param(redis_cluster.nodes[0].port))


class TestRedisSentinel(CommandKit):
    @pytest.fixture(params=[Sentinel, AsyncSentinel])
    def client(self, redis_sentinel: servers.RedisSentinel, request: pytest.FixtureRequest) -> Iterator[CommandClient]:
        yield from _closing(request.param(redis_sentinel.port))


# memcached


class Pymemcache(Layer):
    """pymemcache with one server."""

    library = "pymemcache"
    system = "memcached"
    operations = ("memcached set", "memcached get")
    methods = ("set", "get", "get_many", "get_multi", "cas", "delete", "incr", "stats")

    def __init__(self, port: int) -> None:
        self.memcached = self.connected(port)

    def connected(self, port: int) -> Any:
        return pymemcache.Client(("127.0.0.1", port), default_noreply=False)

    def original(self) -> Any:
        return [vars(pymemcache.Client)[name] for name in self.methods]

    def write(self, place: str, value: str) -> None:
        self.memcached.set(place, value)

    def read(self, place: str) -> Any:
        return self.memcached.get(place)

    def refused(self, place: str, value: str) -> None:
        self.memcached.set(place, value * (2**21 // len(value)))  # the limit is 1 MiB

    def unanswered(self, place: str) -> None:
        door = Door(self.port())
        client = self.connected(door.port)
        client.version()
        door.close()
        client.get(place)

    def port(self) -> int:
        return int(self.memcached.server[1])

    def close(self) -> None:
        self.memcached.close()


class PooledPymemcache(Pymemcache):
    """Its pool of connections."""

    def connected(self, port: int) -> Any:
        return pymemcache.PooledClient(("127.0.0.1", port), default_noreply=False)

    def unanswered(self, place: str) -> None:
        door = Door(self.port())
        client = self.connected(door.port)
        client.get(place)
        door.close()
        client.get(place)


class HashingPymemcache(Pymemcache):
    """Its client for many servers."""

    def connected(self, port: int) -> Any:
        self.number = port
        return HashClient([("127.0.0.1", port)], default_noreply=False)

    def port(self) -> int:
        return self.number

    def close(self) -> None:
        self.memcached.disconnect_all()  # it has close() only from 4.0 on

    def unanswered(self, place: str) -> None:
        self.connected(1).get(place)


class TestMemcached(CommandKit):
    @pytest.fixture(params=[Pymemcache, PooledPymemcache, HashingPymemcache])
    def client(self, memcached: servers.Memcached, request: pytest.FixtureRequest) -> Iterator[CommandClient]:
        yield from _closing(request.param(memcached.port))


# MongoDB


class MongoDB(Layer):
    """pymongo, with a client that was made before the layer was turned on."""

    library = "pymongo"
    system = "mongodb"
    operations = ("mongodb update", "mongodb find")
    names = (
        "enabled_for_commands",
        "publish_command_start",
        "publish_command_success",
        "publish_command_failure",
    )

    def __init__(self, server: servers.FerretDB) -> None:
        self.server = server
        self.client = self.connected(server.port)
        self.db = self.client[server.fresh_name()]

    def connected(self, port: int) -> Any:
        return pymongo.MongoClient(self.url(port), serverSelectionTimeoutMS=500)

    def url(self, port: int) -> str:
        return self.server.url.replace(f":{self.server.port}", f":{port}")

    def original(self) -> Any:
        return [vars(pymongo.monitoring._EventListeners)[name] for name in self.names]

    def run(self, result: Any) -> Any:
        return result

    def write(self, place: str, value: str) -> None:
        self.run(self.db[place].replace_one({"_id": 1}, {"value": value}, upsert=True))

    def read(self, place: str) -> Any:
        return self.run(self.db[place].find_one({"_id": 1}))

    def refused(self, place: str, value: str) -> None:
        self.run(self.db[place].insert_one({"_id": 1, "value": value}))

    def unanswered(self, place: str) -> None:
        door = Door(self.server.port)
        client = self.connected(door.port)
        with scope.entered(None):
            self.run(client.admin.command("ping"))
        door.close()
        try:
            self.run(client[self.db.name][place].find_one())
        finally:
            self.run(client.close())

    def close(self) -> None:
        self.run(self.client.close())


class AsyncMongoDB(MongoDB):
    """Its client for asyncio."""

    def __init__(self, server: servers.FerretDB) -> None:
        self.loop = asyncio.new_event_loop()
        super().__init__(server)

    def connected(self, port: int) -> Any:
        return pymongo.AsyncMongoClient(self.url(port), serverSelectionTimeoutMS=500)

    def run(self, result: Any) -> Any:
        return self.loop.run_until_complete(result)

    def close(self) -> None:
        super().close()
        self.loop.close()


class TestMongoDB(CommandKit):
    @pytest.fixture(params=[MongoDB, AsyncMongoDB])
    def client(self, ferretdb: servers.FerretDB, request: pytest.FixtureRequest) -> Iterator[CommandClient]:
        if request.param is AsyncMongoDB and not hasattr(pymongo, "AsyncMongoClient"):
            pytest.skip("this pymongo has no client for asyncio")
        yield from _closing(request.param(ferretdb))


# What is wrong on purpose


class StoreError(Exception):
    """What the store below refuses; of a module that is not ours."""


StoreError.__module__ = "store"


class Store:
    """A store in memory that answers commands."""

    values: ClassVar[dict[str, str]] = {}

    def send(self, verb: str, place: str, *values: str) -> Any:
        if verb not in ("SET", "GET"):
            raise StoreError(f"no {verb}")
        return self.values.__setitem__(place, *values) if values else self.values.get(place)


_SEND = Store.send


def _send(original: Method) -> Method:
    def send(self: Any, verb: str, place: str, *values: str) -> Any:
        here = current.sampled()
        if here is None:
            return original(self, verb, place, *values)
        shown = place if Memory.shows_places() else "?"
        described = command.Command("store", verb, "tests", f"{verb} {shown}", "0", "localhost", 1)
        with Closing(command.open_point(here, described)):
            return original(self, verb, place, *values)

    return send


class Memory:
    """That store with right instrumentation."""

    system = "store"
    operations = ("store SET", "store GET")
    knows_peer = True
    wrapping = Wrapping(Target(__name__, "Store", "send", _send))

    @staticmethod
    def shows_places() -> bool:
        from osprofiler import config

        return config.current().trace_arguments == "full"

    def instrument(self) -> None:
        self.wrapping.install()

    def uninstrument(self) -> None:
        self.wrapping.uninstall()

    def original(self) -> Any:
        return Store.send

    def write(self, place: str, value: str) -> None:
        Store().send("SET", place, value)

    def read(self, place: str) -> Any:
        return Store().send("GET", place)

    def refused(self, place: str, value: str) -> None:
        Store().send("PUSH", place, value)

    def unanswered(self, place: str) -> None:
        Store().send("WAIT", place)


class Untraced(Memory):
    def instrument(self) -> None:
        pass


class Careless(Memory):
    """Shows everything, calls nothing an error, leaves its point open, and is never turned off."""

    def instrument(self) -> None:
        Store.send = self.send  # type: ignore[method-assign]

    def uninstrument(self) -> None:
        pass

    @staticmethod
    def send(verb: str, place: str, *values: str) -> Any:
        profiler.init("key")
        profiler.start("store", info={"sent": [verb, place, *values]})
        try:
            return _SEND(Store(), verb, place, *values)
        except StoreError:
            pass


class Wordy(Memory):
    """The place is in the operation, and there is no statement."""

    wrapping = Wrapping(Target(__name__, "Store", "send", lambda original: Wordy.wrapped(original)))

    @staticmethod
    def wrapped(original: Method) -> Method:
        def send(self: Any, verb: str, place: str, *values: str) -> Any:
            with profiler.Trace(f"store {verb} {place}"):
                return original(self, verb, place, *values)

        return send


WRONG: list[tuple[type[Memory], str]] = [
    (Untraced, "test_a_command_is_one_client_span"),
    (Wordy, "test_the_operation_is_the_command_s_name"),
    (Wordy, "test_the_statement_has_the_place_and_no_value"),
    (Wordy, "test_where_arguments_are_not_kept_no_place_is"),
    (Careless, "test_a_long_place_is_cut"),
    (Untraced, "test_a_command_that_is_refused_is_an_error"),
    (Careless, "test_a_command_that_is_not_answered_is_an_error"),
]


@pytest.mark.parametrize(("wrong", "caught_by"), WRONG)
def test_the_kit_finds_what_is_wrong(wrong: type[Memory], caught_by: str, pytester: pytest.Pytester) -> None:
    try:
        assert failed(pytester, CommandKit, "client", f"{__name__}:{wrong.__name__}()", caught_by)
    finally:
        wrong.wrapping.uninstall()
        Store.send = _SEND  # type: ignore[method-assign]


def test_the_kit_passes_what_is_right(pytester: pytest.Pytester) -> None:
    assert failed(pytester, CommandKit, "client", f"{__name__}:Memory()") == 0


def test_every_test_of_the_kit_has_wrong_instrumentation() -> None:
    assert {name for name in vars(CommandKit) if name.startswith("test_")} == {name for _, name in WRONG}
