# SPDX-License-Identifier: Apache-2.0
"""The holder of the current trace point: one context variable, or a configured scope manager.

The current point is the innermost :class:`~osprofiler.context.points.Point` of the running flow of control.
"""

from __future__ import annotations

import sys
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

import opentracing

from osprofiler.context.trace_context import SAMPLED

if TYPE_CHECKING:
    from osprofiler.context.points import Point


class Current(Protocol):
    """Holds the current point of each flow: a ``ContextVar``, or a foreign scope manager with the same methods."""

    def get(self) -> Point | None: ...

    def set(self, value: Point | None, /) -> Any: ...


variable: ContextVar[Point | None] = ContextVar("osprofiler_point", default=None)

#: The holder in use. Read this name at each use: configuration may replace the holder.
point: Current = variable

#: The scope manager in use, ours or the configured one. ``scope`` sets it when it is imported.
manager: opentracing.ScopeManager


def sampled() -> Point | None:
    """The current point, if what happens now is recorded; else None."""
    here = point.get()
    return here if here is not None and here.origin.flags & SAMPLED else None


def asks(name: str) -> bool:
    """Whether the request whose flow this is has asked to show *name*, beyond the settings in force."""
    here = point.get()
    return here is not None and name in here.origin.asked


def flow() -> int:
    """An id of the running thread, greenthread or asyncio task; no other one that is alive has the same id."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and (loop := asyncio._get_running_loop()) is not None:
        return id(asyncio.current_task(loop))
    return threading.get_ident()
