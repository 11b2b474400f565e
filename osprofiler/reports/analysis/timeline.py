# SPDX-License-Identifier: Apache-2.0
"""The spans of a request as numbers, and their starts and ends in order of time: what a replay goes through.

Spans wait as in ``critical_path``: not for detached children, and not for a child whose end was lost. A span waits for
a child that ran on after it, but only to its own end. It waits for the branches that a join in it references. Siblings
that overlap a little ran one after the other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from osprofiler.reports.analysis import critical_path
from osprofiler.reports.model import SpanNode, Trace

#: The phase of an event, in the order of events at one instant.
ENDS, STARTS, ENDS_AT_ONCE = range(3)

#: The number of the client that sent the requests. It has no span.
CLIENT = 0


class Timeline:
    """The request whose critical path is *path*, as ``critical_path.find(trace)`` returns it.

    Spans have numbers: ``numbers`` has them by span id. A parent's number is smaller than those of its children. A span
    that is not in the request has no number. ``parents`` to ``waited`` are by number.
    """

    def __init__(self, trace: Trace, path: critical_path.CriticalPath) -> None:
        self.numbers: dict[str, int] = {}
        self.parents = [CLIENT]
        self.starts = [path.from_us]  # microseconds since the epoch
        self.ends = [path.to_us]
        self.waited = [False]  # whether the parent waits for its end
        self.events: list[tuple[int, int, int, int]] = []  # time, phase, depth (an end: negative), number
        self._last_us = trace.end_us
        self._joined_elsewhere = frozenset(_joined_elsewhere(trace))
        joins = self._read(path.of)
        self.events.sort()
        self.waiters = self._waiters_of(joins)  # by branch: the spans that wait for it, other than its parent

    def _read(self, requests: Sequence[SpanNode]) -> list[tuple[int, SpanNode]]:
        """Number the spans and note their events. Returns the joins, each with the number of a span that it blocks."""
        joins = []
        waiting = [(span, CLIENT, 1, end_us, True) for span, end_us in self._in_turn(requests)]
        while waiting:
            span, parent, depth, end_us, waited = waiting.pop()
            number = self.numbers[span.trace_id] = len(self.starts)
            within_us = self.ends[parent]
            start_us = max(span.start_us, self.starts[parent])
            waited = waited and start_us < within_us and end_us > self.starts[parent]
            if end_us > within_us and span.trace_id not in self._joined_elsewhere:
                end_us = within_us
            end_us = max(end_us, start_us)
            self.parents.append(parent)
            self.starts.append(start_us)
            self.ends.append(end_us)
            self.waited.append(waited and end_us <= within_us)
            self.events.append((start_us, STARTS, depth, number))
            self.events.append((end_us, ENDS if end_us > start_us else ENDS_AT_ONCE, -depth, number))
            if not span.children and not span.links:
                continue
            joins += [(number, join) for join in (span, *span.children) if join.links]
            for child, child_end_us in self._in_turn(span.children):
                blocks = not child.detached and (child.finished or not span.finished)
                waiting.append((child, number, depth + 1, child_end_us, blocks))
        return joins

    def _in_turn(self, siblings: Sequence[SpanNode]) -> Iterator[tuple[SpanNode, int]]:
        """*siblings*, in order of start, with their ends: cut where the next one begins, if they overlap a little."""
        starts = [span.start_us for span in siblings]
        for i, span in enumerate(siblings):
            end_us = self._last_us if span.duration_us is None else span.start_us + span.duration_us
            if i + 1 == len(starts) or starts[i + 1] >= end_us:
                yield span, end_us
                continue
            slack_us = max(critical_path.OVERLAP_US, (end_us - span.start_us) // critical_path.OVERLAP_SHARE)
            later = bisect_left(starts, end_us - slack_us, i + 1)
            if later < len(siblings) and span.start_us < starts[later] < end_us:
                other_us = siblings[later].duration_us
                other_us = self._last_us - starts[later] if other_us is None else other_us
                if critical_path.ran_in_turn(end_us - starts[later], min(end_us - span.start_us, other_us)):
                    end_us = starts[later]
            yield span, end_us

    def _waiters_of(self, joins: Iterable[tuple[int, SpanNode]]) -> dict[int, list[int]]:
        """By branch, the spans that wait for it and for which the request waits; without those that began after it."""
        waits = [
            (number, branch)
            for number, join in joins
            for link in join.links
            if (branch := self.numbers.get(link.trace_id, number)) != number
            and self.parents[branch] != number
            and not self._waits_anyway(number, branch)
        ]
        awaited = self._awaited(waits) if waits else set()
        waiters: dict[int, list[int]] = {}
        for number, branch in waits:
            if number in awaited:
                waiters.setdefault(branch, []).append(number)
        return waiters

    def _awaited(self, waits: Iterable[tuple[int, int]]) -> set[int]:
        """The spans on which the end of the request depends."""
        needs: list[list[int]] = [[parent] for parent in self.parents]  # a span begins when its parent has got there
        for number in range(1, len(needs)):
            if self.waited[number]:
                needs[self.parents[number]].append(number)
        for number, branch in waits:
            needs[number].append(branch)
        awaited = {CLIENT}
        waiting = [CLIENT]
        while waiting:
            new = [each for each in needs[waiting.pop()] if each not in awaited]
            awaited.update(new)
            waiting += new
        return awaited

    def _waits_anyway(self, number: int, branch: int) -> bool:
        """Whether the span *number* began after its parent had waited for *branch*, as the join of a fork does."""
        return (
            self.parents[number] == self.parents[branch]
            and self.waited[branch]
            and self.starts[branch] < self.ends[branch] <= self.starts[number]
        )


def _joined_elsewhere(trace: Trace) -> Iterator[str]:
    """The ids of branches that a span other than their parent waits for."""
    for join in trace.spans.values():
        for link in join.links:
            branch = trace.spans.get(link.trace_id)
            if branch is not None and branch.parent_id not in (join.trace_id, join.parent_id):
                yield branch.trace_id
