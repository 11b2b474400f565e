# SPDX-License-Identifier: Apache-2.0
"""The worker of a reporter: a daemon thread, or a greenthread if eventlet or gevent has patched threading.

The choice is made when the reporter starts, not at import, since a process may be patched in between. A native thread
in a patched process (of the library's own pool, or of a C library) must not use a patched module. So it can neither
start nor wake the greenthread.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from osprofiler._runtime import ending, native

T = TypeVar("T")

#: The name of a reporter's thread.
REPORTER = "osprofiler-reporter"


class Worker(Protocol):
    """The flow of control of a reporter."""

    #: How long it may sleep with nothing to do, in seconds. It can be woken earlier.
    idle_s: float

    def begin(self, run: Callable[[Worker], None]) -> bool:
        """Run *run* in this worker. False: the process ends. Raises RuntimeError if no thread can be started."""

    def wait(self, seconds: float) -> None:
        """Sleep, in the worker itself, until woken or until *seconds* have passed."""

    def wake(self) -> None:
        """End the worker's sleep, or its next one. Never blocks."""

    def rest(self) -> None:
        """Let others run, between two batches."""

    def call(self, function: Callable[..., T], *args: Any, blocking: bool) -> T:
        """Call *function*; if it is *blocking* and would stop other greenthreads, in a native thread."""

    def abandon(self) -> None:
        """In a forked child: keep the copy of this worker from running."""


def fitting(name: str = REPORTER) -> Worker:
    """A worker of the kind that this process needs, not yet begun. *name* is that of its thread."""
    library = native.greenthread_library()
    return NativeWorker(name) if library is None else GreenWorker(library)


class NativeWorker:
    """A daemon thread."""

    idle_s = 3600.0

    def __init__(self, name: str = REPORTER) -> None:
        self._name = name
        # A bare lock as a binary semaphore: unlike an Event it may be released from a signal handler or a finalizer
        # that interrupted another release.
        self._sleep = native.lock()
        self._sleep.acquire()

    def begin(self, run: Callable[[Worker], None]) -> bool:
        return ending.start_thread(threading.Thread(target=run, args=(self,), name=self._name, daemon=True).start)

    def wait(self, seconds: float) -> None:
        self._sleep.acquire(timeout=max(seconds, 0))

    def wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is awake, or somebody has woken it
            self._sleep.release()

    def rest(self) -> None:
        return None

    def call(self, function: Callable[..., T], *args: Any, blocking: bool) -> T:
        return function(*args)

    def abandon(self) -> None:
        return None  # threads do not survive a fork


class GreenWorker:
    """A greenthread of the main thread's hub."""

    # Native threads append but cannot wake it, so it checks the queue once a second.
    idle_s = 1.0

    def __init__(self, library: native.GreenthreadLibrary) -> None:
        self._library = library
        self._flow = library.new_greenthread()
        self._native: native.NativeThread | None = None

    def begin(self, run: Callable[[Worker], None]) -> bool:
        thread = self._native = native.NativeThread()

        def main() -> None:
            try:
                run(self)
            finally:
                thread.end()

        return ending.start_thread(lambda: self._flow.begin(main))

    def wait(self, seconds: float) -> None:
        self._flow.wait(seconds)

    def wake(self) -> None:
        if not native.is_extra_native_thread():
            self._flow.wake()

    def rest(self) -> None:
        native.pause(0)

    def call(self, function: Callable[..., T], *args: Any, blocking: bool) -> T:
        if not blocking and self._library.has_green_sockets():
            return function(*args)
        call = native.call_in_native_thread if self._native is None else self._native.call
        return call(function, *args)

    def abandon(self) -> None:
        self._flow.abandon()
