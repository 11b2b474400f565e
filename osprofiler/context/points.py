# SPDX-License-Identifier: Apache-2.0
"""The current point as an immutable linked node: a span, and the point that it was opened in.

No stack is shared, so a thread, greenthread or task that inherits a point cannot disturb its parent's; and no
``contextvars.Token`` is kept, so a generator may be left in one context and closed in another. What came before is
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

#: The ``end_tick`` of what a forked child has of its parent's spans; no clock shows it.
LEFT = 0

#: The ``finish_on_close`` of a scope that has been closed.
CLOSED = None

_get_ident = threading.get_ident
_modules = sys.modules
_new = object.__new__


class Point(opentracing.Scope):
    """One node of the current chain: a span and the point that it was opened in; also OpenTracing's scope of it.

    A node without a span is the virtual root that an ``init`` made.
    """

    __slots__ = ("finish_on_close", "inner_fault", "origin", "parent", "span")

    inner_fault: Passage  # the last exception that ended a point inside; not set before there is one

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
        """Leave the scope, and finish the span if it was activated so. A second call does nothing.

        Nor does a call while a scope that was activated inside this one is not closed yet: OpenTracing lets only the
        active scope be closed. Trace points that a bare ``start`` left open inside end here.
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
        """Close this trace point, and any point that was left open inside it, and restore what was current before it.

        *info* and *fault* say how its work ended: see ``Span.conclude``.
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
        """Tell the next point outwards that an exception can end, so not one of a bare ``start``, what ended this."""
        node = self.parent
        while node is not None and (node.span is None or isinstance(node, BarePoint) or node.is_foreign):
            node = node.parent
        if node is not None:
            node.inner_fault = passage

    def id(self) -> str:
        """The UUID of this trace point; of a virtual root, its remote parent's or the base_id."""
        if self.span is not None:
            return self.span.point_id
        return self.origin.parent_id or self.origin.base_id

    def context(self) -> TraceContext | None:
        """What is called under this point continues it; None under the reporter, which is in no trace."""
        origin, span = self.origin, self.span
        if not origin.trace_id:
            return None
        if span is None:
            return origin.context(origin.parent_span_id, 0, origin.flags, origin.baggage)
        return origin.context(span.span_id, span.parent_span_id, span.flags, span.baggage, span.point_id)

    @property
    def is_foreign(self) -> bool:
        """Whether it is no trace point but the scope of some other OpenTracing instrumentation."""
        return self.span is not None and getattr(self.span, "name", None) is None

    @property
    def is_over(self) -> bool:
        """Whether it has ended and its own flow has left it: then only flows that have inherited it still know it."""
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
        """The innermost trace point that is open here.

        Scopes of other OpenTracing instrumentation are passed over; their owners close them. A part that is not
        sampled hides what is above it, since a bare ``start`` opened nothing there.
        """
        node: Point | None = self
        while node is not None and node.origin.flags & SAMPLED:
            span = node.span
            if span is not None and not node.is_foreign and node.finish_on_close and span.end_tick is None:
                return node
            node = node.parent
        return None

    def stop(self, info: Mapping[str, Any] | None = None) -> None:
        """Close the innermost open trace point, if there is one, this point being the current one."""
        point = self.innermost()
        if point is not None:
            point.end(info)

    def up_to(self, until: Point | None) -> Iterator[Point]:
        """This point and those above it, up to and without *until*."""
        node: Point | None = self
        while node is not None and node is not until:
            yield node
            node = node.parent


class BarePoint(Point):
    """A point opened by a bare ``start``: nothing but a ``stop`` or a ``clean`` will ever close it.

    It knows its flow of control: a task inherits its parent's points, and its own ``clean`` must leave them open.
    """

    __slots__ = ("flow",)

    flow: int  # what flow() said

    def stop(self, info: Mapping[str, Any] | None = None) -> None:
        span = self.span
        if info is not None or span is None or span.end_tick is not None:
            super().stop(info)
        else:  # nearly always: what that does then, in one call
            current.point.set(self.parent)
            span.finish()


def bare(span: Span, parent: Point | None, origin: Origin) -> BarePoint:
    """A point of this flow of control that a bare ``start`` opens."""
    point = _new(BarePoint)  # see span.begin
    point.span = span
    point.parent = parent
    point.origin = origin
    point.finish_on_close = True
    # What current.flow() says, without the call: each start pays for it.
    asyncio = _modules.get("asyncio")
    point.flow = _get_ident() if asyncio is None or asyncio._get_running_loop() is None else current.flow()
    return point


def finish_unclosed(at: Point, until: Point | None, which: Callable[[Point], bool]) -> None:
    """Finish, and mark, those points left open from *at* up to *until* (which stays as it is) that are *which*."""
    for node in at.up_to(until):
        # What another tracer's span does not tell is its own affair.
        if node.span is not None and not getattr(node.span, "finished", True) and which(node):
            node.span.set_tag(names.UNCLOSED, True)
            node.span.finish()


def finish_bare(at: Point, until: Point | None = None) -> None:
    """Finish the points from *at* up to *until* that bare ``start`` calls of this flow of control left open."""
    here = current.flow()
    finish_unclosed(at, until, lambda node: isinstance(node, BarePoint) and node.flow == here)
