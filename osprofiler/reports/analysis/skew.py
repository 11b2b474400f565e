# SPDX-License-Identifier: Apache-2.0
"""Find and correct hosts whose clocks disagree; the corrected times are for display.

A child cannot begin before its parent. A child that its parent waited for cannot end after its parent. So each parent
and child on two hosts bound how far one clock is ahead of the other. Only times that contradict these bounds are
corrected: to the middle of the possible range, as NTP does (it assumes that both directions take equally long).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from osprofiler.reports import model
from osprofiler.reports.model import SpanNode, Trace

#: With more hosts, only hosts that call each other are compared: to compare all takes the cube of their number.
_MOST_HOSTS = 100


@dataclass(slots=True)
class _Bounds:
    """Bounds of the correction: what to add to the second host's clock so that it agrees with the first host's.

    In microseconds.
    """

    at_least: float = float("-inf")  # sure: a child cannot begin before its parent
    at_most: float = float("inf")
    wanted_at_least: float = float("-inf")  # likely: a child ends before its parent; but a parent may have given up
    wanted_at_most: float = float("inf")

    def range(self) -> tuple[float, float]:
        """The smallest and the largest possible correction; unbounded if the bounds contradict one another."""
        low, high = max(self.at_least, self.wanted_at_least), min(self.at_most, self.wanted_at_most)
        if low > high:
            low, high = self.at_least, self.at_most
        return (low, high) if low <= high else (float("-inf"), float("inf"))

    def shift(self) -> int:
        """The correction: 0 if possible, else the middle of the range, or its only bound."""
        low, high = self.range()
        if low <= 0 <= high:
            return 0
        if low == float("-inf") or high == float("inf"):
            return int(low if low > 0 else high)
        return int((low + high) // 2)


def correct(trace: Trace) -> Trace:
    """Correct the times of *trace*, in place, to the clock of the first root's host. Returns *trace*.

    Afterwards ``trace.skews`` holds the correction of each host whose times changed, and ``span.skew_us`` that of each
    span.
    """
    if trace.skews:
        return trace
    trace.skews = {host: shift for host, shift in _shifts(trace).items() if shift}
    if not trace.skews:
        return trace
    for span in trace.spans.values():
        shift = trace.skews.get(span.host or "", 0)
        if shift:
            span.skew_us = shift
            span.start_us += shift
            span.logs = [log._replace(at_us=log.at_us + shift) for log in span.logs]
    return model.linked(trace)


def _shifts(trace: Trace) -> dict[str, int]:
    """For each host the correction of its clock. Goes outwards from the first root's host, nearest hosts first."""
    neighbours: dict[str, dict[str, int]] = {}
    all_bounds = _bounds(trace)
    most = _most(all_bounds)
    for (first, second), bounds in all_bounds.items():
        shift = bounds.shift()
        neighbours.setdefault(first, {})[second] = shift
        neighbours.setdefault(second, {})[first] = -shift
    shifts: dict[str, int] = {}
    for root in trace.roots:
        if not root.host or root.host in shifts:
            continue
        shifts[root.host] = 0
        waiting = deque([root.host])
        while waiting:
            host = waiting.popleft()
            for other, shift in neighbours.get(host, {}).items():
                if other not in shifts:
                    shifts[other] = _within(most, shifts, other, shifts[host] + shift)
                    waiting.append(other)
    return shifts


def _most(all_bounds: dict[tuple[str, str], _Bounds]) -> dict[str, dict[str, float]]:
    """For each two hosts: by how much the second one's correction may exceed the first one's, over all ways between.

    Empty if no corrections satisfy all bounds, or if there are too many hosts.
    """
    hosts = sorted({host for pair in all_bounds for host in pair})
    if len(hosts) > _MOST_HOSTS:
        return {}
    most = {host: dict.fromkeys(hosts, float("inf")) | {host: 0.0} for host in hosts}
    for (first, second), bounds in all_bounds.items():
        low, high = bounds.range()
        most[first][second], most[second][first] = high, -low
    for between in hosts:
        onwards = most[between]
        for row in most.values():
            so_far = row[between]
            if so_far < float("inf"):
                for host, length in onwards.items():
                    row[host] = min(row[host], so_far + length)
    return most if all(most[host][host] >= 0 for host in hosts) else {}


def _within(most: dict[str, dict[str, float]], shifts: dict[str, int], host: str, wanted: int) -> int:
    """The correction of *host* that is nearest to *wanted* and agrees with the corrections already in *shifts*."""
    if host not in most:
        return wanted
    placed = [(other, shift) for other, shift in shifts.items() if other in most]
    low = max((shift - most[host][other] for other, shift in placed), default=wanted)
    high = min((shift + most[other][host] for other, shift in placed), default=wanted)
    return int(min(max(wanted, low), high))


def _bounds(trace: Trace) -> dict[tuple[str, str], _Bounds]:
    all_bounds: dict[tuple[str, str], _Bounds] = {}
    for parent, child in _crossings(trace):
        hosts = (parent.host or "", child.host or "")
        at_least, at_most = parent.start_us - child.start_us, float("inf")
        if _was_waited_for(parent, child):
            at_most = parent.end_us - child.end_us
        if hosts[0] < hosts[1]:
            bounds = all_bounds.setdefault(hosts, _Bounds())
            bounds.at_least = max(bounds.at_least, at_least)
            bounds.wanted_at_most = min(bounds.wanted_at_most, at_most)
        else:
            bounds = all_bounds.setdefault((hosts[1], hosts[0]), _Bounds())
            bounds.at_most = min(bounds.at_most, -at_least)
            bounds.wanted_at_least = max(bounds.wanted_at_least, -at_most)
    return all_bounds


def _crossings(trace: Trace) -> Iterator[tuple[SpanNode, SpanNode]]:
    """The pairs of parent and child on two hosts, if both starts are known."""
    for parent in trace.spans.values():
        if parent.host and parent.has_start:
            for child in parent.children:
                if child.host and child.host != parent.host and child.has_start:
                    yield parent, child


def _was_waited_for(parent: SpanNode, child: SpanNode) -> bool:
    """Whether the child must have ended before its parent. A failed parent may have stopped waiting (a timeout)."""
    if child.detached or parent.error or parent.duration_us is None or child.duration_us is None:
        return False
    return child.duration_us <= parent.duration_us
