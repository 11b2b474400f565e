# SPDX-License-Identifier: Apache-2.0
"""The critical path: at each moment of a request, the one span that all later spans had to wait for.

The path is found from the end back to the start. The *blocker* of a span is the span within it that ended last: a child
that it waited for, or a branch that a join in it references, wherever that branch was forked. After the end of its
blocker the span itself is on the path. Before, the path continues in the blocker; at the start of the blocker it
continues in the blocker's parent. So the sections of the path have no gaps, and their lengths add up to the length of
the request.

A child that still ran when its parent ended blocked its parent to the end: a server's span ends a little after the
client has received the answer. A child that still ran when its sibling began did not block the sibling. A child whose
end is unknown, though its parent has ended, blocks nothing. Clocks are not exact: two siblings that overlap by one
microsecond, or by at most 1/``OVERLAP_SHARE`` of the shorter one, ran one after the other.

A client that is not traced can send several requests in one trace; each is a root. The path goes through these requests
in turn, and the time between them belongs to the client. Work that no span waited for is only on the path of the whole
trace.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

from osprofiler.reports.model import SpanNode, Trace

#: Siblings that overlap by at most OVERLAP_US, or 1/OVERLAP_SHARE of the shorter one, ran one after the other.
OVERLAP_US, OVERLAP_SHARE = 1, 100

#: Stands for a client that is not traced, but its requests are; no real span has its id.
CLIENT = SpanNode("", "", "client", "client, between its requests", duration_us=0, has_start=True)


class Section(NamedTuple):
    """One section of the path."""

    span: SpanNode  # or CLIENT
    from_us: int  # since the epoch
    to_us: int
    waiting: bool  # the span had not begun yet, though the spans that it waited for had ended

    @property
    def duration_us(self) -> int:
        return self.to_us - self.from_us


class Share(NamedTuple):
    """The time of one span on the path, in microseconds."""

    span: SpanNode
    self_us: int
    waiting_us: int


@dataclass(slots=True)
class CriticalPath:
    """The path from ``from_us`` to ``to_us``, in microseconds since the epoch; ``sections`` are in order of time.

    ``of`` holds the spans whose path it is: the requests of a client in order of start, or the one chosen span.
    """

    from_us: int
    to_us: int
    of: Sequence[SpanNode] = ()
    sections: list[Section] = field(default_factory=list)

    def shares(self) -> list[Share]:
        """The shares of the spans on the path, the largest first; each span once."""
        sums: dict[SpanNode, list[int]] = {}
        for section in self.sections:
            sums.setdefault(section.span, [0, 0])[section.waiting] += section.duration_us
        shares = [Share(span, self_us, waiting_us) for span, (self_us, waiting_us) in sums.items()]
        return sorted(shares, key=lambda share: -share.self_us - share.waiting_us)


def find(trace: Trace, span: SpanNode | None = None, *, whole: bool = False) -> CriticalPath:
    """The critical path of *span*; by default of the requests, from the first start to the last end.

    With *whole*: the path to the last end in the trace, also through work that no span waited for.
    """
    if not trace.spans:
        return CriticalPath(0, 0)
    walk = _Walk(trace, _requests(trace) if span is None else [span])
    return walk.back(trace.spans.values(), trace.start_us) if whole else walk.back(walk.requests, None)


def ran_in_turn(overlap_us: int, shorter_us: int) -> bool:
    """Whether two siblings that overlap, the shorter one *shorter_us* long, ran one after the other."""
    return overlap_us <= OVERLAP_US or overlap_us * OVERLAP_SHARE <= shorter_us


def _requests(trace: Trace) -> list[SpanNode]:
    """The roots that a client sent, in order of start. If the parents of all roots are missing: those not detached.

    A root whose end was lost counts only if no root was sent after it.
    """
    sent = [root for root in trace.roots if not root.parent_missing]
    sent = sent or [root for root in trace.roots if not root.detached] or trace.roots[:1]
    return [root for root in sent if root.finished or root is sent[-1]]


class _Walk:
    """Finds the path. It only goes back in time, so it looks at each span once: O(n log n) in total."""

    def __init__(self, trace: Trace, requests: list[SpanNode]) -> None:
        self.requests = requests
        self._trace = trace
        self._parents = {child.trace_id: span for span in trace.spans.values() for child in span.children}
        self._blockers: dict[
            str, list[SpanNode]
        ] = {}  # by span: possible blockers not yet passed, the last to end last
        # By span that the path has left: the span above where it continues, and that span's child on the way up.
        self._above: dict[str, tuple[SpanNode | None, SpanNode]] = {}
        self._sent = frozenset(requests)
        self._starts = [request.start_us for request in requests]
        self._last_to_end = list(accumulate(requests, self._later_to_end))

    def end(self, span: SpanNode) -> int:
        """The end of *span*; an unfinished span lasts to the end of the trace."""
        return self._trace.end_us if span.duration_us is None else span.start_us + span.duration_us

    def _later_to_end(self, one: SpanNode, other: SpanNode) -> SpanNode:
        return other if self.end(other) > self.end(one) else one

    def back(self, spans: Iterable[SpanNode], from_us: int | None) -> CriticalPath:
        """The path to the last end of *spans*, from *from_us* or from the start of the first request.

        Above a root the path continues in the request that ran at that time.
        """
        span = max(spans, key=lambda each: (self.end(each), -each.start_us))
        path = CriticalPath(self._starts[0] if from_us is None else from_us, self.end(span), self.requests)
        from_us, at_us, entered = path.from_us, path.to_us, True
        later: SpanNode | None = None  # the child that began at at_us, if the path comes from a child
        while at_us > from_us:
            blocker = self._blocker(span, at_us, entered, later)
            before_us = span.start_us if blocker is None else min(self.end(blocker), at_us)
            if before_us < at_us:
                _add(path, span, before_us, at_us, False)
                at_us = before_us
            if blocker is not None:
                span, entered, later = blocker, True, None
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
        """The request that ended last, of the requests sent before *at_us*."""
        sent = bisect_left(self._starts, at_us)
        return self._last_to_end[sent - 1] if sent else None

    def _blocker(self, span: SpanNode, at_us: int, entered: bool, later: SpanNode | None) -> SpanNode | None:
        """The blocker of *span* before *at_us*; None if none ended after the span began.

        *entered*: the path enters the span at *at_us*, so a blocker that was then running counts as ended there.
        *later*: the child that began at *at_us*, which the blocker may have blocked.
        """
        candidates = self._blockers.get(span.trace_id)
        if candidates is None:
            # The last to end is taken first; of two with the same end, the longer one.
            candidates = []
            if span.children or span.links:
                candidates = sorted(self._candidates(span), key=lambda each: (self.end(each), -each.start_us))
            self._blockers[span.trace_id] = candidates
        while candidates:
            last = candidates[-1]
            if self.end(last) <= span.start_us:
                return None
            candidates.pop()
            if self.end(last) <= at_us or (last.start_us < at_us and (entered or self._in_turn(last, later, at_us))):
                return last
        return None

    def _in_turn(self, earlier: SpanNode, later: SpanNode | None, at_us: int) -> bool:
        """Whether *earlier* ended before *later* began, at *at_us*. Clocks are inexact: a small overlap is allowed."""
        if later is None:
            return False
        shorter_us = min(self.end(each) - each.start_us for each in (earlier, later))
        return ran_in_turn(self.end(earlier) - at_us, shorter_us)

    def _candidates(self, span: SpanNode) -> Iterator[SpanNode]:
        candidates = {child.trace_id: child for child in span.children if not child.detached}
        for join in (span, *span.children):
            for link in join.links:
                branch = self._trace.spans.get(link.trace_id)
                if branch is not None and branch is not span:
                    candidates[branch.trace_id] = branch
        return (each for each in candidates.values() if each.finished or not span.finished)

    def _next_above(self, span: SpanNode, at_us: int) -> tuple[SpanNode | None, SpanNode]:
        """The nearest span above *span* that began before *at_us*, and its child on the way down to *span*.

        Without such a span: None and the root. The path does not come back to the spans passed here.
        """
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
    """Add the next earlier section, cut to the beginning of the path; merge it with the next one of the same span."""
    from_us = max(from_us, path.from_us)
    if to_us <= from_us:
        return
    if path.sections:
        later = path.sections[-1]
        if later.span is span and later.waiting == waiting:
            path.sections[-1] = later._replace(from_us=from_us)
            return
    path.sections.append(Section(span, from_us, to_us, waiting))
