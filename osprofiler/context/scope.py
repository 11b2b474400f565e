# SPDX-License-Identifier: Apache-2.0
"""Enter and leave a trace in a flow of control.

One context variable holds the current point (``current``). The point is an immutable node (``points``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import opentracing

from osprofiler.context import current
from osprofiler.context.ended_points import without_ended_parents
from osprofiler.context.foreign_scope_manager import ForeignCurrent
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.context.trace_context import TraceContext

if TYPE_CHECKING:
    from osprofiler.tracer.span import Span


def context() -> TraceContext | None:
    """The context that calls from this flow of control continue; None if no trace is on."""
    here = current.point.get()
    return None if here is None else here.context()


def take_up(origin: Origin) -> Point:
    """Make a new root with *origin* current in this flow of control, and return it.

    If a point is open, it stays above the new root, so the root ends with that point. An earlier root is replaced.
    """
    above = current.point.get()
    while above is not None and (above.span is None or above.is_over):
        above = above.parent
    root = Point(None, above, origin)
    current.point.set(root)
    return root


def leave(point: Point) -> None:
    """Make the point above *point* current, if *point* is in the current chain of this flow."""
    at = current.point.get()
    if at is not None and at.inside(point):
        current.point.set(point.parent)


#: The reporter's point: nothing is recorded, and no headers are written into the requests that deliver spans.
SUPPRESSED = Point(None, None, Origin(TraceContext("", 0, None, 0, flags=0)))


@contextlib.contextmanager
def entered(point: Point | None) -> Iterator[None]:
    """Run a block with *point* as the current point (None: without a trace), and restore the former one by value."""
    before = current.point.get()
    current.point.set(point)
    try:
        yield
    finally:
        current.point.set(before)


class ScopeManager(opentracing.ScopeManager):
    """OpenTracing's view of the current point."""

    def activate(self, span: Span, finish_on_close: bool) -> Point:
        """Make *span* active and return its scope. Inside the span of another tracer nothing is recorded."""
        above = current.point.get()
        if above is not None and above.is_over:
            above = without_ended_parents(above)
        point = Point(span, above, getattr(span, "origin", SUPPRESSED.origin), finish_on_close)
        current.point.set(point)
        return point

    @property
    def active(self) -> Point | None:
        """The current scope; None also under a virtual root, which has no span."""
        point = current.point.get()
        return point if point is not None and point.span is not None else None


current.manager = ScopeManager()


def use(chosen: opentracing.ScopeManager | None) -> None:
    """Keep the current point in the scope manager *chosen* from now on; None: in our context variable.

    Raises TypeError if *chosen* is not a scope manager.
    """
    if not isinstance(chosen, (opentracing.ScopeManager, type(None))):
        raise TypeError(f"{type(chosen).__name__} is not an opentracing.ScopeManager")
    if chosen is None or isinstance(chosen, ScopeManager):
        current.point, current.manager = current.variable, chosen or ScopeManager()
    else:
        current.point, current.manager = ForeignCurrent(chosen), chosen
