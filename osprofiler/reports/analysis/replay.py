# SPDX-License-Identifier: Apache-2.0
"""Replay a request as if some spans did their own work faster; and how much later each span could have ended.

The model: a span does its own work while none of the children runs that it waits for. A child begins after the children
that had ended before it, and after the work that its parent did in between. A span ends after the children that had
ended before it. So nothing begins in the replay before what it followed in reality; and what ran side by side stays
side by side. If no work is faster, the replay gives the recorded times.

Spans wait as in ``critical_path``: not for detached children, and not for a child whose end was lost. A span waits for
a child that ran on after it, but only to its own end. It waits for the branches that a join in it references. Siblings
that overlap a little ran one after the other.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from osprofiler.reports.analysis import critical_path
from osprofiler.reports.model import SpanNode, Trace

_ENDS, _STARTS, _ENDS_AT_ONCE = range(3)  # the order of events at one instant

#: The number of the client that sent the requests. It has no span.
CLIENT = 0


@dataclass(slots=True, eq=False)
class _Stretch:
    """Children of *parent*, from the start of one until none runs."""

    parent: int
    from_event: int
    to_event: int = 0
    is_parallel: bool = False  # two of the children overlap


class Replay:
    """The request whose critical path is *path*, as ``critical_path.find(trace)`` returns it.

    Spans have numbers: ``numbers`` has them by span id. A span that is not in the request has no number.
    """

    def __init__(self, trace: Trace, path: critical_path.CriticalPath) -> None:
        self.numbers: dict[str, int] = {}
        self._last_us = trace.end_us
        self._parents = [CLIENT]
        self._starts = [path.from_us]
        self._ends = [path.to_us]
        self._waited = [False]  # whether the parent waits for its end
        self._events: list[tuple[int, int, int, int]] = []  # time, phase, depth (an end: negative), number
        self._joined_elsewhere = frozenset(_joined_elsewhere(trace))
        joins = self._read(path.of)
        self._events.sort()
        self._waiters: dict[int, list[int]] = {}  # by branch: the spans that join it, other than its parent
        for number, join in joins:
            for link in join.links:
                branch = self.numbers.get(link.trace_id, number)
                if branch != number and self._parents[branch] != number:
                    self._waiters.setdefault(branch, []).append(number)
        self._find_stretches()

    def _read(self, requests: Sequence[SpanNode]) -> list[tuple[int, SpanNode]]:
        """Number the spans and note their events. Returns the joins, each with the number of a span that it blocks."""
        joins = []
        waiting = [(span, CLIENT, 1, end_us, True) for span, end_us in self._in_turn(requests)]
        while waiting:
            span, parent, depth, end_us, waited = waiting.pop()
            number = self.numbers[span.trace_id] = len(self._starts)
            within_us = self._ends[parent]
            start_us = max(span.start_us, self._starts[parent])
            waited = waited and start_us < within_us and end_us > self._starts[parent]
            if end_us > within_us and span.trace_id not in self._joined_elsewhere:
                end_us = within_us
            end_us = max(end_us, start_us)
            self._parents.append(parent)
            self._starts.append(start_us)
            self._ends.append(end_us)
            self._waited.append(waited and end_us <= within_us)
            self._events.append((start_us, _STARTS, depth, number))
            self._events.append((end_us, _ENDS if end_us > start_us else _ENDS_AT_ONCE, -depth, number))
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
            slack_us = max(critical_path.OVERLAP_US, (end_us - span.start_us) // critical_path.OVERLAP_SHARE)
            later = bisect_left(starts, end_us - slack_us, i + 1)
            if later < len(siblings) and span.start_us < starts[later] < end_us:
                other_us = siblings[later].duration_us
                other_us = self._last_us - starts[later] if other_us is None else other_us
                if critical_path.ran_in_turn(end_us - starts[later], min(end_us - span.start_us, other_us)):
                    end_us = starts[later]
            yield span, end_us

    def saved_us(self, numbers: Iterable[int], factor: float) -> int:
        """By how much the request would be shorter if the own work of the spans *numbers* took *factor* of its time."""
        saved = 0.0
        side_by_side: dict[_Stretch, list[int]] = {}
        for number in numbers:
            stretch = self._stretches[number]
            if stretch is not None:
                side_by_side.setdefault(stretch, []).append(number)
            elif self._counts[number]:
                saved += (1.0 - factor) * self._own_us[number]
        saved += sum(self._replayed(stretch, chosen, 1.0 - factor) for stretch, chosen in side_by_side.items())
        return max(round(saved), 0)

    def _find_stretches(self) -> None:
        """Find what ran side by side. Only there a span that is faster may save less than its own work."""
        count = len(self._starts)
        self._own_us = [0] * count
        self._counts = [True] * count  # whether the request waits for the span
        self._stretches: list[_Stretch | None] = [None] * count  # the outermost one that the span is in
        running, at, open_ = [0] * count, list(self._starts), bytearray(count)
        open_[CLIENT] = 1
        current: dict[int, _Stretch] = {}  # by parent
        own_stretch: dict[int, _Stretch] = {}
        for i, (time_us, phase, _, number) in enumerate(self._events):
            parent = self._parents[number]
            worker = parent if phase == _STARTS else number
            if open_[worker] and not running[worker]:
                self._own_us[worker] += time_us - at[worker]
            at[worker] = time_us
            open_[number] = phase == _STARTS
            if not self._waited[number]:
                continue
            if phase == _STARTS:
                if running[parent]:
                    current[parent].is_parallel = True
                else:
                    current[parent] = _Stretch(parent, i)
                own_stretch[number] = current[parent]
                running[parent] += 1
            else:
                running[parent] -= 1
                at[parent] = time_us
                current[parent].to_event = i + 1
        self._own_us[CLIENT] += 0 if running[CLIENT] else self._ends[CLIENT] - at[CLIENT]
        whole = _Stretch(CLIENT, 0, len(self._events))
        for number in range(1, count):  # a parent's number is smaller
            parent = self._parents[number]
            if self._waiters:  # a join far away: nothing is known to be alone
                self._stretches[number] = whole
            elif not (self._waited[number] and self._counts[parent]):
                self._counts[number] = False
            elif self._stretches[parent] or own_stretch[number].is_parallel:
                self._stretches[number] = self._stretches[parent] or own_stretch[number]

    def _replayed(self, stretch: _Stretch, numbers: Iterable[int], less: float) -> float:
        """The microseconds that *stretch* is shorter if the own work of *numbers* takes *less* of its time."""
        parents, waited, waiters, starts = self._parents, self._waited, self._waiters, self._starts
        chosen = bytearray(len(starts))
        for number in numbers:
            chosen[number] = 1
        known = list(starts)  # of each span: the last time that it waited for; at first its start
        known[stretch.parent] = self._events[stretch.from_event][0]
        ready: list[float] = list(known)  # the same time in the replay
        cut = [0.0] * len(starts)  # the work saved since then
        at = list(starts)  # the time of its last event
        running = [0] * len(starts)  # the children that it waits for
        open_ = bytearray(len(starts))
        open_[stretch.parent] = 1
        floors: dict[int, float] = {}  # by span that has not begun: the new end of a branch that it joins

        def work(number: int, until_us: int) -> None:
            if chosen[number] and open_[number] and not running[number]:
                cut[number] += less * (until_us - at[number])
            at[number] = until_us

        def wait(number: int, for_us: int, new: float) -> None:
            work(number, for_us)
            known[number], ready[number], cut[number] = for_us, max(ready[number], new), 0.0

        for time_us, phase, _, number in self._events[stretch.from_event : stretch.to_event]:
            parent = parents[number]
            if phase == _STARTS:
                work(parent, time_us)
                new = ready[parent] + (time_us - known[parent]) - cut[parent]
                ready[number], open_[number] = max(new, floors.get(number, new)), 1
                running[parent] += waited[number]
                continue
            work(number, time_us)
            new = ready[number] + (time_us - known[number]) - cut[number]
            known[number], ready[number], cut[number], open_[number] = time_us, new, 0.0, 0
            if waited[number]:
                wait(parent, time_us, new)
                running[parent] -= 1
            for waiter in waiters.get(number, ()):
                if open_[waiter]:
                    wait(waiter, time_us, new)
                elif starts[waiter] >= time_us:
                    floors[waiter] = max(floors.get(waiter, new), new)
        return known[stretch.parent] - ready[stretch.parent]

    def slack_us(self) -> list[int | None]:
        """By number: how much later the span could have ended, and not the request. None: nobody waited."""
        parents, waited, waiters, starts, ends = self._parents, self._waited, self._waiters, self._starts, self._ends
        known = list(starts)
        gaps = [0] * len(starts)  # from what the span waited for to its end
        leads = [0] * len(starts)  # from what its parent waited for to its start
        for time_us, phase, _, number in self._events:
            parent = parents[number]
            if phase == _STARTS:
                leads[number] = time_us - known[parent]
                continue
            gaps[number], known[number] = time_us - known[number], time_us
            if waited[number]:
                known[parent] = time_us
            for waiter in waiters.get(number, ()):
                if starts[waiter] < time_us <= ends[waiter]:
                    known[waiter] = time_us
        latest: list[float] = [math.inf] * len(starts)  # going back: until when the span may wait at this time
        latest[CLIENT] = known[CLIENT]
        slack: list[int | None] = [None] * len(starts)
        slack[CLIENT] = 0
        for time_us, phase, _, number in reversed(self._events):
            parent = parents[number]
            if phase == _STARTS:
                latest[parent] = min(latest[parent], latest[number] - leads[number])
                continue
            end = latest[number]  # of what begins after its end
            if waited[number]:
                end = min(end, latest[parent])
            end = min([end, *(latest[waiter] for waiter in waiters.get(number, ()) if time_us <= ends[waiter])])
            if end < math.inf:
                slack[number] = max(int(end) - time_us, 0)
            latest[number] = end - gaps[number]
        return slack


def _joined_elsewhere(trace: Trace) -> Iterator[str]:
    """The ids of branches that a span other than their parent waits for."""
    for join in trace.spans.values():
        for link in join.links:
            branch = trace.spans.get(link.trace_id)
            if branch is not None and branch.parent_id not in (join.trace_id, join.parent_id):
                yield branch.trace_id
