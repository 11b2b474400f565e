# SPDX-License-Identifier: Apache-2.0
"""Threads that take their work from a queue, as a pool's workers do.

Such a thread works for those who fill the queue, and not for the request that happened to start it. So it is a branch
of that request only as long as nobody else fills the queue, and not while it waits there.
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

# Attribute of a queue: the id of the only trace that has filled it, or _SHARED.
_FILLED_BY = "_osprofiler_filled_by"
_SHARED = 0


class Worker:
    """A thread that may be a worker, and its branch. Used in this thread alone."""

    def __init__(self, branch: Branch, work: Callable[..., Any]) -> None:
        self._branch = branch
        self._globals = _globals_of(work)
        self._outside = current.point.get()
        self._at = self._outside  # what is current while the thread has no point of its own open

    def enter(self) -> None:
        """Enter the branch."""
        self._branch.__enter__()
        self._at = current.point.get()

    def leave(self, fault: BaseException | None = None) -> None:
        """End the branch, if it is open; *fault* is what ends the thread's work."""
        self._branch.__exit__(None if fault is None else type(fault), fault, None)
        self._at = self._outside

    def asks(self) -> bool:
        """Whether the thread's own loop asks for work now, not something that it calls for an answer."""
        if current.point.get() is not self._at:
            return False
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_globals.get("__name__") in _PASSED:
            frame = frame.f_back
        return frame.f_globals is self._globals

    def takes_from(self, source: queue.Queue[Any]) -> None:
        """Have what came from *source* in the branch, or leave that for good."""
        at = self._branch.at
        if at is None or vars(source).get(_FILLED_BY) != at.origin.trace_id:
            self.leave()
            _worker.set(None)
        elif self._at is self._outside:
            self.enter()


# Of the thread's own context: work that brings a context along brings its own point, and is no affair of the thread's.
_worker: ContextVar[Worker | None] = ContextVar("osprofiler_worker", default=None)

# The modules between a loop and the question whether it asks.
_PASSED = frozenset(("queue", "osprofiler._runtime.wrapping", __name__))


def run(branch: Branch, work: Callable[..., Any], call: Callable[[], Any]) -> Any:
    """Return ``call()``, the whole of a thread whose function is *work*, as *branch*."""
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
