# SPDX-License-Identifier: Apache-2.0
"""The current point kept by any OpenTracing scope manager, for processes that have chosen one of their own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import opentracing

from osprofiler._runtime import guard
from osprofiler.context.points import Point, finish_bare


class ManagedCurrent:
    """A foreign scope manager with the manners of our context variable.

    What is current is carried by a scope of the manager, on top of those that the application opened itself: these
    are the application's to close, and a carrier that lies on one, at most one does, is closed with it: managers close
    no scope but the active one.
    """

    def __init__(self, manager: opentracing.ScopeManager) -> None:
        self._manager = manager

    def get(self) -> Point | None:
        with guard.Harmless("scope_manager"):
            return _carried(self._manager.active)
        return None  # after a fault of the manager, which is not ours

    def set(self, value: Point | None, /) -> None:
        with guard.Harmless("scope_manager"):
            self._set(value)

    def _set(self, value: Point | None) -> None:
        active = self._manager.active
        if isinstance(getattr(active, _CARRIED, None), _Carried):
            try:
                active.close()
            except (ValueError, RuntimeError):  # the scope of a parent task: it stays below
                pass
            active = self._manager.active
        if _carried(active) is not value:
            span = value.span if value is not None else None
            carrier = self._manager.activate(span if span is not None else _NO_SPAN, False)
            setattr(carrier, _CARRIED, _Carried(value, active))
            if active is not None and "close" not in vars(active):
                active.close = functools.partial(self._close, active, active.close)

    def _close(self, below: Any, close: Callable[[], None]) -> None:
        """Close the application's scope *below*, and first what lies on it in this flow of control."""
        with guard.Harmless("scope_manager"):
            active = self._manager.active
            held = getattr(active, _CARRIED, None)
            if isinstance(held, _Carried) and held.below is below:
                if held.point is not None:
                    finish_bare(held.point, _carried(below))
                active.close()
        close()


class _Carried(NamedTuple):
    """What one of our own scopes stands for, and the scope that it lies on."""

    point: Point | None
    below: Any


_CARRIED = "_osprofiler_carried"
_NO_SPAN = opentracing.Span(None, opentracing.SpanContext())


def _carried(scope: Any) -> Point | None:
    """The point that a scope stands for; a span of ours that the application activated itself gets one."""
    held = getattr(scope, _CARRIED, None)
    if isinstance(held, _Carried):
        return held.point
    origin = getattr(getattr(scope, "span", None), "origin", None)
    if held is None and origin is not None:
        held = Point(scope.span, None, origin, finish_on_close=False)  # that is its own scope's business
        setattr(scope, _CARRIED, held)
    return held
