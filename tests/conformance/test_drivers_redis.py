# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on Redis: in clear, over TLS, and through a Sentinel."""

import functools

import pytest

from osprofiler.drivers.redis_driver import Redis, RedisSentinel
from osprofiler.testing.drivers import Connect, DriverKit
from tests import servers


class TestRedis(DriverKit):
    @pytest.fixture
    def connect(self, redis: servers.Redis) -> Connect:
        return functools.partial(Redis, redis.fresh_url())


class TestRedisOverTLS(DriverKit):
    @pytest.fixture
    def connect(self, redis: servers.Redis) -> Connect:
        redis.ask("FLUSHDB")
        return functools.partial(Redis, redis.tls_url)


class TestRedisSentinel(DriverKit):
    @pytest.fixture
    def connect(self, redis_sentinel: servers.RedisSentinel) -> Connect:
        redis_sentinel.master.ask("FLUSHDB")
        return functools.partial(RedisSentinel, redis_sentinel.url)
