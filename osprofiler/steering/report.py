# SPDX-License-Identifier: Apache-2.0
"""Which policy a process follows, as a span in the store of its traces.

The spans of all processes in one hour are in one trace, whose id follows from the hour. So any driver that can read a
trace can read them, and nobody has to search.
"""

from __future__ import annotations

import datetime
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from typing import NamedTuple

from osprofiler.config import shown
from osprofiler.context import scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.context.trace_context import TraceContext
from osprofiler.reports import wording
from osprofiler.reports.model import SpanNode, Trace
from osprofiler.steering.follower import PolicyFollower
from osprofiler.tracer import global_tracer

#: The name and the operation of the spans.
OPERATION = "osprofiler.policy"

_HOUR_S = 3600
_NAMESPACE = uuid.UUID("6f1c8a52-3b0e-4c7e-9d55-0a4be1f7c9d3")


class Report(NamedTuple):
    """What one process has told: its policy."""

    service: str
    host: str
    pid: int
    source: str  # the address of the policy, without secrets
    digest: str  # the first 12 hexadecimal digits of its SHA-256; empty: none is in force
    since: str  # when this process put it in force, ISO 8601 in UTC; empty: none is in force
    settings: str  # what it sets for the service, without secrets
    at_us: int  # when the process has told this, microseconds since the epoch


def base_ids(since_s: float, until_s: float) -> list[str]:
    """The ids of the traces with the reports of this time (seconds since the epoch), the oldest first."""
    return [_base_id(hour) for hour in range(int(since_s) // _HOUR_S, int(until_s) // _HOUR_S + 1)]


def reports(trace: Trace) -> Iterator[Report]:
    """The reports in *trace*. Spans of another shape are left out."""
    for span in trace.spans.values():
        if span.operation == OPERATION:
            values = {name: wording.tag(span, f"policy.{name}") for name in _TAGS}
            if None not in values.values() and str(values["pid"]).isdecimal():
                yield _report(span, {name: str(value) for name, value in values.items()})


_TAGS = ("host", "pid", "source", "digest", "since", "settings")


def _report(span: SpanNode, tags: dict[str, str]) -> Report:
    return Report(
        wording.place(span),
        tags["host"],
        int(tags["pid"]),
        tags["source"],
        tags["digest"],
        tags["since"],
        tags["settings"],
        span.start_us,
    )


class Reporter:
    """Tells the store which policy this process follows: after each change, and again after *interval_s* seconds."""

    def __init__(self, interval_s: float, service_name: Callable[[], str]) -> None:
        self._interval_s = interval_s
        self._service_name = service_name
        self._told: tuple[int, str] | None = None
        self._due = 0.0

    def __call__(self, follower: PolicyFollower) -> None:
        now = time.monotonic()
        told = (os.getpid(), follower.digest)
        if told != self._told or now >= self._due:
            self._told, self._due = told, now + self._interval_s
            _tell(follower, self._service_name())


def _tell(follower: PolicyFollower, service_name: str) -> None:
    base_id = _base_id(int(time.time()) // _HOUR_S)
    root = Point(None, None, Origin(TraceContext.from_osprofiler(None, base_id)))
    tags = {
        "policy.host": socket.gethostname(),
        "policy.pid": os.getpid(),
        "policy.source": follower.source.shown,
        "policy.digest": follower.digest,
        "policy.since": _iso(follower.since) if follower.digest else "",
        "policy.settings": shown.policy(follower.policy.of(service_name)),
    }
    with scope.entered(root):
        global_tracer.get_tracer().open_point(root, OPERATION, operation=OPERATION, tags=tags).end()


def _base_id(hour: int) -> str:
    return str(uuid.uuid5(_NAMESPACE, str(hour)))


def _iso(at_s: float) -> str:
    return datetime.datetime.fromtimestamp(int(at_s), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
