# SPDX-License-Identifier: Apache-2.0
"""Points that have ended, and flows of control that may have: what branches and long chains of tasks need to know."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from osprofiler._runtime import native
from osprofiler.context.points import CLOSED, Point

if TYPE_CHECKING:
    from osprofiler.tracer.span import Span


class BranchPoint(Point):
    """The point of a branch. Of the points above it, it keeps only the outermost span.

    With all of them, the chain of a task that schedules itself again and again would grow without end.
    """

    __slots__ = ("root",)

    root: Span | None


def without_ended_parents(at: Point) -> Point:
    """If *at* has ended, return a copy of it without the points above it that have ended too; else *at* itself.

    A task inherits the point of its creator. A task or timer that always creates the next one would keep all earlier
    points for ever.
    """
    above = at.parent
    if above is None or not (at.is_over and above.is_over):
        return at
    while above is not None and above.is_over:
        above = above.parent
    point = BranchPoint(at.span, above, at.origin, finish_on_close=CLOSED)
    point.root = root_of(at)
    return point


def root_of(at: Point) -> Span | None:
    """The outermost span that this process has in the trace of *at*; None if there is only the root of an ``init``."""
    outermost: Span | None = None
    node: Point | None = at
    while node is not None and node.origin is at.origin:
        if isinstance(node, BranchPoint):
            return node.root
        if node.span is not None:
            outermost = node.span
        node = node.parent
    return outermost


def has_ended(span: Span | None) -> bool:
    """Whether *span* is known to have ended in this process.

    False in a forked child for the spans of its parent, and for spans of another tracer, which do not show it.
    """
    return span is not None and bool(getattr(span, "end_tick", None))


def liveness_check() -> Callable[[], bool]:
    """Return a function that tells whether the task, greenthread or thread that runs now is still alive."""
    asyncio = sys.modules.get("asyncio")
    loop = asyncio._get_running_loop() if asyncio is not None else None
    task = asyncio.current_task(loop) if asyncio is not None and loop is not None else None
    if task is not None:
        task_ref = weakref.ref(task)
        return lambda: (task := task_ref()) is not None and not task.done()
    greenlet = sys.modules.get("greenlet")
    current = greenlet.getcurrent() if greenlet is not None else None
    if current is not None and (current.parent is not None or native.patched()):
        greenlet_ref = weakref.ref(current)
        return lambda: (flow := greenlet_ref()) is not None and not flow.dead
    thread_ref = weakref.ref(threading.current_thread())
    return lambda: (flow := thread_ref()) is not None and flow.is_alive()
