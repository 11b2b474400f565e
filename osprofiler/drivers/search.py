# SPDX-License-Identifier: Apache-2.0
"""Search the traces of a store by their content, through any driver; and the summary of a trace in one line."""

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
    import random

    from osprofiler.drivers.driver import Driver


@dataclass(frozen=True, slots=True)
class Wanted:
    """Conditions for traces. All that are not None must hold. In names ``*``, ``?`` and ``[]`` are wildcards.

    One span of the trace must match *service*, *operation*, *min_duration_us*, *http_status* and *tags*.
    """

    service: str | None = None  # the span's service, or project-service
    operation: str | None = None  # the span's operation, or its name
    min_duration_us: int | None = None  # of the span; without a condition for a span, of the whole trace
    error: bool = False  # the trace has an error
    since_us: int | None = None  # the trace began at this time or later, microseconds since the epoch
    until_us: int | None = None  # the trace began before this time
    limit: int | None = None  # only the newest of the matching traces, at most so many
    http_status: range | None = None  # the status of the span's HTTP request
    tags: tuple[tuple[str, str], ...] = ()  # tags of the span: names, and values with wildcards

    @property
    def needs_reading(self) -> bool:
        """Whether the traces themselves must be read."""
        return self._names_a_span or self.min_duration_us is not None

    @property
    def _names_a_span(self) -> bool:
        conditions = (self.service, self.operation, self.http_status)
        return bool(self.tags) or any(condition is not None for condition in conditions)

    def matches(self, trace: Trace) -> bool:
        """Whether the spans of *trace* match."""
        least_us = self.min_duration_us or 0
        if self.error and not any(span.error for span in trace.spans.values()):
            return False
        if not self._names_a_span:
            return trace.end_us - trace.start_us >= least_us
        return any((span.duration_us or 0) >= least_us and self._is_of(span) for span in trace.spans.values())

    def chooses(self, trace: Trace) -> bool:
        """Whether *trace* matches, its time too; for traces that come from files. The limit does not count here."""
        since_us, until_us = self.since_us, self.until_us
        in_time = (since_us is None or trace.start_us >= since_us) and (until_us is None or trace.start_us < until_us)
        return in_time and self.matches(trace)

    def _is_of(self, span: SpanNode) -> bool:
        return (
            _is_one(self.service, span.service, wording.place(span))
            and _is_one(self.operation, span.operation, span.name)
            and (self.http_status is None or wording.http_status(span) in self.http_status)
            and all(_is_one(value, wording.tag(span, name)) for name, value in self.tags)
        )


class Summary(NamedTuple):
    """A trace in one line."""

    base_id: str
    timestamp: str  # of its first record, as stored
    operation: str
    duration_us: int
    spans: int
    services: list[str]
    errors: int
    unfinished: int


def summary(trace: Trace) -> Summary:
    """The summary of *trace*."""
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
    """Read the trace *base_id*, also through a driver for osprofiler 4.4.0. Without spans if it is not in the store."""
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
    """Whether the traces themselves must be read to know which ones match."""
    return wanted.needs_reading or (wanted.error and driver.can.isdisjoint((Can.LIST_ERRORS, Can.SEARCH)))


def identified(driver: Driver, wanted: Wanted) -> list[dict[str, Any]]:
    """``base_id`` and ``timestamp`` of the traces that may match, the oldest first. Reads no trace.

    If :func:`must_read` is false, all of them match. The limit does not count here.
    """
    candidates = driver.candidates(error=wanted.error, service=wanted.service, since_us=wanted.since_us)
    timed = sorted(((model.began_us(mark), i, mark) for i, mark in enumerate(candidates)), key=lambda row: row[:2])
    since_us, until_us = wanted.since_us, wanted.until_us
    return [
        mark
        for at_us, _, mark in timed
        if (since_us is None or at_us >= since_us) and (until_us is None or at_us < until_us)
    ]


def traces(driver: Driver, wanted: Wanted, chance: random.Random | None = None) -> Iterator[Trace]:
    """The matching traces, the newest first. Stops reading when ``wanted.limit`` traces match.

    With *chance*: in an order by chance, for a caller that takes a sample.
    """
    left = wanted.limit
    marks = identified(driver, wanted)[::-1]
    if chance is not None:
        chance.shuffle(marks)
    for mark in marks:
        if left is not None and left <= 0:
            return
        trace = read(driver, str(mark["base_id"]))
        if trace.spans and wanted.matches(trace):
            left = None if left is None else left - 1
            yield trace


def _is_one(pattern: str | None, *names: str | None) -> bool:
    return pattern is None or any(name is not None and fnmatchcase(name, pattern) for name in names)
