# SPDX-License-Identifier: Apache-2.0
"""threading: a thread that is started while a trace is on becomes a branch.

``threading.Thread`` is a ChildOf branch: its starter waits for it. ``threading.Timer`` is a FollowsFrom branch: nobody
waits for it.

The workers of known pools are machinery and start without a trace; other workers are recognised by their queue
(``workers``). If eventlet or gevent has patched threading, threads are greenthreads, and this module follows them too.
"""

from __future__ import annotations

import threading
from typing import Any

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping, own_class
from osprofiler.concurrency import workers
from osprofiler.concurrency.branch_callable import (
    BranchCallable,
    branch_for,
    is_branch,
    is_machinery,
    name_of,
    wrap_as_branch,
)
from osprofiler.context import current

MODEL = "threading"


class _Run(BranchCallable):
    """Replaces the ``run`` of a thread until the thread calls it."""

    __slots__ = ()

    def __call__(self) -> Any:
        thread: Any = getattr(self.function, "__self__", None)
        thread.__dict__.pop("run", None)  # otherwise a reference cycle keeps the thread alive
        return workers.run(self.branch, _work_of(thread), self.function)


def _start(start: Method) -> Method:
    def run(self: threading.Thread) -> None:
        if current.point.get() is not None:
            with guard.Harmless(MODEL):
                _follow(self)
        start(self)

    return run


def _follow(thread: threading.Thread) -> None:
    if isinstance(thread, own_class(threading, "Timer") or ()):
        # Only the timer's function is work of the request, not its wait.
        timer: Any = thread
        timer.function = wrap_as_branch(MODEL, timer.function, detached=True)
        return
    work = _work_of(thread)
    if work is None or is_branch(work) or is_machinery(work):
        return
    branch = branch_for(MODEL, name_of(work))
    if branch is not None:
        thread.run = _Run(thread.run, branch)  # type: ignore[method-assign]


def _work_of(thread: threading.Thread) -> Any:
    """The work of the thread: its target, or the ``run`` of its class."""
    return getattr(thread, "_target", None) if type(thread).run is threading.Thread.run else thread.run


_wrapping = Wrapping(Target("threading", "Thread", "start", _start), *workers.TARGETS)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
