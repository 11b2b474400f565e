# SPDX-License-Identifier: Apache-2.0
"""The unit of work: what a pooled worker or a periodic task does once neither finds nor leaves a trace.

Workers are reused. An RPC dispatch runs as a work item of such a worker, and a message without trace information calls
nothing of ours; so the work item itself starts with no current point and ends by restoring, by value, what the worker
had. Only our own context variable is touched. To carry a trace into work is the business of forks.
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

#: The thread that runs work items where they are submitted, in the submitter's own flow of control. The ident keeps
#: threads apart that inherit their starter's context.
_inline: ContextVar[int | None] = ContextVar("osprofiler_inline", default=None)


def isolated(work: F) -> F:
    """*work* as a unit of work of its own: it starts with no trace, and what was current is restored after it."""
    return functools.wraps(work)(_cleared(work))  # type: ignore[return-value]


def install() -> None:
    """Make work items and ticks of periodic tasks units of work, also of libraries that are imported later.

    A second call does nothing.
    """
    _wrapping.install()


def uninstall() -> None:
    """Undo :func:`install`."""
    _wrapping.uninstall()


def _cleared(work: Method) -> Method:
    def run(*args: Any, **kwargs: Any) -> Any:
        holder = current.point
        before = _enter(holder, None)
        try:
            return work(*args, **kwargs)
        finally:
            _restore(holder, before)

    return run


def _work_item(work: Method) -> Method:
    """A work item in the submitter's own flow goes on in its trace: to that code it is a plain call."""

    def run(*args: Any, **kwargs: Any) -> Any:
        holder = current.point
        before = _enter(holder, _inline.get())
        try:
            return work(*args, **kwargs)
        finally:
            _restore(holder, before)

    return run


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
    """What a pool's worker calls after each work item, in the flow that the next one will run in."""

    def run(*args: Any, **kwargs: Any) -> Any:
        _restore(current.point, None)
        return then(*args, **kwargs)

    return run


def _kept(work: Method) -> Method:
    """Callbacks run in whatever flow settles the future; what they begin ends with them."""

    def run(*args: Any, **kwargs: Any) -> Any:
        holder = current.point
        before = _enter(holder, threading.get_ident())
        try:
            return work(*args, **kwargs)
        finally:
            _restore(holder, before)

    return run


def _kept_callback(add: Method) -> Method:
    """The hub of gevent calls it, in the flow that all callbacks run in."""

    def run(self: Any, /, fn: Any) -> Any:
        return add(self, functools.wraps(fn)(_kept(fn)))

    return run


def _looping(init: Method) -> Method:
    """Every tick of a looping call is a unit: its loop is one endless work item."""

    def run(self: Any, /, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        function = getattr(self, "f", None)
        if callable(function) and getattr(function, "_self_wrapper", None) is not _tick:  # a base's __init__ was here
            # A transparent proxy: the loop logs the function's name, and services compare it.
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
    except Exception as fault:  # a scope manager of the operator's choice
        guard.swallow("isolation", fault)
        return None


def _restore(holder: Current, before: Point | None) -> None:
    try:
        if holder.get() is not before:
            holder.set(before)
    except Exception as fault:
        guard.swallow("isolation", fault)


# From 4.4 both backends' classes are made of the common one, before each is by itself, and before 4 there is but one.
_LOOPS = (
    "oslo_service.backend._common.loopingcall",
    "oslo_service.backend._eventlet.loopingcall",
    "oslo_service.backend._threading.loopingcall",
    "oslo_service.loopingcall",
)

# oslo.messaging runs each dispatch as one work item of a futurist executor, so it needs no row of its own. The work
# item is wrapped rather than `submit`: so it covers what was submitted before, and the callbacks run in the worker.
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
    # The requests of WSGI servers that reuse a thread for them; gunicorn's pool is one of concurrent.futures.
    Target("cheroot.server", "HTTPConnection", "communicate", _cleared),
    Target("gunicorn.workers.sync", "SyncWorker", "handle_request", _cleared),
    Target("waitress.channel", "HTTPChannel", "service", _cleared),
    # A thread for the callbacks of a channel's calls: the first of them would have its context copied for all.
    Target("grpc._channel", "", "_run_channel_spin_thread", _cleared),
    *(Target(module, "LoopingCallBase", "__init__", _looping) for module in _LOOPS),
)
