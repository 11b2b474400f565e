# SPDX-License-Identifier: Apache-2.0
"""Replay a request as if some spans did their own work faster; and how much later each span could have ended.

The model: a span does its own work while none of the children runs that it waits for. A child begins after the children
that had ended before it, and after the work that its parent did in between. A span ends after the children that had
ended before it. So nothing begins in the replay before what it followed in reality; and what ran side by side stays
side by side. If no work is faster, the replay gives the recorded times.

A replay looks only at the spans that are faster, those above them, and what ran beside these. Work that ran alone saves
all of its time. Only a join far from the fork needs a replay of the whole request.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from osprofiler.reports.analysis import critical_path
from osprofiler.reports.analysis.timeline import CLIENT, STARTS, Timeline
from osprofiler.reports.model import Trace

#: Children of one span, from the start of one until none runs. In order of time: ``n`` for the start of the child with
#: the number n, and ``~n`` for its end.
_Stretch = list[int]


class Replay:
    """The request whose critical path is *path*, as ``critical_path.find(trace)`` returns it.

    Spans have numbers (see ``timeline``): ``numbers`` has them by span id.
    """

    def __init__(self, trace: Trace, path: critical_path.CriticalPath) -> None:
        line = Timeline(trace, path)
        self.numbers = line.numbers
        self._parents, self._starts, self._ends, self._waited = line.parents, line.starts, line.ends, line.waited
        self._events, self._waiters = line.events, line.waiters
        self._find_stretches()

    def _find_stretches(self) -> None:
        """Find what ran side by side. Only there a span that is faster may save less than its own work."""
        parents, waited = self._parents, self._waited
        count = len(parents)
        self._own_us = own_us = [0] * count
        self._stretches: list[_Stretch] = [[]]
        self._stretch_of = stretch_of = [0] * count  # of those waited for
        current = [0] * count  # by parent
        running, at_us, open_ = [0] * count, list(self._starts), bytearray(count)
        open_[CLIENT] = 1
        for time_us, phase, _, number in self._events:
            parent = parents[number]
            worker = parent if phase == STARTS else number
            if open_[worker] and not running[worker]:
                own_us[worker] += time_us - at_us[worker]
            at_us[worker] = time_us
            open_[number] = phase == STARTS
            if not waited[number]:
                continue
            if phase == STARTS:
                if not running[parent]:
                    current[parent] = len(self._stretches)
                    self._stretches.append([])
                stretch_of[number] = current[parent]
                self._stretches[current[parent]].append(number)
                running[parent] += 1
            else:
                running[parent] -= 1
                at_us[parent] = time_us
                self._stretches[current[parent]].append(~number)
        own_us[CLIENT] += 0 if running[CLIENT] else self._ends[CLIENT] - at_us[CLIENT]
        self._counts = counts = [True] * count  # whether the request waits for the span
        self._is_beside = beside = [False] * count  # whether something ran beside it, or beside a span above it
        for number in range(1, count):  # a parent's number is smaller
            parent = parents[number]
            counts[number] = waited[number] and counts[parent]
            # With a join far from its fork, nothing is known to be alone.
            beside[number] = beside[parent] or len(self._stretches[stretch_of[number]]) > 2 or bool(self._waiters)

    def saved_us(self, numbers: Iterable[int], factor: float) -> int:
        """By how much the request would be shorter if the own work of the spans *numbers* took *factor* of its time."""
        less = 1.0 - factor
        saved = 0.0
        beside: list[int] = []
        for number in numbers:
            if self._is_beside[number]:
                beside.append(number)
            elif self._counts[number]:
                saved += less * self._own_us[number]
        if beside:
            saved += self._replayed(beside, less) if self._waiters else self._gained(beside, less)
        return max(round(saved), 0)

    def _gained(self, numbers: Iterable[int], less: float) -> float:
        """How much shorter the request is if the own work of *numbers* takes *less* of its time; from the leaves up."""
        parents, is_beside = self._parents, self._is_beside
        gains = {number: less * self._own_us[number] for number in numbers if self._counts[number]}
        gained = 0.0
        above = set(gains)
        for number in gains:
            parent = parents[number]
            while is_beside[parent] and parent not in above:
                above.add(parent)
                parent = parents[parent]
        changed: dict[int, set[int]] = {}  # by parent: the stretches of several children, of which some are shorter
        for number in sorted(above, reverse=True):  # a parent's number is smaller
            gains[number] = gain = gains.get(number, 0.0) + sum(
                self._shorter_by(self._stretches[each], gains) for each in changed.pop(number, ())
            )
            parent, stretch = parents[number], self._stretch_of[number]
            if len(self._stretches[stretch]) > 2:
                changed.setdefault(parent, set()).add(stretch)
            elif is_beside[parent]:
                gains[parent] = gains.get(parent, 0.0) + gain
            else:
                gained += gain
        return gained + sum(
            self._shorter_by(self._stretches[each], gains) for some in changed.values() for each in some
        )

    def _shorter_by(self, stretch: _Stretch, gains: dict[int, float]) -> float:
        """How much shorter *stretch* becomes by the *gains* of its spans.

        Each child begins earlier by what was gained before. It may end earlier by its own gain too, but not before the
        child did that had ended before it.
        """
        gained, last_us = 0.0, -math.inf
        began: dict[int, float] = {}
        for event in stretch:
            if event >= 0:
                began[event] = gained
                continue
            end_us = self._ends[~event]
            gained = min(began[~event] + gains.get(~event, 0.0), gained + end_us - last_us)
            last_us = end_us
        return gained

    def _replayed(self, numbers: Iterable[int], less: float) -> float:
        """As ``saved_us``, by all events of the request in order of time: also right if spans wait across the tree."""
        parents, waited, waiters, starts = self._parents, self._waited, self._waiters, self._starts
        chosen = bytearray(len(starts))
        for number in numbers:
            chosen[number] = 1
        known = list(starts)  # of each span: the last time that it waited for; at first its start
        ready: list[float] = list(known)  # the same time in the replay
        cut = [0.0] * len(starts)  # the work saved since then
        at = list(starts)  # the time of its last event
        running = [0] * len(starts)  # the children that it waits for
        open_ = bytearray(len(starts))
        open_[CLIENT] = 1
        floors: dict[int, float] = {}  # by span that has not begun: the new end of a branch that it joins

        def work(number: int, until_us: int) -> None:
            if chosen[number] and open_[number] and not running[number]:
                cut[number] += less * (until_us - at[number])
            at[number] = until_us

        def wait(number: int, for_us: int, new: float) -> None:
            work(number, for_us)
            known[number], ready[number], cut[number] = for_us, max(ready[number], new), 0.0

        for time_us, phase, _, number in self._events:
            parent = parents[number]
            if phase == STARTS:
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
        return known[CLIENT] - ready[CLIENT]

    def slack_us(self) -> list[int | None]:
        """By number: how much later the span could have ended, and not the request. None: nobody waited."""
        parents, waited, waiters, starts, ends = self._parents, self._waited, self._waiters, self._starts, self._ends
        known = list(starts)
        gaps = [0] * len(starts)  # from what the span waited for to its end
        leads = [0] * len(starts)  # from what its parent waited for to its start
        for time_us, phase, _, number in self._events:
            parent = parents[number]
            if phase == STARTS:
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
            if phase == STARTS:
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
