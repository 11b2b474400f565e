# SPDX-License-Identifier: Apache-2.0
"""Finding traces in a store by what is in them, through any driver; and what to say of each in a line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from osprofiler.drivers.abilities import Can
from osprofiler.records import unreadable
from osprofiler.records.record import timestamp
from osprofiler.reports import model, wording
from osprofiler.reports.model import SpanNode, Trace
from osprofiler.reports.views import json_report

if TYPE_CHECKING:
    from osprofiler.drivers.driver import Driver


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which traces: all conditions that are not None must hold. In names ``*``, ``?`` and ``[]`` are wildcards."""

    service: str | None = None  # of a span: its service, or project-service
    operation: str | None = None  # of that same span: its operation, or its name
    min_duration_us: int | None = None  # of that same span; where no span is asked for, of the whole trace
    error: bool = False  # something in the trace failed
    since_us: int | None = None  # the trace began then or later, microseconds since the epoch
    until_us: int | None = None  # and before this
    limit: int | None = None  # only so many, the newest
    http_status: range | None = None  # of that same span: what its request was answered with

    @property
    def needs_reading(self) -> bool:
        """Whether the traces themselves must be read for it."""
        return any(each is not None for each in (self.service, self.operation, self.min_duration_us, self.http_status))

    def matches(self, trace: Trace) -> bool:
        """Whether *trace* is wanted by what is in it."""
        least_us = self.min_duration_us or 0
        if self.error and not any(span.error for span in trace.spans.values()):
            return False
        if self.service is None and self.operation is None and self.http_status is None:
            return trace.end_us - trace.start_us >= least_us
        return any((span.duration_us or 0) >= least_us and self._is_of(span) for span in trace.spans.values())

    def _is_of(self, span: SpanNode) -> bool:
        return (
            _is_one(self.service, span.service, wording.place(span))
            and _is_one(self.operation, span.operation, span.name)
            and (self.http_status is None or wording.http_status(span) in self.http_status)
        )


class Summary(NamedTuple):
    """A trace in a line."""

    base_id: str
    timestamp: str  # of its first record, as stored
    operation: str
    duration_us: int
    spans: int
    services: list[str]
    errors: int
    unfinished: int


def summary(trace: Trace) -> Summary:
    """What to say of *trace* in a line."""
    counts = wording.counts(trace)
    return Summary(
        trace.base_id,
        timestamp(trace.start_us),
        trace.roots[0].operation if trace.roots else "",
        trace.end_us - trace.start_us,
        counts["spans"],
        sorted({wording.place(span) for span in trace.spans.values()} - {""}),
        counts["errors"],
        counts["unfinished"],
    )


def read(driver: Driver, base_id: str) -> Trace:
    """The trace *base_id* of *driver*'s store, also of one in the manner of 4.4.0; without spans if it is not there."""
    with unreadable.collected() as ledger:
        if Can.READ_RECORDS in driver.can:
            trace = model.from_records(driver.read(base_id))
        else:
            report = driver.get_report(base_id)
            trace = json_report.from_report(report) if report and report.get("children") else Trace(base_id)
    trace.unreadable = ledger.skipped
    trace.base_id = trace.base_id or base_id
    return trace


def must_read(driver: Driver, wanted: Wanted) -> bool:
    """Whether *driver*'s traces themselves must be read to tell which are wanted."""
    return wanted.needs_reading or (wanted.error and driver.can.isdisjoint((Can.LIST_ERRORS, Can.SEARCH)))


def identified(driver: Driver, wanted: Wanted) -> list[dict[str, Any]]:
    """``base_id`` and ``timestamp`` of the traces that may be wanted, oldest first: no trace is read for it.

    Those are the wanted ones, unless :func:`must_read` says that more must be known. The limit is not looked at.
    """
    candidates = driver.candidates(error=wanted.error, service=wanted.service, since_us=wanted.since_us)
    timed = sorted(((model.began_us(each), i, each) for i, each in enumerate(candidates)), key=lambda row: row[:2])
    since_us, until_us = wanted.since_us, wanted.until_us
    return [
        each
        for at_us, _, each in timed
        if (since_us is None or at_us >= since_us) and (until_us is None or at_us < until_us)
    ]


def traces(driver: Driver, wanted: Wanted) -> Iterator[Trace]:
    """The wanted traces, whole, the newest first; only as many are read as it takes to find ``wanted.limit``."""
    left = wanted.limit
    for each in reversed(identified(driver, wanted)):
        if left is not None and left <= 0:
            return
        trace = read(driver, str(each["base_id"]))
        if trace.spans and wanted.matches(trace):
            left = None if left is None else left - 1
            yield trace


def _is_one(pattern: str | None, *names: str | None) -> bool:
    return pattern is None or any(name is not None and fnmatchcase(name, pattern) for name in names)
