# SPDX-License-Identifier: Apache-2.0
"""The unit of work: one work item of a pooled worker, or one tick of a periodic task.

A unit of work starts without a trace and leaves none behind. Workers are reused: an RPC dispatch runs as a work item
of a worker, and a message without trace information calls none of our code. So the work item itself clears the current
point, and afterwards restores the worker's point by value. Only our own context variable is changed. Forks bring a
trace into a unit of work.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

import wrapt

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current, scope
from osprofiler.context.current import Current
from osprofiler.context.points import Point

F = TypeVar("F", bound=Callable[..., Any])

#: The ident of a thread that runs work items inside ``submit``, in the submitter's own flow of control. The ident is
#: needed because a new thread may inherit the context of the thread that started it.
_inline: ContextVar[int | None] = ContextVar("osprofiler_inline", default=None)


def isolated(work: F) -> F:
    """Return *work* as a unit of work: it starts without a trace, and the current point is restored after it."""
    return functools.wraps(work)(_cleared(work))  # type: ignore[return-value]


def install() -> None:
    """Make work items and ticks of periodic tasks units of work, also in libraries that are imported later.

    A second call does nothing.
    """
    _wrapping.install()


def uninstall() -> None:
    """Undo :func:`install`."""
    _wrapping.uninstall()


def _bounded(inline: Callable[[], int | None]) -> Callable[[Method], Method]:
    """Make a wrapper: the work starts without a trace, and the current point is restored after it.

    In the thread whose ident *inline* returns, it starts in the trace of its caller.
    """

    def wrap(work: Method) -> Method:
        def run(*args: Any, **kwargs: Any) -> Any:
            holder = current.point
            before = _enter(holder, inline())
            try:
                return work(*args, **kwargs)
            finally:
                _restore(holder, before)

        return run

    return wrap


#: A unit of work.
_cleared = _bounded(lambda: None)

#: A work item is a unit of work. Inside ``submit`` it is a plain call, so it stays in the submitter's trace.
_work_item = _bounded(_inline.get)

#: Callbacks run in the flow that completes the future.
_kept = _bounded(threading.get_ident)


def _submit_inline(submit: Method) -> Method:
    def run(*args: Any, **kwargs: Any) -> Any:
        outer = _inline.get()
        _inline.set(threading.get_ident())
        try:
            return submit(*args, **kwargs)
        finally:
            _inline.set(outer)

    return run


def _after_item(then: Method) -> Method:
    """Clear the current point where a pool's worker has finished a work item, before the next one in the same flow."""

    def run(*args: Any, **kwargs: Any) -> Any:
        _restore(current.point, None)
        return then(*args, **kwargs)

    return run


def _kept_callback(add: Method) -> Method:
    """Restore the current point after a callback of gevent, which runs all callbacks in the flow of its hub."""

    def run(self: Any, /, fn: Any) -> Any:
        return add(self, functools.wraps(fn)(_kept(fn)))

    return run


def _looping(init: Method) -> Method:
    """Make every tick of a looping call a unit of work, since the loop itself is one endless work item."""

    def run(self: Any, /, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        function = getattr(self, "f", None)
        # The __init__ of a base class may have wrapped it already.
        if callable(function) and getattr(function, "_self_wrapper", None) is not _tick:
            # A transparent proxy: the loop logs the function's name, and services compare the function.
            self.f = wrapt.FunctionWrapper(function, _tick)

    return run


def _tick(function: Method, _: Any, args: Any, kwargs: Any) -> Any:
    if not _wrapping.on:
        return function(*args, **kwargs)
    with scope.entered(None):
        return function(*args, **kwargs)


def _enter(holder: Current, inline: int | None) -> Point | None:
    try:
        before = holder.get()
        if before is not None and (inline is None or inline != threading.get_ident()):
            holder.set(None)
        return before
    except Exception as fault:  # a foreign scope manager may raise
        guard.swallow("isolation", fault)
        return None


def _restore(holder: Current, before: Point | None) -> None:
    try:
        if holder.get() is not before:
            holder.set(before)
    except Exception as fault:
        guard.swallow("isolation", fault)


# oslo.service from 4.4: the classes of both backends derive from the common one. 4.0 to 4.3: one class a backend.
# Before 4: one class.
_LOOPS = (
    "oslo_service.backend._common.loopingcall",
    "oslo_service.backend._eventlet.loopingcall",
    "oslo_service.backend._threading.loopingcall",
    "oslo_service.loopingcall",
)

# oslo.messaging runs each dispatch as one work item of a futurist executor, so it needs no row of its own. The work
# item is wrapped, not `submit`: this covers items that were submitted earlier, and callbacks still run in the worker.
_wrapping = Wrapping(
    Target("concurrent.futures.thread", "_WorkItem", "run", _work_item),
    Target("concurrent.futures.process", "_ExecutorManagerThread", "run", _cleared),
    Target("concurrent.futures.process", "", "_process_worker", _cleared),
    Target("concurrent.futures.process", "", "_sendback_result", _after_item),
    Target("concurrent.futures._base", "Future", "_invoke_callbacks", _kept),
    Target("gevent.threadpool", "_WorkerGreenlet", "_after_run_task", _after_item),
    Target("gevent.threadpool", "_FutureProxy", "add_done_callback", _kept_callback),
    Target("futurist._utils", "WorkItem", "run", _work_item),
    Target("futurist._futures", "SynchronousExecutor", "submit", _submit_inline),
    Target("futurist.periodics", "PeriodicWorker", "start", _cleared),
    # Requests of WSGI servers that reuse a thread; gunicorn's threaded worker uses concurrent.futures.
    Target("cheroot.server", "HTTPConnection", "communicate", _cleared),
    Target("gunicorn.workers.sync", "SyncWorker", "handle_request", _cleared),
    Target("waitress.channel", "HTTPChannel", "service", _cleared),
    # A thread for the callbacks of a channel's calls. It would keep the context of the first call for all calls.
    Target("grpc._channel", "", "_run_channel_spin_thread", _cleared),
    *(Target(module, "LoopingCallBase", "__init__", _looping) for module in _LOOPS),
)
