# SPDX-License-Identifier: Apache-2.0
"""Lay the spans of a trace on tracks, for viewers that draw threads. On a track, spans follow or contain each other.

A process has as many tracks as it did things at the same time. A span lies on its parent's track if it ran within the
parent, in the same process, and beside no other child there. The branches of a fork have tracks of their own.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import NamedTuple

from osprofiler.reports import wording
from osprofiler.reports.model import SpanNode, Trace


class Process(NamedTuple):
    """Where spans ran."""

    place: str  # the service; "" if unknown
    host: str | None
    pid: int | None

    def __str__(self) -> str:
        where = ", ".join([self.host or "", f"pid {self.pid}" if self.pid is not None else ""]).strip(", ")
        return wording.one_line(f"{self.place or 'unknown service'}{f' ({where})' if where else ''}")


class Event(NamedTuple):
    """The begin or the end of a span on its track."""

    at_us: int  # since the epoch
    opens: bool
    span: SpanNode


@dataclass(slots=True, eq=False)
class Track:
    """A track. Its events are in the order of time, and each end belongs to the latest begin without one."""

    process: Process
    fork: str | None  # the fork whose branches are on it
    number: int  # among the tracks of its process, from 1
    events: list[Event] = field(default_factory=list)
    _open: list[SpanNode] = field(default_factory=list)

    def __str__(self) -> str:
        return f"track {self.number}" + (f", branches of {wording.one_line(self.fork)}" if self.fork else "")

    def holds(self, span: SpanNode, trace: Trace) -> bool:
        """Whether *span* ran within its parent on this track, and beside no other child. Ends what is over."""
        while (
            self._open and self._open[-1].trace_id != span.parent_id and end_us(self._open[-1], trace) <= span.start_us
        ):
            self._close(trace)
        above = self._open[-1] if self._open else None
        return above is not None and above.trace_id == span.parent_id and end_us(span, trace) <= end_us(above, trace)

    def begin(self, span: SpanNode) -> None:
        self.events.append(Event(span.start_us, True, span))
        self._open.append(span)

    def end_all(self, trace: Trace) -> None:
        while self._open:
            self._close(trace)

    def _close(self, trace: Trace) -> None:
        span = self._open.pop()
        self.events.append(Event(end_us(span, trace), False, span))


def end_us(span: SpanNode, trace: Trace) -> int:
    """The end of *span*; for an unfinished one, the end of the trace."""
    return span.end_us if span.finished else max(trace.end_us, span.start_us)


class _Lanes:
    """The tracks of one process, or of the branches of one fork in it."""

    def __init__(self) -> None:
        self._busy: list[tuple[int, int, Track]] = []  # by end
        self._free: list[tuple[int, Track]] = []  # by number

    def take(self, span: SpanNode) -> Track | None:
        """The first track on which nothing runs when *span* starts."""
        while self._busy and self._busy[0][0] <= span.start_us:
            _, number, track = heapq.heappop(self._busy)
            heapq.heappush(self._free, (number, track))
        return heapq.heappop(self._free)[1] if self._free else None

    def keep(self, track: Track, until_us: int) -> None:
        heapq.heappush(self._busy, (until_us, track.number, track))


def of(trace: Trace) -> list[Track]:
    """The tracks of *trace*, by process in the order of their first spans. O(n log n) for n spans."""
    order = {span.trace_id: i for i, (_, span) in enumerate(trace.walk())}
    spans = sorted(trace.spans.values(), key=lambda span: (span.start_us, -end_us(span, trace), order[span.trace_id]))
    tracks: dict[Process, list[Track]] = {}
    lanes: dict[tuple[Process, str | None], _Lanes] = {}
    track_of: dict[str, Track] = {}
    for span in spans:
        process = Process(wording.place(span), span.host, span.pid)
        track = track_of.get(span.parent_id)
        if track is None or span.fork or track.process != process or not track.holds(span, trace):
            lane = lanes.setdefault((process, span.fork), _Lanes())
            track = lane.take(span)
            if track is None:
                own = tracks.setdefault(process, [])
                track = Track(process, span.fork, len(own) + 1)
                own.append(track)
            track.end_all(trace)
            lane.keep(track, end_us(span, trace))
        track.begin(span)
        track_of[span.trace_id] = track
    found = [track for own in tracks.values() for track in own]
    for track in found:
        track.end_all(trace)
    return found
