# SPDX-License-Identifier: Apache-2.0
"""An index of the traces in a Redis: by time, by service, and of those with an error.

It is written in the same transaction as the records; in a cluster, in the same round trip. osprofiler 4.4.0 does not
keep it. So the index also counts the records of each trace: if the list of a trace has another length, then another
writer has added some, and the entries of the trace are not all that there is to know.

Under ``osprofiler_index:`` are these keys. Scores are times in microseconds since the epoch.

``began``, ``failed``, ``service:<name>``
    sorted sets of the ids of traces: by the time of their first record, of the first record that came together with an
    error, of the first record of the service
``written``
    a sorted set of the ids of traces that expire, by the time of the last write
``records``
    a hash: the number of records by the id of the trace
``services``
    a set of the names of services: project and service as a list in JSON
"""

from __future__ import annotations

import heapq
import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from osprofiler.drivers.places import may_be_service
from osprofiler.drivers.redis_client import Client, library, text
from osprofiler.drivers.wanted import Wanted
from osprofiler.records.record import microseconds

_PREFIX = "osprofiler_index:"
BEGAN, FAILED, WRITTEN, RECORDS, SERVICES = (
    f"{_PREFIX}{name}" for name in ("began", "failed", "written", "records", "services")
)

#: The first version with ``ZADD LT``. Before it the first time to arrive stays.
_HAS_LESS_THAN = (6, 2)

PAGE = 500  # entries in one response
_TRIM_S = 60.0  # between two looks for expired traces
#: An expired trace stays in the index so much longer: the clocks of writers differ.
_GRACE_US = 60_000_000


class Entry(NamedTuple):
    """A trace in one of the sorted sets."""

    at_us: float
    base_id: str


class Index:
    """The index of the server of *client*. *ttl_s*: the traces expire so long after the last write."""

    def __init__(self, client: Client, ttl_s: int | None) -> None:
        self._client = client
        self._ttl_s = ttl_s
        self._less_than: bool | None = None  # whether the server has ZADD LT; None: not known yet
        self._trimmed = time.monotonic()

    # Writing

    def add(self, pipeline: Any, records: Sequence[Mapping[str, Any]], failed: Iterable[str]) -> None:
        """Add the commands for *records*, in the order of time, to *pipeline*; they are about to be written.

        *failed*: the ids of the traces of those of them with an error.
        """
        services: dict[tuple[Any, Any], dict[str, int]] = {}
        counts: Counter[str] = Counter()
        for record in records:
            base_id = str(record["base_id"])
            times = services.setdefault((_name(record.get("project")), _name(record.get("service"))), {})
            if base_id not in times:
                try:
                    times[base_id] = microseconds(record["timestamp"])
                except (KeyError, TypeError, ValueError):
                    continue  # it does not count, so the trace is read to be listed
            counts[base_id] += 1
        if not counts:
            return
        sets = {_of(json.dumps(name)): times for name, times in services.items() if times}
        began = {base_id: min(times[base_id] for times in sets.values() if base_id in times) for base_id in counts}
        errors = {base_id: began[base_id] for base_id in failed if base_id in began}
        less_than = self._has_less_than()
        for key, times in ((BEGAN, began), (FAILED, errors), *sets.items()):
            if times:
                pipeline.zadd(key, times, lt=less_than, nx=not less_than)
        pipeline.sadd(SERVICES, *(json.dumps(name) for name in services))
        for base_id, count in counts.items():
            pipeline.hincrby(RECORDS, base_id, count)
        if self._ttl_s is not None:
            pipeline.zadd(WRITTEN, dict.fromkeys(counts, time.time_ns() // 1000))

    def _has_less_than(self) -> bool:
        if self._less_than is None:
            try:
                info = self._client.ready().info("server")
            except library().ResponseError:  # our account may not ask that
                info = {}
            infos = [info] if "redis_version" in info else [each for each in info.values() if isinstance(each, dict)]
            versions = [_version(each.get("redis_version")) for each in infos]
            self._less_than = bool(versions) and min(versions) >= _HAS_LESS_THAN
        return self._less_than

    def remove(self, pipeline: Any, base_ids: Sequence[str]) -> None:
        """Add the commands that remove the traces *base_ids* from the index to *pipeline*."""
        for key in (BEGAN, FAILED, WRITTEN, *map(_of, self._services())):
            pipeline.zrem(key, *base_ids)
        pipeline.hdel(RECORDS, *base_ids)

    def trim(self) -> None:
        """Remove traces that have expired, now and then: call this after each write."""
        if self._ttl_s is None or time.monotonic() < self._trimmed + _TRIM_S:
            return
        self._trimmed = time.monotonic()
        before_us = time.time_ns() // 1000 - self._ttl_s * 1_000_000 - _GRACE_US
        while expired := self._client.ready().zrangebyscore(WRITTEN, "-inf", before_us, start=0, num=PAGE):
            pipeline = self._client.pipeline()
            self.remove(pipeline, [text(base_id) for base_id in expired])
            pipeline.execute()
            if len(expired) < PAGE:
                self.forget_services()
                return

    def forget_services(self) -> None:
        """Remove the names of services without traces. Each write adds the name of its service again."""
        names = self._services()
        if names:
            pipeline = self._client.ready().pipeline(transaction=False)
            for name in names:
                pipeline.exists(_of(name))
            unused = [name for name, exists in zip(names, pipeline.execute(), strict=True) if not exists]
            if unused:
                self._client.ready().srem(SERVICES, *unused)

    # Reading

    def services(self) -> list[tuple[str | None, str | None]]:
        """Project and service of each service in the index."""
        return [tuple(json.loads(name)) for name in self._services()]

    def base_ids(self) -> set[str]:
        """The ids of all traces in the index."""
        return {text(base_id) for base_id in self._client.ready().zrange(BEGAN, 0, -1)}

    def of_service(self, pattern: str) -> set[str]:
        """The ids of the traces in the index with records of a service that may match *pattern*."""
        client = self._client.ready()
        return {text(base_id) for name in self._services(pattern) for base_id in client.zrange(_of(name), 0, -1)}

    def newest(self, wanted: Wanted | None = None, since_us: int | None = None) -> Iterator[Entry]:
        """The traces in the index that may match *wanted*, by default all since *since_us*; the latest time first.

        The time is that of the first record, or of the first one that matches. A trace may come twice.
        """
        if wanted is not None and wanted.error:
            return self._walk(FAILED, since_us)
        if wanted is not None and wanted.service is not None:
            keys = map(_of, self._services(wanted.service))
            return heapq.merge(*(self._walk(key, since_us) for key in keys), reverse=True)
        return self._walk(BEGAN, since_us)

    def _walk(self, key: str, since_us: int | None) -> Iterator[Entry]:
        least = -math.inf if since_us is None else since_us
        most, skipped = math.inf, 0
        while True:
            found = self._client.ready().zrevrangebyscore(key, most, least, skipped, PAGE, withscores=True)
            entries = [Entry(at_us, text(base_id)) for base_id, at_us in found]
            yield from entries
            if len(entries) < PAGE:
                return
            # The next page begins at the last time again, after the entries that have come already.
            last_us = entries[-1].at_us
            skipped = sum(entry.at_us == last_us for entry in entries) + (skipped if most == last_us else 0)
            most = last_us

    def times(self, base_ids: Sequence[str], lengths: Mapping[str, int]) -> dict[str, int]:
        """The first times of those of the traces *base_ids* that have as many records as *lengths* says."""
        if not base_ids:
            return {}
        pipeline = self._client.ready().pipeline(transaction=False)
        pipeline.hmget(RECORDS, base_ids)
        for base_id in base_ids:
            pipeline.zscore(BEGAN, base_id)
        counts, *times = pipeline.execute()
        return {
            base_id: int(at_us)
            for base_id, count, at_us in zip(base_ids, counts, times, strict=True)
            if at_us is not None and count is not None and int(count) == lengths[base_id]
        }

    def _services(self, pattern: str | None = None) -> list[str]:
        """The names of services in the set; with *pattern*, those that may match it."""
        names = [text(name) for name in self._client.ready().smembers(SERVICES)]
        if pattern is None:
            return names
        return [name for name in names if may_be_service(pattern, *reversed(json.loads(name)))]


def _of(service: str) -> str:
    return f"{_PREFIX}service:{service}"


def _name(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def _version(value: object) -> tuple[int, ...]:
    return tuple(int(part) for part in str(value).split(".")[:2] if part.isdecimal())
