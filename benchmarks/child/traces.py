# SPDX-License-Identifier: Apache-2.0
"""The traces of a cloud's day: requests to nova, which asks four other services, as osprofiler 5 records them.

The same seed gives the same traces. A tenth of the requests boots a server, and only these reach ``nova-compute``. Two
traces in a hundred have an error. The length of a span varies as times in a service do, with a long tail.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from osprofiler.records import ids
from osprofiler.records.record import timestamp

DAY_US = 86_400_000_000

#: Project and service of nova's API and of those that it asks.
_API = ("nova", "nova-api")
_IMAGE, _NETWORK, _PLACEMENT, _COMPUTE = (
    ("glance", "glance-api"),
    ("neutron", "neutron-server"),
    ("placement", "placement-api"),
    ("nova", "nova-compute"),
)
_BOOT = (_IMAGE, _NETWORK, _PLACEMENT, _COMPUTE)
_OTHER = (_IMAGE, _NETWORK, _PLACEMENT, _NETWORK)
_ROUTES = (("GET", "/servers/detail"), ("GET", "/servers/{id}"), ("DELETE", "/servers/{id}"), ("PUT", "/servers/{id}"))
_TABLES = ("instances", "block_device_mapping", "ports", "images", "allocations", "services")


def traces(count: int, spans: int, end_us: int, seed: int = 0) -> Iterator[list[dict[str, Any]]]:
    """The records of each of *count* traces of *spans* spans (at least 10), the oldest trace first.

    They begin within the day before *end_us*, microseconds since the epoch.
    """
    chance = random.Random(seed)
    for begin_us in sorted(chance.randrange(end_us - DAY_US, end_us) for _ in range(count)):
        yield _Trace(chance, begin_us).request(spans)


class _Point(NamedTuple):
    """A span that has begun."""

    service: tuple[str, str]
    parent: str
    name: str
    id: str


class _Trace:
    """The records of one request; ``now_us`` is the time that it has come to."""

    def __init__(self, chance: random.Random, begin_us: int) -> None:
        self._chance = chance
        trace_id = chance.getrandbits(128)
        self._base_id = ids.uuid_text(trace_id)
        self._prefix = ids.point_prefix(trace_id)
        self._now_us = begin_us
        self._records: list[dict[str, Any]] = []

    def request(self, spans: int) -> list[dict[str, Any]]:
        chance = self._chance
        boots = chance.random() < 0.1
        method, path = ("POST", "/servers") if boots else chance.choice(_ROUTES)
        failing = chance.randrange(4) if chance.random() < 0.02 else None
        inner, more = divmod(spans - 1 - 2 * 4, 5)
        root = self._start(_API, self._base_id, "wsgi", f"wsgi {method}", request={"method": method, "path": path})
        self._statements(root, inner + more)
        for i, callee in enumerate(_BOOT if boots else _OTHER):
            self._call(callee, root, inner, fails=i == failing)
        self._stop(root, {"span.kind": "server", "component": "wsgi", "http.status_code": 202})
        return self._records

    def _call(self, callee: tuple[str, str], parent: _Point, inner: int, fails: bool) -> None:
        url = f"http://{callee[1]}.example.org/v2/{self._chance.getrandbits(32):08x}"
        client = self._start(parent.service, parent.id, "http", "http GET", requests={"method": "GET", "path": url})
        server = self._start(callee, client.id, "wsgi", "wsgi GET", request={"method": "GET", "path": url})
        self._statements(server, inner)
        status = {"http.status_code": 500 if fails else 200, "http.url": url}
        fault = {"etype": "DBConnectionError", "message": "the database has gone away"} if fails else {}
        self._stop(server, {"span.kind": "server", "component": "wsgi", **status}, **fault)
        self._stop(client, {"span.kind": "client", "component": "requests", **status})

    def _statements(self, parent: _Point, count: int) -> None:
        for _ in range(count):
            text = f"SELECT * FROM {self._chance.choice(_TABLES)} WHERE deleted = ? AND uuid = ?"
            statement = {"statement": text, "params": [0, f"{self._chance.getrandbits(64):016x}"]}
            point = self._start(parent.service, parent.id, "db", "db SELECT", db=statement)
            self._now_us += int(self._chance.lognormvariate(7, 1))  # the median is 1.1 ms
            self._stop(point, {"span.kind": "client", "component": "sqlalchemy", "db.type": "sql"})

    def _start(self, service: tuple[str, str], parent: str, name: str, operation: str, **info: Any) -> _Point:
        extra: dict[str, Any] = {"operation": operation, "pid": 4711}
        if parent != self._base_id:
            extra["parent"] = "child_of"
        point = _Point(service, parent, name, ids.point_uuid(self._prefix, self._chance.getrandbits(64)))
        self._add(point, "start", {**info, "osprofiler": extra})
        return point

    def _stop(self, point: _Point, tags: dict[str, Any], **info: Any) -> None:
        self._add(point, "stop", {**info, "osprofiler": {"tags": tags}})

    def _add(self, point: _Point, phase: str, info: dict[str, Any]) -> None:
        self._now_us += 50
        project, service = point.service
        self._records.append(
            {
                "name": f"{point.name}-{phase}",
                "base_id": self._base_id,
                "trace_id": point.id,
                "parent_id": point.parent,
                "timestamp": timestamp(self._now_us),
                "project": project,
                "service": service,
                "info": {"host": f"{service}-1", **info},
            }
        )
