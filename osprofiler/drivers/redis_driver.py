# SPDX-License-Identifier: Apache-2.0
"""The drivers of Redis: of a single server, of a cluster, and of a server that Sentinel monitors.

As in osprofiler 4.4.0 a trace is a list of JSON records under the key ``osprofiler_opt:<base_id>``. A trace with an
error also has a key ``osprofiler_error:<base_id>``. Each version reads the other's traces. Records of versions before
2.3, one under each key ``osprofiler:<base_id>...``, are read too. The keys are the same in a cluster. So the two keys
of a trace may be in two slots, and an operation on both is not a transaction.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from oslo_config import cfg

from osprofiler.connection import options, strings
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import malformed, masked
from osprofiler.drivers import base, errors, network, redis_client
from osprofiler.drivers.abilities import DELETABLE_RECORDS
from osprofiler.drivers.redis_sentinels import Sentinels
from osprofiler.records import unreadable
from osprofiler.records.error_kind import error_kind
from osprofiler.records.record import loads, loads_mark

#: A list shows the earliest of so many records that arrived first. The first to arrive need not be the earliest: each
#: service delivers at its own times.
_FIRST = 10

_OPTIONS = options.names("redis")


class Redis(base.Driver):
    """``redis://[[user]:password@][localhost][:6379][/db]``; ``rediss://`` with TLS. A node of a cluster works too.

    A batch is one transaction; in a cluster it is one round trip to each shard. Options after ``?``: ``ttl`` (the
    server removes a trace so long after its last record: ``7d``), ``cluster`` (yes or no: whether the server is a node
    of a cluster; by default it is asked), and those of redis-py, such as ``ssl_ca_certs``.
    """

    can = DELETABLE_RECORDS

    namespace_opt = "osprofiler_opt:"
    namespace = "osprofiler:"  # before 2.3
    namespace_error = "osprofiler_error:"

    def __init__(
        self,
        connection_str: str,
        project: str | None = None,
        service: str | None = None,
        host: str | None = None,
        conf: cfg.ConfigOpts = cfg.CONF,
        **kwargs: Any,
    ) -> None:
        super().__init__(connection_str, project=project, service=service, host=host, conf=conf, **kwargs)
        self.check(connection_str)
        self.conf = conf
        self._url, values = strings.take_options(connection_str, _OPTIONS)
        self._ttl_s = strings.seconds(values, "ttl")
        cluster = strings.switch(values, "cluster") if "cluster" in values else None
        self._client = redis_client.Client(self._connect, cluster)

    @classmethod
    def get_name(cls) -> str:
        return "redis"

    @classmethod
    def check(cls, connection_string: str) -> None:
        strings.split(connection_string, 6379, "localhost")
        url, values = strings.take_options(connection_string, _OPTIONS)
        strings.seconds(values, "ttl")
        strings.switch(values, "cluster")
        try:
            redis_client.library().ConnectionPool.from_url(url).make_connection()  # does not connect
        except (ValueError, redis_client.library().RedisError) as fault:
            raise malformed(connection_string, fault_line(fault, connection_string)) from None
        except TypeError as fault:
            raise strings.unexpected(connection_string, fault) from None

    @property
    def db(self) -> Any:
        """This process's client, a ``redis.Redis`` or ``redis.RedisCluster``. A subclass may set another one."""
        return self._client.get()

    @db.setter
    def db(self, client: Any) -> None:
        self._client = redis_client.Client.of(client)

    def _connect(self, cluster: bool) -> Any:
        kind = redis_client.library().RedisCluster if cluster else redis_client.library().Redis
        # health_check_interval: notice that the server was restarted before a batch fails.
        return kind.from_url(self._url, health_check_interval=30, **redis_client.TIMEOUTS)

    # Writing

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        if not records:
            return
        with errors.writing(self.connection_str, redis_client.error_kind):
            self._store(records)

    def _store(self, records: Sequence[dict[str, Any]]) -> None:
        texts: dict[str, list[str]] = {}
        failed: dict[str, dict[str, Any]] = {}
        for record in sorted(map(self.labelled, records), key=lambda record: str(record.get("timestamp"))):
            base_id = str(record["base_id"])
            texts.setdefault(base_id, []).append(json.dumps(record, default=str, skipkeys=True))
            if error_kind(record.get("info")):
                failed.setdefault(base_id, {"base_id": base_id, "timestamp": record["timestamp"]})
        pipeline = self._client.pipeline()
        for base_id, values in texts.items():
            pipeline.lpush(self.namespace_opt + base_id, *values)
            self._expire(pipeline, self.namespace_opt + base_id)
        # Also without filter_error_trace: else a list of failed traces would have to read all traces.
        for base_id, mark in failed.items():
            pipeline.set(self.namespace_error + base_id, json.dumps(mark))
            self._expire(pipeline, self.namespace_error + base_id)
        pipeline.execute()

    def _expire(self, pipeline: Any, key: str) -> None:
        if self._ttl_s is not None:
            pipeline.expire(key, self._ttl_s)

    def notify_error_trace(self, data: dict[str, Any]) -> None:
        """Add the key that marks the trace of the record *data* as failed."""
        mark = {"base_id": data["base_id"], "timestamp": data["timestamp"]}
        self._client.ready().set(self.namespace_error + data["base_id"], json.dumps(mark), ex=self._ttl_s)

    # Reading

    def read(self, base_id: str) -> list[dict[str, Any]]:
        with self._reading():
            records = list(self._records(self.namespace_opt + base_id, self._list(self.namespace_opt + base_id)))
            return records or [record for _, record in self._old_records(base_id)]

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        with self._reading():
            heads: list[dict[str, Any]] = []
            for key, values in self._lists():
                base_ids = [_text(key).removeprefix(self.namespace_opt)] if values else []
                heads += self._with_first_readable(self._records(key, values), base_ids)
            heads += [record for _, record in self._old_records("")]
        return network.listed(heads, fields or self.default_trace_fields)

    def find_ids(self, prefix: str = "", suffix: str = "") -> list[str]:
        """As in the base class. Redis scans its keys; only records of versions before 2.3 are read."""
        with self._reading():
            chunks = self._client.keys(self.namespace_opt + prefix)
            base_ids = [_text(key).removeprefix(self.namespace_opt) for keys in chunks for key in keys]
            base_ids += [record["base_id"] for _, record in self._old_records(prefix, is_prefix=True)]
        return network.matching(dict.fromkeys(base_ids), prefix, suffix)

    def list_error_traces(self) -> list[dict[str, Any]]:
        with self._reading():
            marks = [
                mark
                for keys in self._client.keys(self.namespace_error)
                for key, value in self._texts(keys)
                for mark in self._records(key, [value], loads_mark)
            ]
        return network.listed(marks, self.default_trace_fields)

    def _delete_all(self, base_ids: Sequence[str]) -> int:
        with self._reading():
            # One scan for all traces: Redis looks at every key to find those of one trace.
            old_keys: dict[str, list[Any]] = {}
            for key, record in self._old_records(base_ids[0] if len(base_ids) == 1 else ""):
                old_keys.setdefault(record["base_id"], []).append(key)
            return sum(self._remove(base_id, old_keys.get(base_id, ())) for base_id in base_ids)

    def _remove(self, base_id: str, old_keys: Sequence[Any]) -> int:
        """Remove the trace, and its *old_keys* of versions before 2.3. Returns the number of records."""
        key = self.namespace_opt + base_id
        pipeline = self._client.pipeline()
        pipeline.llen(key)
        for removed in (key, self.namespace_error + base_id, *old_keys):
            pipeline.delete(removed)
        return int(pipeline.execute()[0]) + len(old_keys)

    def close(self) -> None:
        self._client.close()

    def _reading(self) -> Any:
        library = redis_client.library()
        return network.reading(self.connection_str, library.RedisError, library.exceptions.RedisClusterException)

    def _lists(self) -> Iterator[tuple[Any, list[Any]]]:
        """For the key of every trace, the records that arrived first."""
        for keys in self._client.keys(self.namespace_opt):
            pipeline = self._client.ready().pipeline(transaction=False)
            for key in keys:
                pipeline.lrange(key, -_FIRST, -1)
            for key, values in zip(keys, pipeline.execute(raise_on_error=False), strict=True):
                if isinstance(values, Exception):
                    self._skip_key(key, values)
                else:
                    yield key, values

    def _list(self, key: str) -> list[Any]:
        """The whole list under *key*; empty if the value is not a list."""
        try:
            return list(self._client.ready().lrange(key, 0, -1))
        except redis_client.library().ResponseError as fault:
            self._skip_key(key, fault)
            return []

    def _texts(self, keys: list[Any]) -> Iterator[tuple[Any, Any]]:
        """The texts under *keys*, each with its key. A key that was removed meanwhile is left out."""
        for key, value in zip(keys, self._client.values(keys), strict=True):
            if value is not None:
                yield key, value
            elif self._client.ready().exists(key):  # MGET returns None for a value of another type too
                unreadable.skip(masked(self.connection_str), f"the key {_text(key)}", "its value is not a text")

    def _skip_key(self, key: Any, fault: Exception) -> None:
        """Skip *key* if *fault* says that its value has another type. Raises *fault* otherwise."""
        if not redis_client.has_wrong_type(fault):
            raise fault
        unreadable.skip(masked(self.connection_str), f"the key {_text(key)}", "its value is not a list")

    def _records(
        self, key: Any, values: Iterable[Any], read: Callable[[Any], dict[str, Any]] = loads
    ) -> Iterator[dict[str, Any]]:
        def name_of(value: Any) -> str:
            return f"{_text(value)[:60]!r} under the key {_text(key)}"

        return self._readable(values, read, name_of)

    def _old_records(self, base_id: str, is_prefix: bool = False) -> Iterator[tuple[Any, dict[str, Any]]]:
        """The records of versions before 2.3, each with its key. Of all traces if *base_id* is empty."""
        for keys in self._client.keys(self.namespace + base_id):
            for key, value in self._texts(keys):
                for record in self._records(key, [value]):
                    if not base_id or is_prefix or record["base_id"] == base_id:
                        yield key, record


class RedisSentinel(Redis):
    """``redissentinel://[[user]:password@]host[:26379][,host...][/db]``: the Sentinels, and the account of the master.

    Options after ``?``: ``ttl``; ``service_name``, the Sentinels' name for the master (by default ``[profiler]
    sentinel_service_name``); ``ssl=yes``; ``sentinel_username`` and ``sentinel_password``.
    """

    @classmethod
    def get_name(cls) -> str:
        return "redissentinel"

    @classmethod
    def check(cls, connection_string: str) -> None:
        redis_client.library()
        Sentinels(connection_string)

    def _connect(self, cluster: bool) -> Any:
        # Only for the Sentinels, to skip a dead one soon. It is too short for the master: a batch takes longer.
        timeout_s = max(float(network.setting(self.conf, "socket_timeout", 0.1)), 0.1)
        service_name = network.setting(self.conf, "sentinel_service_name", "mymaster")
        return Sentinels(self.connection_str).master_client(service_name, timeout_s)


def _text(value: Any) -> str:
    """*value* as text for messages."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
