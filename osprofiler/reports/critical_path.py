# SPDX-License-Identifier: Apache-2.0
"""Which spans made a request slow: at each moment of it, the one span that all that came later had to wait for.

The path is walked from the end back to the start. A span was held up last by whatever ended last within it: a child
that it waited for, or a branch that a join in it references, wherever that branch was forked. Until then the span is on
the path itself, before that the path goes on in the other one, and at that one's start in its parent. So the parts of
the path follow one another without a gap, and their lengths add up to the request's.

A child still running when its parent ended held it up to the end: a server's span ends a little after its answer is
received. One still running when its sibling began did not hold that sibling up, nor does one whose end is unknown
though its parent has ended. What nobody waited for is on the path only where the whole trace is asked about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from osprofiler.reports.model import SpanNode, Trace


class Section(NamedTuple):
    """A part of the path."""

    span: SpanNode
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
    """The path from ``from_us`` to ``to_us``, microseconds since the epoch; ``sections`` by time."""

    from_us: int
    to_us: int
    sections: list[Section] = field(default_factory=list)

    def shares(self) -> list[Share]:
        """Each span on the path once, the largest share first."""
        spans: dict[str, SpanNode] = {}
        sums: dict[str, list[int]] = {}
        for section in self.sections:
            spans[section.span.trace_id] = section.span
            sums.setdefault(section.span.trace_id, [0, 0])[section.waiting] += section.duration_us
        found = [Share(spans[trace_id], *both) for trace_id, both in sums.items()]
        return sorted(found, key=lambda share: -share.self_us - share.waiting_us)


def find(trace: Trace, span: SpanNode | None = None, *, whole: bool = False) -> CriticalPath:
    """The critical path of *span*, by default the first root: the request as its caller saw it.

    With *whole* it is the path to whatever ended last in the trace, through what nobody waited for.
    """
    if not trace.spans:
        return CriticalPath(0, 0)
    walk = _Walk(trace)
    if whole:
        last = max(trace.spans.values(), key=lambda each: (walk.end(each), -each.start_us))
        return walk.back(last, trace.roots[0], trace.start_us)
    top = span or trace.roots[0]
    return walk.back(top, top, top.start_us)


class _Walk:
    """Time only runs back, so what has been passed over once is never looked at again: O(n log n) in all."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._parents = {child.trace_id: span for span in trace.spans.values() for child in span.children}
        self._holders: dict[str, list[SpanNode]] = {}  # what may have held a span up and is not passed, last end last
        self._above: dict[str, SpanNode | None] = {}  # where to go on above a span that has been left

    def end(self, span: SpanNode) -> int:
        """When *span* ended; one that has not goes on to the end of all that is known."""
        return self._trace.end_us if span.duration_us is None else span.start_us + span.duration_us

    def back(self, last: SpanNode, top: SpanNode, from_us: int) -> CriticalPath:
        """The path that ends with *last* and begins at *from_us*; what leads out of the tree goes on in *top*."""
        path = CriticalPath(from_us, self.end(last))
        span, at_us, entered = last, path.to_us, True
        while at_us > from_us:
            holder = self._holder(span, at_us, entered)
            before_us = span.start_us if holder is None else min(self.end(holder), at_us)
            if before_us < at_us:
                _add(path, span, before_us, at_us, False)
                at_us = before_us
            if holder is not None:
                span, entered = holder, True
                continue
            above = self._next_above(span, at_us) or (top if top.start_us < at_us else None)
            if above is None:
                _add(path, span, from_us, at_us, True)
                break
            entered = self.end(above) < at_us
            if entered:
                _add(path, span, self.end(above), at_us, True)
                at_us = self.end(above)
            span = above
        path.sections.reverse()
        return path

    def _holder(self, span: SpanNode, at_us: int, entered: bool) -> SpanNode | None:
        """What held *span* up last before *at_us*, and had not ended when the span began.

        *entered*: at_us is as late as the span is looked at, so what was then running counts as ended there.
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
            if self.end(last) <= at_us or (entered and last.start_us < at_us):
                return last
        return None

    def _candidates(self, span: SpanNode) -> Iterator[SpanNode]:
        found = {child.trace_id: child for child in span.children if not child.detached}
        for holder in (span, *span.children):
            for link in holder.links:
                joined = self._trace.spans.get(link.trace_id)
                if joined is not None and joined is not span:
                    found[joined.trace_id] = joined
        return (each for each in found.values() if each.finished or not span.finished)

    def _next_above(self, span: SpanNode, at_us: int) -> SpanNode | None:
        """The nearest span above that had begun before *at_us*. Those passed here are through for good."""
        passed = []
        at: SpanNode | None = span
        while at is not None:
            passed.append(at.trace_id)
            at = self._above[at.trace_id] if at.trace_id in self._above else self._parents.get(at.trace_id)
            if at is not None and at.start_us < at_us:
                break
        for trace_id in passed:
            self._above[trace_id] = at
        return at


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
