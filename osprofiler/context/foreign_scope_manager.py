# SPDX-License-Identifier: Apache-2.0
"""Keep the current point in a foreign OpenTracing scope manager, which configuration has chosen."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import opentracing

from osprofiler._runtime import guard
from osprofiler.context.points import Point, finish_bare


class ForeignCurrent:
    """The current point in a foreign scope manager; same interface as our context variable.

    A scope of ours holds the current point. It lies above the scopes that the application opened itself, and only the
    application closes those. At most one scope of ours lies directly above a scope of the application. It is closed
    together with that scope, because a manager can only close its active scope.
    """

    def __init__(self, manager: opentracing.ScopeManager) -> None:
        self._manager = manager

    def get(self) -> Point | None:
        with guard.Harmless("scope_manager"):
            return _point_of(self._manager.active)
        return None  # the manager raised

    def set(self, value: Point | None, /) -> None:
        with guard.Harmless("scope_manager"):
            self._set(value)

    def _set(self, value: Point | None) -> None:
        active = self._manager.active
        if isinstance(getattr(active, _ATTRIBUTE, None), _Placed):
            try:
                active.close()
            except (ValueError, RuntimeError):  # the scope of a parent task: it stays below
                pass
            active = self._manager.active
        if _point_of(active) is not value:
            span = value.span if value is not None else None
            scope = self._manager.activate(span if span is not None else _NO_SPAN, False)
            setattr(scope, _ATTRIBUTE, _Placed(value, active))
            if active is not None and "close" not in vars(active):
                active.close = functools.partial(self._close, active, active.close)

    def _close(self, below: Any, close: Callable[[], None]) -> None:
        """Close the application's scope *below*, and before it our scope that lies above it in this flow of control."""
        with guard.Harmless("scope_manager"):
            active = self._manager.active
            placed = getattr(active, _ATTRIBUTE, None)
            if isinstance(placed, _Placed) and placed.below is below:
                if placed.point is not None:
                    finish_bare(placed.point, _point_of(below))
                active.close()
        close()


class _Placed(NamedTuple):
    """Attribute of a scope that we have opened: the point that it holds, and the scope that lies below it."""

    point: Point | None
    below: Any


# Attribute of a scope: a _Placed for a scope of ours, else the Point of the application's scope.
_ATTRIBUTE = "_osprofiler_point"
_NO_SPAN = opentracing.Span(None, opentracing.SpanContext())


def _point_of(scope: Any) -> Point | None:
    """The point of a scope. If the application activated a span of ours itself, its scope gets a new point."""
    attribute = getattr(scope, _ATTRIBUTE, None)
    if isinstance(attribute, _Placed):
        return attribute.point
    origin = getattr(getattr(scope, "span", None), "origin", None)
    if attribute is None and origin is not None:
        attribute = Point(scope.span, None, origin, finish_on_close=False)  # the application's scope finishes the span
        setattr(scope, _ATTRIBUTE, attribute)
    return attribute
