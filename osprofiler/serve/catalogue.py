# SPDX-License-Identifier: Apache-2.0
"""The names of a store's services, and of their operations.

Most stores have no list of names, so they are taken from traces: first from the newest ones, then from each trace that
is read for another reason, and from new traces.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from osprofiler.drivers.search import Wanted
from osprofiler.reports.model import SpanNode, Trace
from osprofiler.reports.views import jaeger_json, span_tags

#: At most so many traces are read for their names: names repeat in most traces.
_TRACES = 1_000
#: The names are at most so old.
_FRESH_S = 5.0
#: Traces that began so long before the last look are read again: they may have got more spans, or have come late.
_AGAIN_US = 600_000_000
#: How often the newest traces are all read again: traces may be imported, or come from a clock that is behind.
_WHOLE_S = 900.0

_MOST_NAMES = 50_000
_KINDS = frozenset(("server", "client", "producer", "consumer", "internal"))


class Operation(NamedTuple):
    """An operation of a service."""

    name: str
    kind: str  # "server", "client", "producer", "consumer", "internal"; "" if unknown


class Catalogue:
    """The names in the traces that are given to :meth:`learn`. *read* reads traces, and gives each to it."""

    def __init__(self, read: Callable[[Wanted], None]) -> None:
        self._read = read
        self._operations: dict[str, dict[Operation, None]] = {}
        self._names = 0
        self._lock = threading.Lock()  # of the names
        self._refreshing = threading.Lock()
        self._looked_us: int | None = None  # when the last look began, since the epoch
        self._looked_s = self._whole_s = -_WHOLE_S  # when the last look ended, and the last one at all

    def refresh(self) -> None:
        """Read new traces, if the names are old. Of several threads one does so, and the others wait for it."""
        with self._refreshing:
            now_s, now_us = time.monotonic(), time.time_ns() // 1000
            if now_s - self._looked_s < _FRESH_S:
                return
            whole = self._looked_us is None or now_s - self._whole_s >= _WHOLE_S
            since_us = None if self._looked_us is None or whole else self._looked_us - _AGAIN_US
            self._read(Wanted(since_us=since_us, limit=_TRACES))
            self._looked_s, self._looked_us = time.monotonic(), now_us
            if whole:
                self._whole_s = self._looked_s

    def learn(self, trace: Trace) -> None:
        """Take the names of *trace*."""
        with self._lock:
            for span in trace.spans.values():
                operations = self._operations.setdefault(jaeger_json.service_name(span), {})
                operation = Operation(span.operation, _kind(span))
                if operation not in operations and self._names < _MOST_NAMES:
                    operations[operation] = None
                    self._names += 1

    def services(self) -> list[str]:
        """The names of all services."""
        with self._lock:
            return sorted(self._operations)

    def operations(self, service: str, kind: str = "") -> list[Operation]:
        """The operations of *service*, of one kind or of all kinds."""
        with self._lock:
            return sorted(each for each in self._operations.get(service, ()) if kind in ("", each.kind))


def _kind(span: SpanNode) -> str:
    kind = span.tags.get("span.kind") or span_tags.conventions(span).get("span.kind")
    return kind if isinstance(kind, str) and kind in _KINDS else ""
