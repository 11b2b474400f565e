# SPDX-License-Identifier: Apache-2.0
"""The flow of control that keeps a policy up to date: a daemon thread, or a greenthread in a patched process.

It works whether or not requests come. Where it cannot run between requests (uWSGI without threads, or with eventlet),
and where it does not run yet (a worker forked in C), the start of a unit of work notices that its work is late.
"""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections.abc import Callable

from osprofiler._runtime import ending, forks, guard, native
from osprofiler.context import current, scope
from osprofiler.delivery import worker as workers
from osprofiler.delivery.worker import Worker

#: The longest time that a unit of work waits for late work, in seconds.
PATIENCE_S = 0.25

#: The flow works after this part of the interval, so that a unit of work finds it late only if it does not run.
_EARLY = 0.8

_NAME = "osprofiler-policy"
_all: weakref.WeakSet[Watch] = weakref.WeakSet()


class Watch:
    """Calls *work* at least every *interval_s* seconds, untraced, in a flow of its own, while *is_wanted* is true.

    Two calls never run at the same time. Faults are counted as ``fault.policy``.
    """

    def __init__(self, work: Callable[[], None], interval_s: float, is_wanted: Callable[[], bool]) -> None:
        self._work = work
        self._interval_s = interval_s
        self._is_wanted = is_wanted
        self._starting = native.lock()
        self._worker: Worker | None = None
        self._late_at = math.inf
        self._done = threading.Event()
        _all.add(self)

    def begin(self) -> None:
        """Start the flow in this process, unless it runs. The first call of *work* is after the interval."""
        self._late_at = time.monotonic() + self._interval_s
        if self._worker is not None or not self._starting.acquire(False):
            return
        try:
            with guard.Harmless("policy"):
                worker = workers.fitting(_NAME)
                if worker.begin(self._run):
                    self._worker = worker
        finally:
            self._starting.release()

    def end(self) -> None:
        """End the flow, after a call of *work* that runs."""
        self._late_at = math.inf
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.wake()

    def look(self) -> None:
        """Called at the start of a unit of work. If the work is late, wait for it, ``PATIENCE_S`` at most."""
        if time.monotonic() < self._late_at or native.is_extra_native_thread() or ending.has_begun():
            return
        with guard.Harmless("policy"):
            forks.take_over()
            self.begin()
            if self._worker is not None:
                done = self._done = threading.Event()
                self._worker.wake()
                done.wait(PATIENCE_S)

    def after_fork(self) -> None:
        """In a forked child: start anew. A greenthread waits for the first unit of work: its hub may be replaced."""
        worker, self._worker = self._worker, None
        self._starting = native.lock()
        self._done = threading.Event()
        if worker is None:
            return
        worker.abandon()
        if native.patched():
            self._late_at = 0.0
        else:
            self.begin()

    def _run(self, worker: Worker) -> None:
        current.point.set(scope.SUPPRESSED)
        while True:
            worker.wait(self._interval_s * _EARLY)
            if self._worker is not worker or ending.has_begun() or not self._is_wanted():
                return
            with guard.Harmless("policy"):
                self._work()
            self._late_at = time.monotonic() + self._interval_s
            self._done.set()


@forks.in_child
def _start_over() -> None:
    for each in list(_all):
        each.after_fork()
