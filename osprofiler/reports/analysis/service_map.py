# SPDX-License-Identifier: Apache-2.0
"""Which service calls which, over many traces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from osprofiler.reports import wording
from osprofiler.reports.model import Trace


@dataclass(slots=True)
class Calls:
    """The calls of one service to another; times in microseconds."""

    count: int = 0
    errors: int = 0
    total_us: int = 0


@dataclass(slots=True)
class ServiceMap:
    """The services of traces that are added one by one. A service without a name is left out."""

    traces: int = 0
    spans: dict[str, int] = field(default_factory=dict)  # by service
    errors: dict[str, int] = field(default_factory=dict)  # spans that failed, by service
    calls: dict[tuple[str, str], Calls] = field(default_factory=dict)  # by caller and called, which are two services
    inner: dict[str, int] = field(default_factory=dict)  # spans whose parent is of the same service, by service

    def add(self, trace: Trace) -> None:
        """Add the spans of *trace*. A call is a span whose parent is of another service."""
        self.traces += 1
        for span in trace.spans.values():
            caller = wording.place(span)
            if caller:
                self.spans[caller] = self.spans.get(caller, 0) + 1
                self.errors[caller] = self.errors.get(caller, 0) + (span.error is not None)
            for child in span.children:
                called = wording.place(child)
                if caller and called == caller:
                    self.inner[caller] = self.inner.get(caller, 0) + 1
                elif caller and called:
                    calls = self.calls.setdefault((caller, called), Calls())
                    calls.count += 1
                    calls.errors += child.error is not None
                    calls.total_us += child.duration_us or 0

    def counts(self) -> dict[tuple[str, str], int]:
        """How often each service called another one or itself, by caller and called."""
        of_two = {names: calls.count for names, calls in self.calls.items()}
        return of_two | {(service, service): count for service, count in self.inner.items()}

    def merge(self, other: ServiceMap) -> None:
        """Add the traces of *other*."""
        self.traces += other.traces
        for own, others in (self.spans, other.spans), (self.errors, other.errors), (self.inner, other.inner):
            for service, count in others.items():
                own[service] = own.get(service, 0) + count
        for pair, calls in other.calls.items():
            own_calls = self.calls.setdefault(pair, Calls())
            own_calls.count += calls.count
            own_calls.errors += calls.errors
            own_calls.total_us += calls.total_us

    def levels(self) -> list[list[str]]:
        """The services by their distance from a service that nobody calls: a column each, for a drawing."""
        called = {callee for _, callee in self.calls}
        level = {service: 0 for service in self.spans if service not in called}
        waiting = list(level) or list(self.spans)[:1]
        level.update(dict.fromkeys(waiting, 0))
        below: dict[str, list[str]] = {}
        for caller, callee in self.calls:
            below.setdefault(caller, []).append(callee)
        for service in waiting:  # grows: breadth first
            new = [each for each in below.get(service, ()) if each not in level]
            level.update(dict.fromkeys(new, level[service] + 1))
            waiting += new
        for service in self.spans:  # of a loop that nobody outside calls
            level.setdefault(service, 0)
        columns: list[list[str]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
        for service in sorted(level):
            columns[level[service]].append(service)
        return columns


def of(traces: Iterable[Trace]) -> ServiceMap:
    """The service map of *traces*."""
    made = ServiceMap()
    for trace in traces:
        made.add(trace)
    return made
