# SPDX-License-Identifier: Apache-2.0
"""Statistics of each operation, over one trace or many: the number of spans, their times, their errors.

The self time of a span is the time in which it did not wait for a child.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from osprofiler.reports import wording
from osprofiler.reports.analysis import histogram
from osprofiler.reports.model import SpanNode, Trace


@dataclass(frozen=True, slots=True)
class OperationStats:
    """The spans of one operation of one service. Times are in microseconds, and only of finished spans."""

    place: str  # the service, as in other reports; "" if unknown
    operation: str
    count: int  # unfinished ones included
    total_us: int
    self_us: int
    p50_us: int
    p95_us: int
    p99_us: int
    max_us: int
    errors: int
    unfinished: int
    edges_us: list[int]  # the histogram of the durations: bucket i reaches from edges_us[i] to edges_us[i + 1]
    counts: list[int]


@dataclass(slots=True)
class _Sums:
    """What is added up of one operation."""

    lengths_us: array[int] = field(default_factory=lambda: array("q"))  # of finished spans
    self_us: int = 0
    errors: int = 0
    unfinished: int = 0


class Statistics:
    """The statistics of traces that are added one by one. Keeps the duration of each span, eight bytes each."""

    def __init__(self) -> None:
        self.traces = 0
        self._operations: dict[tuple[str, str], _Sums] = {}

    def add(self, trace: Trace) -> None:
        """Add the spans of *trace*."""
        self.traces += 1
        for span in trace.spans.values():
            sums = self._of(wording.place(span), span.operation)
            if span.duration_us is None:
                sums.unfinished += 1
            else:
                sums.lengths_us.append(span.duration_us)
                sums.self_us += self_us(span)
            if span.error is not None:
                sums.errors += 1

    def merge(self, other: Statistics) -> None:
        """Add the traces of *other*."""
        self.traces += other.traces
        for key, others in other._operations.items():
            sums = self._of(*key)
            sums.lengths_us.extend(others.lengths_us)
            sums.self_us += others.self_us
            sums.errors += others.errors
            sums.unfinished += others.unfinished

    def _of(self, place: str, operation: str) -> _Sums:
        sums = self._operations.get((place, operation))
        if sums is None:
            sums = self._operations[place, operation] = _Sums()
        return sums

    def operations(self) -> list[OperationStats]:
        """The statistics of each operation; the one with the most self time comes first."""
        operations = []
        for key, sums in self._operations.items():
            lengths = sorted(sums.lengths_us)
            edges, (counts,) = histogram.of(lengths)
            operations.append(
                OperationStats(
                    *key,
                    count=len(lengths) + sums.unfinished,
                    total_us=sum(lengths),
                    self_us=sums.self_us,
                    p50_us=percentile(lengths, 50),
                    p95_us=percentile(lengths, 95),
                    p99_us=percentile(lengths, 99),
                    max_us=lengths[-1] if lengths else 0,
                    errors=sums.errors,
                    unfinished=sums.unfinished,
                    edges_us=edges,
                    counts=counts,
                )
            )
        return sorted(operations, key=lambda stats: (-stats.self_us, -stats.count, stats.place, stats.operation))


def of(traces: Iterable[Trace]) -> list[OperationStats]:
    """The statistics of all spans of *traces*; the operation with the most self time comes first."""
    statistics = Statistics()
    for trace in traces:
        statistics.add(trace)
    return statistics.operations()


def percentile(ordered: Sequence[int], percent: int) -> int:
    """The percentile by nearest rank of *ordered*: at least *percent* % are not larger. 0 if *ordered* is empty."""
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else 0


def self_us(span: SpanNode) -> int:
    """The microseconds of *span* in which no child ran; 0 if it has not ended.

    Detached children, and children whose end is unknown, do not count.
    """
    if span.duration_us is None:
        return 0
    if not span.children:
        return span.duration_us
    alone_us, covered_to_us = 0, span.start_us
    for child in span.children:  # by start
        if child.duration_us is None or child.detached:
            continue
        begin_us = min(child.start_us, span.end_us)
        alone_us += max(begin_us - covered_to_us, 0)
        covered_to_us = max(covered_to_us, min(child.end_us, span.end_us))
    return alone_us + span.end_us - covered_to_us
