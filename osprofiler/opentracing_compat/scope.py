# SPDX-License-Identifier: Apache-2.0
"""Where a flow of control stands: the current trace point, in one context variable.

The current point is an immutable linked node. No stack is shared, so a thread, greenthread or task that inherits a
point cannot disturb its parent's; and no ``contextvars.Token`` is kept, so a generator may be left in one context and
closed in another. What came before is restored by value.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

import opentracing

from osprofiler import _clocks
from osprofiler.opentracing_compat import ids
from osprofiler.opentracing_compat.trace_context import DEBUG as DEBUG
from osprofiler.opentracing_compat.trace_context import NO_BAGGAGE, TraceContext
from osprofiler.opentracing_compat.trace_context import SAMPLED as SAMPLED

if TYPE_CHECKING:
    from osprofiler.opentracing_compat.faults import Passage
    from osprofiler.opentracing_compat.span import Span

#: The ``end_tick`` of what a forked child has of its parent's spans; no clock shows it.
LEFT = 0

#: The ``finish_on_close`` of a scope that has been closed.
CLOSED = None

_get_ident = threading.get_ident
_modules = sys.modules
_new = object.__new__
_tick_ns = _clocks.tick_ns
_wall_ns = _clocks.wall_ns


class Origin:
    """What one flow knows of its trace from outside: identity, key, sampling decision, remote parent.

    ``parent_span_id`` is 0 for a virtual root: a trace that has been initialised but has no span above. Whether there
    is a parent is never deduced from ids.
    """

    __slots__ = (
        "baggage",
        "base_id",
        "canonical",
        "epoch_ns",
        "flags",
        "foreign",
        "hmac_key",
        "parent_id",
        "parent_span_id",
        "prefix",
        "trace_id",
        "tracestate",
        "w3c_flags",
    )

    def __init__(
        self,
        base_id: str,
        trace_id: int,
        *,
        parent_id: str | None = None,
        parent_span_id: int = 0,
        hmac_key: str | None = None,
        flags: int = SAMPLED,
        baggage: Mapping[str, str] = NO_BAGGAGE,
        foreign: Mapping[str, Any] | None = None,
        tracestate: str = "",
        w3c_flags: int = 0,
    ) -> None:
        self.base_id = base_id  # verbatim, as records and headers show it
        self.trace_id = trace_id  # 128 bits
        self.parent_id = parent_id  # verbatim, or None for a virtual root
        self.parent_span_id = parent_span_id  # 64 bits, 0 for a virtual root
        self.hmac_key = hmac_key  # the real key: plain service code reads it from the profiler
        self.flags = flags
        self.baggage = baggage
        self.foreign = foreign  # tags for the first span: the sampler's, ids of a foreign trace that is not continued
        self.tracestate = tracestate  # these two as in TraceContext
        self.w3c_flags = w3c_flags
        self.prefix = ids.point_prefix(trace_id)
        self.canonical = base_id == ids.uuid_text(trace_id)  # else it is no UUID, or one written otherwise
        # Added to the monotonic clock it is the wall clock, as it was when this flow joined the trace: what one flow
        # does stays in order when the wall clock is set meanwhile.
        self.epoch_ns = _wall_ns() - _tick_ns()

    @classmethod
    def from_osprofiler(
        cls, hmac_key: str | None, base_id: str | None = None, parent_id: str | None = None, flags: int = SAMPLED
    ) -> Origin:
        """See :meth:`TraceContext.from_osprofiler`."""
        return cls.continuing(TraceContext.from_osprofiler(hmac_key, base_id, parent_id, flags))

    @classmethod
    def from_ids(
        cls,
        trace_id: int,
        span_id: int,
        *,
        flags: int = SAMPLED,
        hmac_key: str | None = None,
        baggage: Mapping[str, str] = NO_BAGGAGE,
    ) -> Origin:
        """See :meth:`TraceContext.from_ids`; *span_id* is the remote parent."""
        return cls.continuing(
            TraceContext.from_ids(trace_id, span_id, flags=flags, hmac_key=hmac_key, baggage=baggage)
        )

    @classmethod
    def continuing(cls, context: TraceContext, foreign: Mapping[str, Any] | None = None) -> Origin:
        """From a received context; *foreign* are tags for the first span."""
        return cls(
            context.base_id,
            context.trace_id,
            parent_id=context.point_id,
            parent_span_id=context.span_id,
            hmac_key=context.hmac_key,
            flags=context.flags,
            baggage=context.baggage,
            foreign=foreign,
            tracestate=context.tracestate,
            w3c_flags=context.w3c_flags,
        )

    @property
    def sampled(self) -> bool:
        return bool(self.flags & SAMPLED)

    def context(
        self, span_id: int, parent_span_id: int, flags: int, baggage: Mapping[str, str], point_id: str | None = None
    ) -> TraceContext:
        """What the span *span_id* of this trace hands on. *point_id* where its id is known; 0 is the virtual root."""
        if span_id == self.parent_span_id:
            point_id = self.parent_id  # as it came
        return TraceContext(
            self.base_id,
            self.trace_id,
            point_id or ids.point_uuid(self.prefix, span_id) if span_id else None,
            span_id,
            parent_span_id,
            flags,
            self.hmac_key,
            baggage,
            self.tracestate,
            self.w3c_flags,
        )


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
        return manager

    def close(self) -> None:
        """Leave the scope, and finish the span if it was activated so. A second call does nothing.

        Nor does a call while a scope that was activated inside this one is not closed yet: OpenTracing lets only the
        active scope be closed. Trace points that a bare ``start`` left open inside end here.
        """
        at = current.get()
        if at is not None and at.inside(self):
            if any(node.is_foreign for node in at.up_to(self)):
                return
            finish_bare(at, self)
            current.set(self.parent)
        if self.finish_on_close and self.span is not None and not getattr(self.span, "finished", False):
            self.span.finish()
        self.finish_on_close = CLOSED

    def end(self, info: Mapping[str, Any] | None = None, fault: BaseException | None = None) -> None:
        """Close this trace point, and any point that was left open inside it, and restore what was current before it.

        *info* and *fault* say how its work ended: see ``Span.conclude``.
        """
        at = current.get()
        if at is self:
            current.set(self.parent)
        elif at is not None and at.inside(self):
            finish_unclosed(at, self, lambda inner: bool(inner.finish_on_close))
            current.set(self.parent)
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
            return self.span.uuid
        return self.origin.parent_id or self.origin.base_id

    def context(self) -> TraceContext | None:
        """What is called under this point continues it; None under the reporter, which is in no trace."""
        origin, span = self.origin, self.span
        if not origin.trace_id:
            return None
        if span is None:
            return origin.context(origin.parent_span_id, 0, origin.flags, origin.baggage)
        return origin.context(span.span_id, span.parent_span_id, span.flags, span.baggage, span.uuid)

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
            current.set(self.parent)
            span.finish()


def bare(span: Span, parent: Point | None, origin: Origin) -> BarePoint:
    """A point of this flow of control that a bare ``start`` opens."""
    point = _new(BarePoint)  # see span.begin
    point.span = span
    point.parent = parent
    point.origin = origin
    point.finish_on_close = True
    # What flow() says, without the call: each start pays for it.
    asyncio = _modules.get("asyncio")
    point.flow = _get_ident() if asyncio is None or asyncio._get_running_loop() is None else flow()
    return point


def flow() -> int:
    """What tells the running thread, greenthread or asyncio task from the others that live now."""
    asyncio = _modules.get("asyncio")
    if asyncio is not None and (loop := asyncio._get_running_loop()) is not None:
        return id(asyncio.current_task(loop))
    return _get_ident()


class Current(Protocol):
    """What holds the current point of each flow: a ``ContextVar``, or a foreign scope manager behind its manners."""

    def get(self) -> Point | None: ...

    def set(self, value: Point | None, /) -> Any: ...


_variable: ContextVar[Point | None] = ContextVar("osprofiler_point", default=None)

#: The holder in use. Read it anew at each use: configuration may put another in its place.
current: Current = _variable


def finish_unclosed(at: Point, until: Point | None, which: Callable[[Point], bool]) -> None:
    """Finish, and mark, those points left open from *at* up to *until* (which stays as it is) that are *which*."""
    for node in at.up_to(until):
        # What another tracer's span does not tell is its own affair.
        if node.span is not None and not getattr(node.span, "finished", True) and which(node):
            node.span.set_tag("osprofiler.unclosed", True)
            node.span.finish()


def finish_bare(at: Point, until: Point | None = None) -> None:
    """Finish the points from *at* up to *until* that bare ``start`` calls of this flow of control left open."""
    here = flow()
    finish_unclosed(at, until, lambda node: isinstance(node, BarePoint) and node.flow == here)


def context() -> TraceContext | None:
    """What is called from this flow of control continues it; None where no trace is on."""
    here = current.get()
    return None if here is None else here.context()


def take_up(origin: Origin) -> Point:
    """Make a root of *origin* current in this flow of control, and return it.

    An open point stays above the new root, which so ends with it; an earlier root is replaced.
    """
    above = current.get()
    while above is not None and (above.span is None or above.is_over):
        above = above.parent
    root = Point(None, above, origin)
    current.set(root)
    return root


def leave(point: Point) -> None:
    """Make the point above *point* current again, if *point* is in the current chain of this flow."""
    at = current.get()
    if at is not None and at.inside(point):
        current.set(point.parent)


#: What the reporter runs under: nothing is recorded, and nothing is written into the requests that deliver spans.
SUPPRESSED = Point(None, None, Origin("", 0, flags=0))


@contextlib.contextmanager
def entered(point: Point | None) -> Iterator[None]:
    """Run a block with *point* as the current one (None: with no trace) and restore what was there, by value."""
    before = current.get()
    current.set(point)
    try:
        yield
    finally:
        current.set(before)


class Pieces:
    """Work of one point that runs in pieces: a generator's resumes, a streamed body's chunks.

    ``with pieces:`` runs one piece. It re-enters the point where the last piece left off, and restores by value what
    was current around it, so that nothing is left behind between two pieces.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, point: Point | None) -> None:
        self._inner = point
        self._outer: Point | None = None

    def __enter__(self) -> None:
        self._outer = current.get()
        current.set(self._inner)

    def __exit__(self, *exc_info: object) -> None:
        self._inner = current.get()
        current.set(self._outer)


class ScopeManager(opentracing.ScopeManager):
    """OpenTracing's view of the current point."""

    def activate(self, span: Span, finish_on_close: bool) -> Point:
        """Make *span* active and return its scope. Inside a span of another tracer nothing is recorded."""
        above = current.get()
        if above is not None and above.is_over:
            from osprofiler.opentracing_compat.concurrency.lineage import shortened

            above = shortened(above)
        point = Point(span, above, getattr(span, "origin", SUPPRESSED.origin), finish_on_close)
        current.set(point)
        return point

    @property
    def active(self) -> Point | None:
        """The current scope, or None; a virtual root is no scope."""
        point = current.get()
        return point if point is not None and point.span is not None else None


#: The scope manager in use, ours or the configured one.
manager: opentracing.ScopeManager = ScopeManager()


def use(chosen: opentracing.ScopeManager | None) -> None:
    """Keep the current point in the scope manager *chosen* from now on; None: in our context variable.

    Raises TypeError where it is no scope manager.
    """
    global current, manager
    if not isinstance(chosen, (opentracing.ScopeManager, type(None))):
        raise TypeError(f"{type(chosen).__name__} is no opentracing.ScopeManager")
    if chosen is None or isinstance(chosen, ScopeManager):
        current, manager = _variable, chosen or ScopeManager()
    else:
        from osprofiler.opentracing_compat.managed import ManagedCurrent

        current, manager = ManagedCurrent(chosen), chosen
