# SPDX-License-Identifier: Apache-2.0
"""What the spans of one operation have in common, over one trace or many: how many, how long, how often failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from osprofiler.reports import wording
from osprofiler.reports.analysis.self_time import self_us
from osprofiler.reports.model import Trace


@dataclass(frozen=True, slots=True)
class OperationStats:
    """The spans of one operation of one service. Times are microseconds, and of those spans that have ended."""

    place: str  # the service, as in other reports; "" where none is known
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


def of(traces: Iterable[Trace]) -> list[OperationStats]:
    """The statistics of all spans of *traces*, what took the most time of its own first."""
    durations: dict[tuple[str, str], list[int]] = {}
    sums: dict[tuple[str, str], list[int]] = {}
    for trace in traces:
        for span in trace.spans.values():
            key = wording.place(span), span.operation
            lengths = durations.setdefault(key, [])
            if span.duration_us is not None:
                lengths.append(span.duration_us)
            sum_ = sums.setdefault(key, [0, 0, 0])
            sum_[0] += self_us(span)
            sum_[1] += span.error is not None
            sum_[2] += not span.finished
    found = []
    for key, lengths in durations.items():
        lengths.sort()
        alone_us, errors, unfinished = sums[key]
        found.append(
            OperationStats(
                *key,
                count=len(lengths) + unfinished,
                total_us=sum(lengths),
                self_us=alone_us,
                p50_us=percentile(lengths, 50),
                p95_us=percentile(lengths, 95),
                p99_us=percentile(lengths, 99),
                max_us=lengths[-1] if lengths else 0,
                errors=errors,
                unfinished=unfinished,
            )
        )
    return sorted(found, key=lambda stats: (-stats.self_us, -stats.count, stats.place, stats.operation))


def percentile(ordered: Sequence[int], percent: int) -> int:
    """The smallest of *ordered* that at least *percent* of 100 do not exceed (nearest rank); 0 of nothing."""
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else 0
