# SPDX-License-Identifier: Apache-2.0
"""The names of a store's services, and of their operations.

Some stores list their services. All other names are taken from traces: from the newest ones, from the newest ones of a
service when its operations are asked for, and from each trace that is read for another reason.
"""

from __future__ import annotations

import glob
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from osprofiler.drivers.search import Wanted
from osprofiler.reports import wording
from osprofiler.reports.model import SpanNode, Trace
from osprofiler.reports.views import jaeger_json

#: At most so many traces are read for their names: names repeat in most traces.
_TRACES = 1_000
#: The same, of a store that lists its services. It may not know those that only another version has written.
_FEW_TRACES = 100
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


def pattern(service: str) -> str | None:
    """``Wanted.service`` for the service of this name; None, for all services, if the name is "" or stands for none."""
    return None if service == jaeger_json.NO_SERVICE else glob.escape(service) or None


class Catalogue:
    """The names in the traces that are given to :meth:`learn`, and those that the store lists.

    *list_services* returns the latter; None: the store cannot list them. *read* reads traces, and gives each to
    :meth:`learn`.
    """

    def __init__(self, list_services: Callable[[], Iterable[str]] | None, read: Callable[[Wanted], None]) -> None:
        self._list_services = list_services
        self._read = read
        self._operations: dict[str, dict[Operation, None]] = {}
        self._names = 0
        self._lock = threading.Lock()  # of the names
        self._looks = _Looks()
        self._looks_of: dict[str, _Looks] = {}  # by service

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
        self._looks.look(self._look_for_services)
        with self._lock:
            return sorted(self._operations)

    def operations(self, service: str, kind: str = "") -> list[Operation]:
        """The operations of *service*, of one kind or of all kinds."""
        if service not in self.services():
            return []
        with self._lock:
            looks = self._looks_of.setdefault(service, _Looks())
        looks.look(lambda since_us: self._read(Wanted(pattern(service), since_us=since_us, limit=_TRACES)))
        with self._lock:
            return sorted(each for each in self._operations[service] if kind in ("", each.kind))

    def _look_for_services(self, since_us: int | None) -> None:
        limit = _TRACES
        if self._list_services is not None:
            limit = _FEW_TRACES
            names = self._list_services()
            with self._lock:
                for name in names:
                    self._operations.setdefault(name or jaeger_json.NO_SERVICE, {})
        self._read(Wanted(since_us=since_us, limit=limit))


class _Looks:
    """When traces were read for their names."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looked_us: int | None = None  # when the last look began, since the epoch
        self._looked_s = self._whole_s = -_WHOLE_S  # when the last look ended, and the last one at all

    def look(self, read: Callable[[int | None], None]) -> None:
        """If the last look is old, call *read* with the time since which traces are new; None: read all.

        Of several threads one does so, and the others wait for it.
        """
        with self._lock:
            now_s, now_us = time.monotonic(), time.time_ns() // 1000
            if now_s - self._looked_s < _FRESH_S:
                return
            whole = self._looked_us is None or now_s - self._whole_s >= _WHOLE_S
            read(None if self._looked_us is None or whole else self._looked_us - _AGAIN_US)
            self._looked_s, self._looked_us = time.monotonic(), now_us
            if whole:
                self._whole_s = self._looked_s


def _kind(span: SpanNode) -> str:
    kind = wording.tag(span, "span.kind")
    return kind if kind in _KINDS else ""
