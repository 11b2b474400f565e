# SPDX-License-Identifier: Apache-2.0
"""The trace-point API: a thin facade over the process's Jaeger tracer.

Each trace point is one span. While no trace is on in this flow of control, a call costs about one read of a context
variable. A fault of tracing never reaches the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from osprofiler import config
from osprofiler._client_trace import client_trace
from osprofiler._runtime import guard
from osprofiler.concurrency.fork import Fork, join
from osprofiler.config import on_request, switches
from osprofiler.context import current, points, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.context.trace_context import NOTHING, SAMPLED
from osprofiler.handlers import call
from osprofiler.instrumentation import class_decorators, decorators
from osprofiler.records import ids
from osprofiler.tracer import global_tracer

__all__ = [
    "Trace",
    "TracedMeta",
    "annotate",
    "branch",
    "clean",
    "client_trace",
    "fork",
    "get",
    "init",
    "join",
    "start",
    "stop",
    "trace",
    "trace_cls",
]

trace = decorators.trace
trace_cls = class_decorators.trace_cls
TracedMeta = class_decorators.TracedMeta


def init(hmac_key: str, base_id: str | None = None, parent_id: str | None = None) -> _Profiler:
    """Turn tracing on in this flow of control (thread, greenthread or task).

    Without *base_id*: keep the current trace, or begin a new one. With *base_id*: continue that trace under
    *parent_id*. It replaces the trace of an earlier ``init``. If a trace point is open, it lasts as long as that point.
    The ids are UUIDs; any other text is kept verbatim in records and headers. A new trace asks for what
    ``$OS_PROFILE_POINTS`` names: see ``web.get_trace_id_headers``.
    """
    here = current.point.get()
    if here is not None and not base_id and here.origin.sampled:
        return _Profiler.at(here)
    if not switches.work(config.fresh()) or here is scope.SUPPRESSED:
        return _Profiler.at(Point(None, None, Origin.from_osprofiler(hmac_key, base_id, parent_id, flags=0)))
    if here is not None and base_id and _continues(here.origin, hmac_key, base_id, parent_id):
        return _Profiler.at(here)
    asked = NOTHING if base_id else on_request.names(None)
    return _Profiler.at(scope.take_up(Origin.from_osprofiler(hmac_key, base_id, parent_id, asked=asked)))


def _continues(origin: Origin, hmac_key: str, base_id: str, parent_id: str | None) -> bool:
    """Whether the flow is in this trace and under this parent already, so that ``init`` changes nothing."""
    parent = parent_id if parent_id and parent_id != base_id else None
    return origin.sampled and origin.base_id == base_id and origin.parent_id == parent and origin.hmac_key == hmac_key


def get() -> _Profiler | None:
    """The profiler of this flow of control; None if no trace is on, or if the request is not sampled."""
    here = current.point.get()
    return None if here is None or not here.origin.flags & SAMPLED else _Profiler.at(here)


def clean() -> None:
    """Turn tracing off in this flow of control. Points that bare ``start`` calls left open end here."""
    here = current.point.get()
    if here is None or here is scope.SUPPRESSED:
        return
    current.point.set(None)
    try:
        if here.origin.flags & SAMPLED:
            points.finish_bare(here)
    except Exception as fault:
        guard.swallow("clean", fault)


def start(name: str, info: Mapping[str, Any] | None = None) -> None:
    """Open a trace point inside the current one. Without a trace it does nothing.

    *info* may be nested. Its values become bounded text and numbers at once.
    """
    here = current.point.get()
    if here is not None and here.origin.flags & SAMPLED:
        try:
            global_tracer.get_tracer().open_point(here, name, info, points.bare)
        except Exception as fault:
            guard.swallow("start", fault)


def stop(info: Mapping[str, Any] | None = None) -> None:
    """Close the innermost open trace point. Without one it does nothing.

    If *info* has ``etype``, the name of an exception, the point is an error. ``message`` is the text of the error.
    """
    here = current.point.get()
    if here is not None and here.origin.flags & SAMPLED:
        try:
            here.stop(info)
        except Exception as fault:
            guard.swallow("stop", fault)


def annotate(event: str | None = None, /, **fields: Any) -> None:
    """Add a log to the innermost open trace point: the name of an *event*, and any other fields."""
    here = current.point.get()
    if here is not None and here.span is not None:
        try:
            here.span.log_kv(fields if event is None else {"event": event, **fields})
        except Exception as fault:
            guard.swallow("annotate", fault)


def fork(name: str, info: Mapping[str, Any] | None = None, detached: bool = False) -> Fork:
    """Fork the current trace point. The branches of the result may run in any thread, greenthread or task.

    *detached*: nobody will wait for the branches, so they reference FollowsFrom instead of ChildOf. The result is also
    a context manager, which joins at its end. Without a trace it does nothing, at nearly no cost.
    """
    return Fork(name, info, detached)


def branch(carrier: Mapping[Any, Any], name: str | None = None) -> AbstractContextManager[None]:
    """Run a block as the branch in *carrier*, the fields that ``Fork.to_carrier`` returned in another process.

    *carrier* may be ``os.environ``. A carrier without a trace, or one that is not signed with one of ``[profiler]
    hmac_keys``, changes nothing.
    """
    from osprofiler.concurrency import carrier as carriers

    return carriers.entered(carrier, name)


class Trace:
    """``with Trace("rpc", info={...}):`` is a trace point around a block. If the block raises, the point is an error.

    ``async with`` does the same. The exception leaves the block as the same object.
    """

    def __init__(self, name: str, info: Mapping[str, Any] | None = None) -> None:
        self._name = name
        self._info = info
        # Several flows may enter one object, also more than once; None is an entry without a trace.
        self._open: list[Point | None] = []

    def __enter__(self) -> None:
        here = current.point.get()
        self._open.append(None if here is None else call.open_block(here, self._name, self._info))

    def __exit__(
        self, etype: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            point = self._take()
            if point is not None:
                call.close(point, value)
        except Exception as fault:
            guard.swallow("stop", fault)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self, etype: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(etype, value, traceback)

    def _take(self) -> Point | None:
        """Remove and return the last entry of this flow.

        If the flow has left its trace meanwhile: an entry without a trace, or else the last entry of any flow.
        """
        node = current.point.get()
        while node is not None and node not in self._open:
            node = node.parent
        if node is None and None not in self._open:
            return self._open.pop()
        self._open.remove(node)
        return node


class _Profiler:
    """A view on the trace of a flow of control.

    While its trace is the current one, the view shows the current point. In another thread, or if service code made
    the object itself, it stays at the point where it was created. Then its ``start`` and ``stop`` move only the view.
    """

    __slots__ = ("_point",)

    def __init__(self, hmac_key: str, base_id: str | None = None, parent_id: str | None = None) -> None:
        self._point = Point(None, None, Origin.from_osprofiler(hmac_key, base_id, parent_id))

    @classmethod
    def at(cls, point: Point) -> _Profiler:
        """Make a view that stands at *point*."""
        view = cls.__new__(cls)
        view._point = point
        return view

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Profiler) and self._point.origin is other._point.origin

    def __hash__(self) -> int:
        return hash(self._point.origin)

    def _here(self) -> Point:
        here = current.point.get()
        return here if here is not None and here.origin is self._point.origin else self._point

    @property
    def hmac_key(self) -> str | None:
        """The key that signs this trace's headers; None if the trace was started without keys."""
        return self._point.origin.hmac_key

    def get_base_id(self) -> str:
        """The id of the trace, which all its points share."""
        return self._point.origin.base_id

    def get_parent_id(self) -> str:
        """The id of the point above the current one, or else the base id."""
        here = self._here()
        return here.origin.base_id if here.span is None else here.span.parent_point_id

    def get_id(self) -> str:
        """The id of the current point; if no point is open, the id of the remote parent, or else the base id."""
        return self._here().id()

    def get_shorten_id(self, uuid_id: str | int) -> str:
        """The 64-bit span id for the id of a point, in hexadecimal without leading zeros."""
        value = uuid_id & (1 << 64) - 1 if isinstance(uuid_id, int) else ids.span_id_of(uuid_id)
        return format(value, "x")

    def start(self, name: str, info: Mapping[str, Any] | None = None) -> None:
        """Open a trace point, as :func:`start` does."""
        if self._here() is not self._point or current.point.get() is self._point:
            start(name, info)
        elif self._point.origin.flags & SAMPLED:
            with guard.Harmless("start"), scope.entered(self._point):
                self._point = global_tracer.get_tracer().open_point(self._point, name, info)

    def stop(self, info: Mapping[str, Any] | None = None) -> None:
        """Close the innermost open trace point, as :func:`stop` does."""
        if self._here() is not self._point or current.point.get() is self._point:
            stop(info)
        elif self._point.span is not None and self._point.parent is not None:
            point, self._point = self._point, self._point.parent
            with guard.Harmless("stop"):
                point.end(info)
