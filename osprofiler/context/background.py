# SPDX-License-Identifier: Apache-2.0
"""Background work of tracing: it runs from time to time, and never twice at the same time."""

from __future__ import annotations

import _thread
import threading
import weakref
from collections.abc import Callable

from osprofiler._runtime import ending, forks, guard, native
from osprofiler.context import scope

_all: weakref.WeakSet[Background] = weakref.WeakSet()


class Background:
    """Runs *work*, untraced, in a new thread with *name*. Faults are counted under *where*."""

    def __init__(self, work: Callable[[], None], name: str, where: str) -> None:
        self._work = work
        self._name = name
        self._where = where
        self._running = native.lock()
        _all.add(self)

    def begin(self, patience_s: float = 0.0) -> None:
        """Start the work unless it runs already. Wait for its end for at most *patience_s* seconds. Never raises."""
        running = self._running
        if not running.acquire(False):
            return
        with guard.Harmless(self._where):
            done = threading.Event()
            try:
                thread = threading.Thread(target=self._run, args=(running, done), name=self._name, daemon=True)
                started = ending.start_thread(thread.start)
            except BaseException:
                running.release()
                raise
            if not started:
                running.release()
            elif patience_s:
                done.wait(patience_s)

    def _run(self, running: _thread.LockType, done: threading.Event) -> None:
        try:
            with guard.Harmless(self._where), scope.entered(scope.SUPPRESSED):
                self._work()
        finally:
            running.release()
            done.set()

    def after_fork(self) -> None:
        """In a forked child: forget a run that belongs to the parent."""
        self._running = native.lock()


@forks.in_child
def _start_over() -> None:
    for each in list(_all):
        each.after_fork()
