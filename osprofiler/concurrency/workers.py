# SPDX-License-Identifier: Apache-2.0
"""Threads that take their work from a queue, such as the workers of a pool.

A worker does the work of all requests that fill its queue, not only of the request that started the thread. So the
thread is a branch of that request only while no other request fills the queue, and not while it waits for work.
"""

from __future__ import annotations

import functools
import queue
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from osprofiler._runtime.wrapping import Method, Target
from osprofiler.concurrency.branch import Branch
from osprofiler.context import current

# Attribute of a queue: the id of the only trace that has filled it, or _SHARED for several traces.
_FILLED_BY = "_osprofiler_filled_by"
_SHARED = 0


class Worker:
    """A thread that may be a worker, and its branch. Only the thread itself uses the object."""

    def __init__(self, branch: Branch, work: Callable[..., Any]) -> None:
        self._branch = branch
        self._globals = _globals_of(work)
        self._outside = current.point.get()
        self._at = self._outside  # the current point while no point inside the thread's work is open

    def enter(self) -> None:
        """Enter the branch."""
        self._branch.__enter__()
        self._at = current.point.get()

    def leave(self, fault: BaseException | None = None) -> None:
        """End the branch if it is open. *fault* is the exception that ends the thread's work."""
        self._branch.leave(fault)
        self._at = self._outside

    def asks(self) -> bool:
        """Whether the thread's own loop asks its queue for work, not a function that the work calls."""
        if current.point.get() is not self._at:
            return False
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_globals.get("__name__") in _SKIPPED_MODULES:
            frame = frame.f_back
        return frame.f_globals is self._globals

    def takes_from(self, source: queue.Queue[Any]) -> None:
        """Stay in the branch for an item from *source* if only this trace fills it; else leave the branch for good."""
        at = self._branch.at
        if at is None or vars(source).get(_FILLED_BY) != at.origin.trace_id:
            self.leave()
            _worker.set(None)
        elif self._at is self._outside:
            self.enter()


# In the thread's own context. Work that runs in a context of its own has a point of its own, and sees no worker.
_worker: ContextVar[Worker | None] = ContextVar("osprofiler_worker", default=None)

# The modules whose frames lie between the loop and Worker.asks.
_SKIPPED_MODULES = frozenset(("queue", "osprofiler._runtime.wrapping", __name__))


def run(branch: Branch, work: Callable[..., Any], call: Callable[[], Any]) -> Any:
    """Return ``call()``, which runs all of a thread, in *branch*; *work* is the function of the thread."""
    worker = Worker(branch, work)
    worker.enter()
    _worker.set(worker)
    try:
        result = call()
    except BaseException as fault:
        worker.leave(fault)
        raise
    worker.leave()
    return result


def _globals_of(work: Any) -> Any:
    while isinstance(work, functools.partial):
        work = work.func
    return getattr(work if hasattr(work, "__globals__") else type(work).__call__, "__globals__", None)


def _put(put: Method) -> Method:
    def run(self: Any, item: Any, block: Any = True, timeout: Any = None) -> Any:
        here = current.point.get()
        trace_id = _SHARED if here is None else here.origin.trace_id
        if vars(self).setdefault(_FILLED_BY, trace_id) != trace_id:
            vars(self)[_FILLED_BY] = _SHARED
        return put(self, item, block, timeout)

    return run


def _get(get: Method) -> Method:
    def run(self: Any, block: Any = True, timeout: Any = None) -> Any:
        worker = _worker.get()
        if worker is None or not worker.asks():
            return get(self, block, timeout)
        try:
            item = get(self, False)
        except queue.Empty:
            if not block:
                raise
            worker.leave()
            item = get(self, True, timeout)
        worker.takes_from(self)
        return item

    return run


TARGETS = (Target("queue", "Queue", "put", _put), Target("queue", "Queue", "get", _get))
