# SPDX-License-Identifier: Apache-2.0
"""oslo.service: looping calls and threads of a thread group become branches if a request starts them.

They are ChildOf branches: the request waits for them. A loop belongs to the request while the point that started it is
open. Afterwards each call of the loop is a unit of work, as with all loops that a service starts outside requests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import wrapt

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.concurrency.branch import Branch
from osprofiler.concurrency.branch_callable import branch_for, name_of, wrap_call_as_branch
from osprofiler.context import current, scope
from osprofiler.context.ended_points import has_ended

MODEL = "oslo_service"

_BRANCH = "_osprofiler_branch"


class _Calls:
    """The function of a loop. Its calls run in the branch while the trace lasts, and leave nothing behind."""

    def __init__(self, function: Callable[..., Any], branch: Branch) -> None:
        self._function = function
        self._branch = branch
        self._point = current.point.get()
        self.fault: Exception | None = None  # raised by the last call

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        return self._function

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)  # the loop logs the function's name

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        at = self._branch.at
        if self._point is not None and at is not None and has_ended(at.span):
            with scope.entered(self._point):
                self._branch.leave()
            self._point = None
        self.fault = None
        with scope.entered(self._point):
            try:
                return self._function(*args, **kwargs)
            except Exception as fault:
                self.fault = fault
                raise


def _start(start: Method) -> Method:
    def run(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if current.point.get() is None:
            return start(self, *args, **kwargs)
        with guard.Harmless(MODEL):
            setattr(self, _BRANCH, branch_for(MODEL, name_of(_own(self.f))))
        with scope.entered(None):  # the thread of the loop must not become a second branch
            return start(self, *args, **kwargs)

    return run


def _run_loop(run_loop: Method) -> Method:
    def run(self: Any, idle_for_func: Any, initial_delay: Any = None, stop_on_exception: Any = True) -> Any:
        branch = vars(self).pop(_BRANCH, None)
        if branch is None:
            return run_loop(self, idle_for_func, initial_delay, stop_on_exception)
        original = self.f
        branch.__enter__()
        self.f = calls = _Calls(_own(original), branch)
        try:
            return run_loop(self, idle_for_func, initial_delay, stop_on_exception)
        finally:
            self.f = original
            fault = calls.fault if stop_on_exception and not _is_done(calls.fault) else None
            branch.leave(fault)

    return run


def _is_done(fault: Exception | None) -> bool:
    """Whether *fault* is LoopingCallDone, which a function raises to stop its loop without an error."""
    return any(kind.__name__ == "LoopingCallDone" for kind in type(fault).__mro__)


def _own(function: Any) -> Any:
    """The loop's own function, without the wrapper of ``isolation``."""
    return function.__wrapped__ if isinstance(function, wrapt.FunctionWrapper) else function


def _add_thread(add_thread: Method) -> Method:
    def run(self: Any, /, callback: Any, *args: Any, **kwargs: Any) -> Any:
        if current.point.get() is None:
            return add_thread(self, callback, *args, **kwargs)
        callback, args = wrap_call_as_branch(MODEL, callback, args)
        with scope.entered(None):  # the thread must not become a second branch
            return add_thread(self, callback, *args, **kwargs)

    return run


# The places in releases 3 and 4. Wrapping skips a class that is only an alias of another module's class.
_wrapping = Wrapping(
    Target("oslo_service.loopingcall", "LoopingCallBase", "_start", _start),
    Target("oslo_service.loopingcall", "LoopingCallBase", "_run_loop", _run_loop),
    Target("oslo_service.backend._common.loopingcall", "LoopingCallBase", "_start", _start),
    Target("oslo_service.backend._common.loopingcall", "LoopingCallBase", "_run_loop", _run_loop),
    Target("oslo_service.backend._threading.loopingcall", "LoopingCallBase", "_run_loop", _run_loop),
    Target("oslo_service.threadgroup", "ThreadGroup", "add_thread", _add_thread),
    Target("oslo_service.backend._eventlet.threadgroup", "ThreadGroup", "add_thread", _add_thread),
    Target("oslo_service.backend._threading.threadgroup", "ThreadGroup", "add_thread", _add_thread),
)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
