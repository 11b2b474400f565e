# SPDX-License-Identifier: Apache-2.0
"""The current point as an immutable linked node: a span, and the point in which it was opened.

Flows share no stack, so a thread, greenthread or task that inherits a point cannot change the points of its parent.
No ``contextvars.Token`` is kept, so a generator may stop in one context and be closed in another. The former point is
restored by value.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import opentracing

from osprofiler.context import current
from osprofiler.context.origin import Origin
from osprofiler.context.trace_context import SAMPLED, TraceContext
from osprofiler.records import names

if TYPE_CHECKING:
    from osprofiler.context.faults import Passage
    from osprofiler.tracer.span import Span

#: The ``end_tick`` that a forked child gives to the open spans of its parent; no clock returns it.
LEFT_TO_PARENT = 0

#: The ``finish_on_close`` of a scope that has been closed.
CLOSED = None

_get_ident = threading.get_ident
_modules = sys.modules
_new = object.__new__


class Point(opentracing.Scope):
    """One node of the current chain: a span, and the point in which it was opened. It is also the span's scope.

    A node without a span is the virtual root that an ``init`` made.
    """

    __slots__ = ("finish_on_close", "inner_fault", "origin", "parent", "span")

    inner_fault: Passage  # the last exception that ended a point inside this one; not set before the first

    def __init__(
        self, span: Span | None, parent: Point | None, origin: Origin, finish_on_close: bool | None = True
    ) -> None:
        self.span = span
        self.parent = parent
        self.origin = origin
        self.finish_on_close = finish_on_close

    @property
    def manager(self) -> opentracing.ScopeManager:
        return current.manager

    def close(self) -> None:
        """Leave the scope, and finish the span if it was activated with finish_on_close. A second call does nothing.

        The call also does nothing while a scope that was activated inside this one is still open: OpenTracing allows
        only the active scope to be closed. Trace points that a bare ``start`` left open inside end here.
        """
        at = current.point.get()
        if at is not None and at.inside(self):
            if any(node.is_foreign for node in at.up_to(self)):
                return
            finish_bare(at, self)
            current.point.set(self.parent)
        if self.finish_on_close and self.span is not None and not getattr(self.span, "finished", False):
            self.span.finish()
        self.finish_on_close = CLOSED

    def end(self, info: Mapping[str, Any] | None = None, fault: BaseException | None = None) -> None:
        """Close this trace point and all points left open inside it, and make the point above it current.

        *info* and *fault* describe the end of its work: see ``Span.conclude``.
        """
        at = current.point.get()
        if at is self:
            current.point.set(self.parent)
        elif at is not None and at.inside(self):
            finish_unclosed(at, self, lambda inner: bool(inner.finish_on_close))
            current.point.set(self.parent)
        span = self.span
        if span is None or span.end_tick is not None:
            return
        if info is None and fault is None:
            span.finish()
            return
        passage = None
        try:
            passage = span.conclude(info, fault, getattr(self, "inner_fault", None))
        finally:
            span.finish()
        if passage is not None:
            self._pass_on(passage)

    def _pass_on(self, passage: Passage) -> None:
        """Give *passage* to the next point above that an exception can end; a point of a bare ``start`` is not one."""
        node = self.parent
        while node is not None and (node.span is None or isinstance(node, BarePoint) or node.is_foreign):
            node = node.parent
        if node is not None:
            node.inner_fault = passage

    def id(self) -> str:
        """The UUID of this trace point; for a virtual root, the UUID of its remote parent, or else the base_id."""
        if self.span is not None:
            return self.span.point_id
        return self.origin.parent_id or self.origin.base_id

    def context(self) -> TraceContext | None:
        """The context that calls under this point continue; None under the reporter, which has no trace."""
        origin, span = self.origin, self.span
        if not origin.trace_id:
            return None
        if span is None:
            return origin.context(origin.parent_span_id, 0, origin.flags, origin.baggage)
        return origin.context(span.span_id, span.parent_span_id, span.flags, span.baggage, span.point_id)

    @property
    def is_foreign(self) -> bool:
        """Whether this is a scope of other OpenTracing instrumentation, and not a trace point."""
        return self.span is not None and getattr(self.span, "name", None) is None

    @property
    def is_over(self) -> bool:
        """Whether it has ended and its own flow has left it, so that only flows that inherited it still use it."""
        span = self.span
        if span is None or not getattr(span, "end_tick", None):
            return False
        return not self.is_foreign or self.finish_on_close is CLOSED

    def inside(self, other: Point) -> bool:
        """Whether *other* is this point or one above it."""
        node: Point | None = self
        while node is not None:
            if node is other:
                return True
            node = node.parent
        return False

    def innermost(self) -> Point | None:
        """The innermost open trace point of this chain.

        Scopes of other OpenTracing instrumentation are skipped; their owners close them. The search ends at a point
        that is not sampled, since a bare ``start`` opened nothing there.
        """
        node: Point | None = self
        while node is not None and node.origin.flags & SAMPLED:
            span = node.span
            if span is not None and not node.is_foreign and node.finish_on_close and span.end_tick is None:
                return node
            node = node.parent
        return None

    def stop(self, info: Mapping[str, Any] | None = None) -> None:
        """Close the innermost open trace point, if there is one. This point must be the current one."""
        point = self.innermost()
        if point is not None:
            point.end(info)

    def up_to(self, until: Point | None) -> Iterator[Point]:
        """This point and the points above it, up to *until*, which is not included."""
        node: Point | None = self
        while node is not None and node is not until:
            yield node
            node = node.parent


class BarePoint(Point):
    """A point opened by a bare ``start``: only a ``stop`` or a ``clean`` closes it.

    It knows its flow of control: a task inherits its parent's points, and the task's ``clean`` must leave them open.
    """

    __slots__ = ("flow",)

    flow: int  # the result of current.flow() at its start

    def stop(self, info: Mapping[str, Any] | None = None) -> None:
        span = self.span
        if info is not None or span is None or span.end_tick is not None:
            super().stop(info)
        else:  # nearly always: do the same in one call, which is cheaper
            current.point.set(self.parent)
            span.finish()


def bare(span: Span, parent: Point | None, origin: Origin) -> BarePoint:
    """Make the point that a bare ``start`` opens in this flow of control."""
    point = _new(BarePoint)  # see span.begin
    point.span = span
    point.parent = parent
    point.origin = origin
    point.finish_on_close = True
    # The same as current.flow() without the call, since each start pays for it.
    asyncio = _modules.get("asyncio")
    point.flow = _get_ident() if asyncio is None or asyncio._get_running_loop() is None else current.flow()
    return point


def finish_unclosed(at: Point, until: Point | None, which: Callable[[Point], bool]) -> None:
    """Finish the open points from *at* up to *until* (not included) for which *which* is true, and tag them."""
    for node in at.up_to(until):
        # A span of another tracer may have no ``finished``: leave it alone.
        if node.span is not None and not getattr(node.span, "finished", True) and which(node):
            node.span.set_tag(names.UNCLOSED, True)
            node.span.finish()


def finish_bare(at: Point, until: Point | None = None) -> None:
    """Finish the points that bare ``start`` calls of this flow left open, from *at* up to *until* (not included)."""
    here = current.flow()
    finish_unclosed(at, until, lambda node: isinstance(node, BarePoint) and node.flow == here)
