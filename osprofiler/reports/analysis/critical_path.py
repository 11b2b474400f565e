# SPDX-License-Identifier: Apache-2.0
"""Which spans made a request slow: at each moment of it, the one span that all that came later had to wait for.

The path is walked from the end back to the start. A span was held up last by whatever ended last within it: a child
that it waited for, or a branch that a join in it references, wherever that branch was forked. Until then the span is on
the path itself, before that the path goes on in the other one, and at that one's start in its parent. So the parts of
the path follow one another without a gap, and their lengths add up to the request's.

A child still running when its parent ended held it up to the end: a server's span ends a little after its answer is
received. One still running when its sibling began did not hold that sibling up, nor does one whose end is unknown
though its parent has ended. Clocks are not that exact: siblings that overlap by a microsecond, or by at most
1/``OVERLAP_SHARE`` of the shorter one, ran one after the other.

A client that is not traced itself sends several requests in one trace, each of them a root. The path goes through them
in turn, and the time in which none of them ran is the client's. What nobody waited for is on the path only where the
whole trace is asked about.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from osprofiler.reports.model import SpanNode, Trace

#: How long two siblings may overlap and still run one after the other: a microsecond, or this part of the shorter one.
OVERLAP_US, OVERLAP_SHARE = 1, 100

#: Stands for a client of which only the requests are traced; no span has its id.
CLIENT = SpanNode("", "", "client", "client, between its requests", duration_us=0, has_start=True)


class Section(NamedTuple):
    """A part of the path."""

    span: SpanNode  # or CLIENT
    from_us: int  # since the epoch
    to_us: int
    waiting: bool  # the span was about to come: what it comes from had ended, and it had not begun

    @property
    def duration_us(self) -> int:
        return self.to_us - self.from_us


class Share(NamedTuple):
    """What one span contributes to the path, in microseconds."""

    span: SpanNode
    self_us: int
    waiting_us: int


@dataclass(slots=True)
class CriticalPath:
    """The path from ``from_us`` to ``to_us``, microseconds since the epoch; ``sections`` by time.

    ``of``: the spans that it explains: the requests of a client by start, or the one span asked about.
    """

    from_us: int
    to_us: int
    of: Sequence[SpanNode] = ()
    sections: list[Section] = field(default_factory=list)

    def shares(self) -> list[Share]:
        """Each span on the path once, the largest share first."""
        sums: dict[SpanNode, list[int]] = {}
        for section in self.sections:
            sums.setdefault(section.span, [0, 0])[section.waiting] += section.duration_us
        found = [Share(span, *both) for span, both in sums.items()]
        return sorted(found, key=lambda share: -share.self_us - share.waiting_us)


def find(trace: Trace, span: SpanNode | None = None, *, whole: bool = False) -> CriticalPath:
    """The critical path of *span*, by default of the requests: from the first one's start to the last one's end.

    With *whole* it is the path to whatever ended last in the trace, through what nobody waited for.
    """
    if not trace.spans:
        return CriticalPath(0, 0)
    walk = _Walk(trace, _requests(trace) if span is None else [span])
    return walk.back(trace.spans.values(), trace.start_us) if whole else walk.back(walk.requests, None)


def _requests(trace: Trace) -> list[SpanNode]:
    """The roots that a client sent, by start; where all parents are missing, those that somebody waited for.

    One whose end was lost counts only if none was sent after it.
    """
    sent = [root for root in trace.roots if not root.parent_missing]
    sent = sent or [root for root in trace.roots if not root.detached] or trace.roots[:1]
    return [root for root in sent if root.finished or root is sent[-1]]


class _Walk:
    """Time only runs back, so what has been passed over once is never looked at again: O(n log n) in all."""

    def __init__(self, trace: Trace, requests: list[SpanNode]) -> None:
        self.requests = requests
        self._trace = trace
        self._parents = {child.trace_id: span for span in trace.spans.values() for child in span.children}
        self._holders: dict[str, list[SpanNode]] = {}  # what may have held a span up and is not passed, last end last
        # Where to go on above a span that has been left, and the span directly below on the way there.
        self._above: dict[str, tuple[SpanNode | None, SpanNode]] = {}
        self._sent = frozenset(requests)
        self._starts = [request.start_us for request in requests]
        self._last_to_end = list(accumulate(requests, self._later_to_end))

    def end(self, span: SpanNode) -> int:
        """When *span* ended; one that has not goes on to the end of all that is known."""
        return self._trace.end_us if span.duration_us is None else span.start_us + span.duration_us

    def _later_to_end(self, one: SpanNode, other: SpanNode) -> SpanNode:
        return other if self.end(other) > self.end(one) else one

    def back(self, spans: Iterable[SpanNode], from_us: int | None) -> CriticalPath:
        """The path to what ended last of *spans*, from *from_us* or the first request's start on.

        What leads out of the tree goes on in the request that was under way then.
        """
        span = max(spans, key=lambda each: (self.end(each), -each.start_us))
        path = CriticalPath(self._starts[0] if from_us is None else from_us, self.end(span), self.requests)
        from_us, at_us, entered = path.from_us, path.to_us, True
        later: SpanNode | None = None  # the child that began at at_us, where the path comes from one
        while at_us > from_us:
            holder = self._holder(span, at_us, entered, later)
            before_us = span.start_us if holder is None else min(self.end(holder), at_us)
            if before_us < at_us:
                _add(path, span, before_us, at_us, False)
                at_us = before_us
            if holder is not None:
                span, entered, later = holder, True, None
                continue
            above, below = self._next_above(span, at_us)
            is_sent = above is None and below in self._sent
            above = above or self._request_before(at_us)
            if above is None:
                _add(path, span, from_us, at_us, True)
                break
            entered, later = self.end(above) < at_us, below
            if entered:
                _add(path, CLIENT if is_sent else span, self.end(above), at_us, not is_sent)
                at_us, later = self.end(above), None
            span = above
        path.sections.reverse()
        return path

    def _request_before(self, at_us: int) -> SpanNode | None:
        """Of the requests sent before *at_us* the last to end."""
        sent = bisect_left(self._starts, at_us)
        return self._last_to_end[sent - 1] if sent else None

    def _holder(self, span: SpanNode, at_us: int, entered: bool, later: SpanNode | None) -> SpanNode | None:
        """What held *span* up last before *at_us*, and had not ended when the span began.

        *entered*: at_us is as late as the span is looked at, so what was then running counts as ended there. *later*:
        the child that was held up, or would have been, by what is looked for.
        """
        waiting = self._holders.get(span.trace_id)
        if waiting is None:
            # By end, then those that began later first: of two that end together the longer one is met first.
            found = sorted(self._candidates(span), key=lambda each: (self.end(each), -each.start_us))
            waiting = self._holders[span.trace_id] = found
        while waiting:
            last = waiting[-1]
            if self.end(last) <= span.start_us:
                return None
            waiting.pop()
            if self.end(last) <= at_us or (last.start_us < at_us and (entered or self._in_turn(last, later, at_us))):
                return last
        return None

    def _in_turn(self, earlier: SpanNode, later: SpanNode | None, at_us: int) -> bool:
        """Whether *earlier* overlaps the beginning of *later*, at *at_us*, by no more than clocks may be wrong."""
        if later is None:
            return False
        overlap_us = self.end(earlier) - at_us
        shorter_us = min(self.end(each) - each.start_us for each in (earlier, later))
        return overlap_us <= OVERLAP_US or overlap_us * OVERLAP_SHARE <= shorter_us

    def _candidates(self, span: SpanNode) -> Iterator[SpanNode]:
        found = {child.trace_id: child for child in span.children if not child.detached}
        for holder in (span, *span.children):
            for link in holder.links:
                joined = self._trace.spans.get(link.trace_id)
                if joined is not None and joined is not span:
                    found[joined.trace_id] = joined
        return (each for each in found.values() if each.finished or not span.finished)

    def _next_above(self, span: SpanNode, at_us: int) -> tuple[SpanNode | None, SpanNode]:
        """The nearest span above that had begun before *at_us*, and the one directly below it on the way there; without
        such a span None and the root. Those passed here are through for good."""
        passed = []
        at: SpanNode | None = span
        below = span
        while at is not None:
            passed.append(at.trace_id)
            at, below = self._above.get(at.trace_id) or (self._parents.get(at.trace_id), at)
            if at is not None and at.start_us < at_us:
                break
        for trace_id in passed:
            self._above[trace_id] = at, below
        return at, below


def _add(path: CriticalPath, span: SpanNode, from_us: int, to_us: int, waiting: bool) -> None:
    """Put an earlier part before those there are, cut to the path's beginning; parts of one span become one."""
    from_us = max(from_us, path.from_us)
    if to_us <= from_us:
        return
    if path.sections:
        later = path.sections[-1]
        if later.span is span and later.waiting == waiting:
            path.sections[-1] = later._replace(from_us=from_us)
            return
    path.sections.append(Section(span, from_us, to_us, waiting))
