# SPDX-License-Identifier: Apache-2.0
"""A policy under a key of Redis."""

from __future__ import annotations

from osprofiler.config.policy_text import MAX_BYTES
from osprofiler.connection import strings
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import malformed, masked
from osprofiler.drivers import redis_client
from osprofiler.steering.unreadable import Unreadable

#: The key that has the policy, unless the address names another one.
DEFAULT_KEY = "osprofiler-policy"


class RedisSource:
    """``redis[s]://[[user]:password@]host[:6379][/db]``. Options after ``?``: ``policy`` (the key), and redis-py's.

    Raises ValueError, one line without secrets, if *address* is malformed, and CommandError without redis-py.
    """

    def __init__(self, address: str) -> None:
        self.shown = masked(address)
        self._address = address
        self._redis = redis_client.library()
        strings.split(address, 6379, "localhost")
        self._url, options = strings.take_options(address, ("policy",))
        self._key = options.get("policy") or DEFAULT_KEY
        try:
            self._redis.ConnectionPool.from_url(self._url).make_connection()  # does not connect
        except (ValueError, self._redis.RedisError) as fault:
            raise malformed(address, fault_line(fault, address)) from None
        except TypeError as fault:
            raise strings.unexpected(address, fault) from None

    def read(self, limit_s: float) -> bytes | None:
        """See :class:`osprofiler.steering.sources.Source`. *limit_s* bounds each wait, not the whole."""
        # A client for each read: it is rare, and no connection is shared with a forked child.
        client = self._redis.Redis.from_url(
            self._url,
            socket_connect_timeout=limit_s,
            socket_timeout=limit_s,
            retry=self._redis.retry.Retry(self._redis.backoff.NoBackoff(), 0),
        )
        try:
            with client:
                content: bytes = client.getrange(self._key, 0, MAX_BYTES)
                if not content and not client.exists(self._key):
                    raise Unreadable(f"there is no key {self._key}")
        except (OSError, self._redis.RedisError) as fault:
            raise Unreadable(fault_line(fault, self._address)) from None
        return content
