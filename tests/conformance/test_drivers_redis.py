# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on Redis: in clear, over TLS, in a cluster, and through a Sentinel."""

import functools
import re
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from osprofiler.drivers.base import Driver
from osprofiler.drivers.redis_driver import Redis, RedisSentinel
from osprofiler.testing.drivers import WRONG_PASSWORD, Connect, OwnServer, Plant, Refuse, ServerKit
from osprofiler.testing.records import OTHER, TRACE, no_records, record, two_spans
from tests import servers
from tests.conftest import own

_RIGHT = ":of-redis@"
_WRONG = f":{WRONG_PASSWORD}@"


class GarbageKit(ServerKit):
    """The kit for a Redis that has garbage."""

    driver_class: ClassVar[type[Driver]] = Redis
    refuses: ClassVar[bool] = True
    takes_garbage: ClassVar[bool] = True

    @pytest.fixture
    def plant(self, driver: Redis) -> Plant:
        def planted() -> int:
            key, texts = Redis.namespace_opt + TRACE, [*no_records(), b"\xff"]
            # At the end with the first records, because a list reads some of them.
            count = driver.db.rpush(key, *texts) - len(two_spans())
            driver.db.set(f"{Redis.namespace_opt}text", "x")
            driver.db.rpush(f"{Redis.namespace}list", "x")
            driver.db.set(f"{Redis.namespace}old", "{")
            driver.db.rpush(f"{Redis.namespace_error}list", "x")
            driver.db.set(f"{Redis.namespace_error}mark", '{"base_id": 5}')
            return int(count) + 5

        return planted

    @pytest.fixture
    def refuse(self, driver: Redis) -> Refuse:
        """The key of the last record's trace has a text as its value."""

        def refused() -> list[dict[str, Any]]:
            driver._client.ready().set(f"{Redis.namespace_opt}{OTHER}", "x")
            return [*two_spans(), record(9, "start", 1, OTHER)]

        return refused


class RedisKit(GarbageKit):
    """The common part for both ports of a Redis."""

    expires: ClassVar[bool] = True

    @classmethod
    def url(cls, server: servers.Redis) -> str:
        """The connection string."""
        raise NotImplementedError

    @pytest.fixture
    def empty(self, redis: servers.Redis) -> servers.Redis:
        redis.ask("FLUSHDB")
        return redis

    @pytest.fixture
    def connect(self, empty: servers.Redis) -> Connect:
        return functools.partial(Redis, self.url(empty))

    @pytest.fixture
    def forgetful(self, empty: servers.Redis) -> Connect:
        url = self.url(empty)
        return functools.partial(Redis, f"{url}{'&' if '?' in url else '?'}ttl=2")

    @pytest.fixture
    def own_server(self) -> Iterator[OwnServer]:
        with own(servers.Redis) as server:
            yield OwnServer(functools.partial(Redis, self.url(server)), server.stop, server.start)

    @pytest.fixture
    def denied(self, redis: servers.Redis) -> Driver:
        return Redis(self.url(redis).replace(_RIGHT, _WRONG))

    @pytest.fixture
    def absent(self, redis: servers.Redis) -> Driver:
        wrong = self.url(redis).replace(_RIGHT, _WRONG)
        return Redis(re.sub(r":\d+/", f":{servers.free_port()}/", wrong))


class TestRedis(RedisKit):
    title: ClassVar[str] = "Redis"

    @classmethod
    def url(cls, server: servers.Redis) -> str:
        return server.url


class TestRedisOverTLS(RedisKit):
    title: ClassVar[str] = "Redis over TLS"

    @classmethod
    def url(cls, server: servers.Redis) -> str:
        return server.tls_url


class TestRedisCluster(GarbageKit):
    title: ClassVar[str] = "Redis in a cluster"
    expires: ClassVar[bool] = True

    @pytest.fixture
    def connect(self, redis_cluster: servers.RedisCluster) -> Connect:
        redis_cluster.flush()
        return functools.partial(Redis, redis_cluster.url)

    @pytest.fixture
    def forgetful(self, redis_cluster: servers.RedisCluster) -> Connect:
        redis_cluster.flush()
        return functools.partial(Redis, f"{redis_cluster.url}?ttl=2")

    @pytest.fixture
    def own_server(self) -> Iterator[OwnServer]:
        with own(servers.RedisCluster) as server:
            yield OwnServer(functools.partial(Redis, server.url), server.stop, server.start)

    @pytest.fixture
    def denied(self, redis_cluster: servers.RedisCluster) -> Driver:
        return Redis(redis_cluster.url.replace(_RIGHT, _WRONG))

    @pytest.fixture
    def absent(self, redis_cluster: servers.RedisCluster) -> Driver:
        wrong = redis_cluster.url.replace(_RIGHT, _WRONG)
        return Redis(re.sub(r":\d+/", f":{servers.free_port()}/", wrong))


class TestRedisSentinel(GarbageKit):
    title: ClassVar[str] = "Redis behind Sentinel"
    expires: ClassVar[bool] = True

    @pytest.fixture
    def connect(self, redis_sentinel: servers.RedisSentinel) -> Connect:
        redis_sentinel.master.ask("FLUSHDB")
        return functools.partial(RedisSentinel, redis_sentinel.url)

    @pytest.fixture
    def forgetful(self, redis_sentinel: servers.RedisSentinel) -> Connect:
        redis_sentinel.master.ask("FLUSHDB")
        return functools.partial(RedisSentinel, f"{redis_sentinel.url}?ttl=2")

    @pytest.fixture
    def own_server(self) -> Iterator[OwnServer]:
        """Both databases and the Sentinel stop: with one database left, the store would still work."""
        with own(servers.RedisSentinel) as server:

            def stop() -> None:
                for each in server, server.replica, server.master:
                    servers.Server.stop(each)

            yield OwnServer(functools.partial(RedisSentinel, server.url), stop, server.start)

    @pytest.fixture
    def denied(self, redis_sentinel: servers.RedisSentinel) -> Driver:
        return RedisSentinel(redis_sentinel.url.replace(_RIGHT, _WRONG))

    @pytest.fixture
    def absent(self) -> Driver:
        return RedisSentinel(f"redissentinel://{_WRONG}127.0.0.1:{servers.free_port()}/0")
