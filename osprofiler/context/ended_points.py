# SPDX-License-Identifier: Apache-2.0
"""What a branch knows of the flows of control around it: whether its trace has ended, and whether its own is alive."""

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
    """The point of a branch. Of what is above it, it knows the outermost span alone: kept whole, the chain of a task
    that goes on scheduling itself would grow without end.
    """

    __slots__ = ("root",)

    root: Span | None


def without_ended_parents(at: Point) -> Point:
    """*at*, without those above it that are over, if it is over itself.

    A task inherits its maker's point, and a task or a timer that goes on making the next one would keep all those
    before it for ever.
    """
    above = at.parent
    if above is None or not (at.is_over and above.is_over):
        return at
    while above is not None and above.is_over:
        above = above.parent
    alone = BranchPoint(at.span, above, at.origin, finish_on_close=CLOSED)
    alone.root = root_of(at)
    return alone


def root_of(at: Point) -> Span | None:
    """The outermost span that this process has in the trace of *at*; None under a root that an ``init`` made."""
    found: Span | None = None
    node: Point | None = at
    while node is not None and node.origin is at.origin:
        if isinstance(node, BranchPoint):
            return node.root
        if node.span is not None:
            found = node.span
        node = node.parent
    return found


def has_ended(span: Span | None) -> bool:
    """Whether *span* ended in this process. What a forked child has of its parent's has not; another tracer's does not
    say.
    """
    return span is not None and bool(getattr(span, "end_tick", None))


def liveness_check() -> Callable[[], bool]:
    """What tells later whether the running task, greenthread or thread is still there."""
    asyncio = sys.modules.get("asyncio")
    loop = asyncio._get_running_loop() if asyncio is not None else None
    task = asyncio.current_task(loop) if asyncio is not None and loop is not None else None
    if task is not None:
        held = weakref.ref(task)
        return lambda: (task := held()) is not None and not task.done()
    greenlet = sys.modules.get("greenlet")
    current = greenlet.getcurrent() if greenlet is not None else None
    if current is not None and (current.parent is not None or native.patched()):
        green = weakref.ref(current)
        return lambda: (flow := green()) is not None and not flow.dead
    thread = weakref.ref(threading.current_thread())
    return lambda: (flow := thread()) is not None and flow.is_alive()
