# SPDX-License-Identifier: Apache-2.0
"""The drivers of Redis: of a single server, of a cluster, and of a server that Sentinel monitors.

As in osprofiler 4.4.0 a trace is a list of JSON records under the key ``osprofiler_opt:<base_id>``. A trace with an
error also has a key ``osprofiler_error:<base_id>``. Each version reads the other's traces. Records of versions before
2.3, one under each key ``osprofiler:<base_id>...``, are read too. ``redis_index`` has keys of its own. The keys are the
same in a cluster. So the keys of a trace are in several slots, and an operation on all of them is not a transaction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oslo_config import cfg

from osprofiler._runtime import guard
from osprofiler._runtime.batched import batched, batched_by_size
from osprofiler.connection import options, strings
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import malformed, masked
from osprofiler.drivers import base, errors, network, places, redis_client
from osprofiler.drivers.abilities import DELETABLE_RECORDS, Can
from osprofiler.drivers.redis_client import text
from osprofiler.drivers.redis_index import PAGE, Index
from osprofiler.drivers.redis_lists import Lists, Namespaces
from osprofiler.drivers.redis_search import Search
from osprofiler.drivers.redis_sentinels import Sentinels
from osprofiler.records.error_kind import error_kind
from osprofiler.records.record import MARK, loads_mark

#: A list shows the earliest of so many records that arrived first. The first to arrive need not be the earliest: each
#: service delivers at its own times.
_FIRST = 10

_RECORDS = 20_000  # in one response, if they are of several traces

_OPTIONS = options.names("redis")


class Redis(base.Driver):
    """``redis://[[user]:password@][localhost][:6379][/db]``; ``rediss://`` with TLS. A node of a cluster works too.

    A batch is one transaction; in a cluster it is one round trip to each shard. Options after ``?``: ``ttl`` (the
    server removes a trace so long after its last record: ``7d``), ``scan`` (no: list only the traces in the index, for
    large stores into which osprofiler 4 does not write), ``cluster`` (yes or no: whether the server is a node of a
    cluster; by default it is asked), and those of redis-py, such as ``ssl_ca_certs``.
    """

    can = DELETABLE_RECORDS | {Can.LIST_SERVICES, Can.SEARCH}

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
        self._scans = "scan" not in values or strings.switch(values, "scan")
        cluster = strings.switch(values, "cluster") if "cluster" in values else None
        self._use(redis_client.Client(self._connect, cluster))

    @classmethod
    def get_name(cls) -> str:
        return "redis"

    @classmethod
    def check(cls, connection_string: str) -> None:
        strings.split(connection_string, 6379, "localhost")
        url, values = strings.take_options(connection_string, _OPTIONS)
        strings.seconds(values, "ttl")
        strings.switch(values, "cluster")
        strings.switch(values, "scan")
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
        self._use(redis_client.Client.of(client))

    def _use(self, client: redis_client.Client) -> None:
        self._client = client
        self._keeps_index = True
        self._index = Index(client, self._ttl_s)
        spaces = Namespaces(self.namespace_opt, self.namespace_error, self.namespace)
        self._lists = Lists(client, masked(self.connection_str), spaces)

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
        labelled = sorted(map(self.labelled, records), key=lambda record: str(record.get("timestamp")))
        texts: dict[str, list[str]] = {}
        failed: dict[str, dict[str, Any]] = {}
        for record in labelled:
            base_id = str(record["base_id"])
            texts.setdefault(base_id, []).append(json.dumps(record, default=str, skipkeys=True))
            if error_kind(record.get("info")):
                failed.setdefault(base_id, {"base_id": base_id, "timestamp": record["timestamp"]})
        try:
            self._push(texts, failed, labelled)
        except redis_client.library().exceptions.NoPermissionError as fault:
            if not self._keeps_index:
                raise
            # Perhaps this account may only use the keys of osprofiler 4.4.0. Traces are found without the index too.
            self._keeps_index = False
            self._push(texts, failed, labelled)
            shown = masked(self.connection_str)
            guard.warn_once("redis_index", "%s: no index of the traces is kept: %s", shown, fault_line(fault, shown))

    def _push(
        self, texts: Mapping[str, list[str]], failed: Mapping[str, dict[str, Any]], records: Sequence[dict[str, Any]]
    ) -> None:
        """Push *texts*, those of *records*, onto the lists of their traces. Write the marks of the *failed* ones."""
        pipeline = self._client.pipeline()
        for base_id, values in texts.items():
            pipeline.lpush(self.namespace_opt + base_id, *values)
            self._expire(pipeline, self.namespace_opt + base_id)
        # Also without filter_error_trace: else a list of failed traces would have to read all traces.
        for base_id, mark in failed.items():
            pipeline.set(self.namespace_error + base_id, json.dumps(mark))
            self._expire(pipeline, self.namespace_error + base_id)
        if self._keeps_index:
            self._index.trim()
            self._index.add(pipeline, records, failed)
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
            (records,) = self._lists.ranges([base_id], 0)
            return records or [record for _, record in self._old_records(base_id) if record["base_id"] == base_id]

    def read_many(self, base_ids: Sequence[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """As in the base class. One round trip reads many small traces, or a large one."""
        with self._reading():
            lengths = self._lists.lengths(base_ids)
            for batch in batched_by_size(lengths.items(), PAGE, _RECORDS):
                yield from zip(batch, self._lists.ranges(batch, 0), strict=True)
            missing = set(base_ids) - lengths.keys()
            old = network.by_trace(self._old_records() if missing else (), lambda item: item[1])
            yield from ((base_id, [record for _, record in old[base_id]]) for base_id in missing & old.keys())

    def candidates(self, wanted: base.Wanted) -> Iterator[dict[str, Any]]:
        with self._reading():
            yield from Search(self._lists, self._index, self._heads, self._scans).newest(wanted)

    def is_exact(self, wanted: base.Wanted) -> bool:
        return not wanted.needs_reading

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        fields = set(fields or self.default_trace_fields)
        if fields <= set(MARK):
            return network.listed(self.candidates(base.Wanted()), fields)
        with self._reading():
            names = self._lists.names()
            heads = [head for part in batched(sorted(names.base_ids), PAGE) for head in self._heads(part)]
        return network.listed([*heads, *names.old.values()], fields)

    def _heads(self, base_ids: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Some of the first records of each of these traces; at least one, if any of the trace can be read."""
        for base_id, records in zip(base_ids, self._lists.ranges(base_ids, -_FIRST), strict=True):
            yield from self._with_first_readable(records, [base_id])

    def find_ids(self, prefix: str = "", suffix: str = "") -> list[str]:
        """As in the base class. Redis scans its keys; only records of versions before 2.3 are read."""
        with self._reading():
            chunks = self._client.keys(self.namespace_opt + prefix)
            base_ids = [text(key).removeprefix(self.namespace_opt) for keys in chunks for key in keys]
            base_ids += [record["base_id"] for _, record in self._lists.old_records(prefix)]
        return network.matching(dict.fromkeys(base_ids), prefix, suffix)

    def list_error_traces(self) -> list[dict[str, Any]]:
        with self._reading():
            return network.listed(self._lists.marks(loads_mark), self.default_trace_fields)

    def list_services(self) -> list[str]:
        with self._reading():
            return places.shown(self._index.services())

    def _old_records(self, prefix: str = "") -> Iterator[tuple[Any, dict[str, Any]]]:
        """The records of versions before 2.3 whose keys begin with *prefix*, each with its key."""
        return self._lists.old_records(prefix) if self._scans else iter(())

    # Removing

    def _delete_all(self, base_ids: Sequence[str]) -> int:
        with self._reading():
            # One scan for all traces: Redis looks at every key to find those of one trace.
            unwanted = set(base_ids)
            old_records = self._old_records(base_ids[0] if len(base_ids) == 1 else "")
            old_keys = [key for key, record in old_records if record["base_id"] in unwanted]
            gone = sum(map(self._remove, batched(base_ids, PAGE))) + sum(map(self._drop, batched(old_keys, PAGE)))
            self._index.forget_services()
        return gone

    def _remove(self, base_ids: Sequence[str]) -> int:
        """Remove these traces. Returns the number of records."""
        pipeline = self._client.pipeline()
        for base_id in base_ids:
            pipeline.llen(self.namespace_opt + base_id)
        for base_id in base_ids:
            pipeline.delete(self.namespace_opt + base_id)
            pipeline.delete(self.namespace_error + base_id)
        self._index.remove(pipeline, base_ids)
        return sum(pipeline.execute()[: len(base_ids)])

    def _drop(self, keys: Sequence[Any]) -> int:
        """Remove *keys*, of one record each. Returns their number."""
        pipeline = self._client.pipeline()
        for key in keys:
            pipeline.delete(key)
        return sum(pipeline.execute())

    def close(self) -> None:
        self._client.close()

    def _reading(self) -> Any:
        library = redis_client.library()
        return network.reading(self.connection_str, library.RedisError, library.exceptions.RedisClusterException)


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
