# SPDX-License-Identifier: Apache-2.0
"""What the reporter runs on: a daemon thread, or a greenthread where eventlet has patched threading.

Which it is, is decided when the reporter starts, not at import: a process may be patched in between. eventlet is never
imported here unless it is there and has patched. A native thread in a patched process (eventlet's own pool, a C
library's callback) must not touch what is patched, so it can neither start nor wake the greenthread.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from osprofiler import _native
from osprofiler.opentracing_compat.reporting.marks import Mark

T = TypeVar("T")

_NAME = "osprofiler-reporter"

# A greenthread that waits for a native thread can only look again and again.
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.05


class Worker(Protocol):
    """A flow of control of our own."""

    #: How long it may sleep with nothing to do, in seconds; it can be woken before.
    idle_s: float

    def begin(self, run: Callable[[Worker], None]) -> None:
        """Have *run* run in this worker. Raises RuntimeError where no thread can be started (any more)."""

    def wait(self, seconds: float) -> None:
        """Sleep, in the worker itself, until woken or until *seconds* have passed."""

    def wake(self) -> None:
        """End the worker's sleep, or its next one. Never blocks."""

    def rest(self) -> None:
        """Let others run, between two batches."""

    def call(self, function: Callable[..., T], *args: Any, blocking: bool) -> T:
        """Call *function*, elsewhere if it is *blocking* and that would stop others."""

    def await_mark(self, mark: Mark, timeout_s: float) -> None:
        """Wait, in somebody else's flow, until *mark* is passed or the time is up."""

    def abandon(self) -> None:
        """In a forked child: see that a copy of the worker does not run on."""


def fitting() -> Worker:
    """A worker of the kind that this process needs, not begun."""
    return GreenWorker() if _native.patched() else NativeWorker()


class NativeWorker:
    """A daemon thread."""

    idle_s = 3600.0

    def __init__(self) -> None:
        # A bare lock as a binary semaphore: unlike an Event it may be released from a signal handler or a finalizer
        # that interrupted another release.
        self._sleep = _native.lock()
        self._sleep.acquire()

    def begin(self, run: Callable[[Worker], None]) -> None:
        threading.Thread(target=run, args=(self,), name=_NAME, daemon=True).start()

    def wait(self, seconds: float) -> None:
        self._sleep.acquire(timeout=max(seconds, 0))

    def wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is awake, or has been told already
            self._sleep.release()

    def rest(self) -> None:
        return None

    def call(self, function: Callable[..., T], *args: Any, blocking: bool) -> T:
        return function(*args)

    def await_mark(self, mark: Mark, timeout_s: float) -> None:
        mark.wait(timeout_s)

    def abandon(self) -> None:
        return None  # threads do not survive a fork


class GreenWorker:
    """A greenthread of the main thread's hub."""

    # Native threads append without being able to wake it, so it looks now and then.
    idle_s = 1.0

    def __init__(self) -> None:
        import eventlet
        import eventlet.event
        import eventlet.hubs

        self._eventlet: Any = eventlet
        self._sleep: Any = None
        self._told = False
        self._thread: Any = None

    def begin(self, run: Callable[[Worker], None]) -> None:
        self._thread = self._eventlet.spawn(run, self)

    def wait(self, seconds: float) -> None:
        if not self._told:
            self._sleep = self._eventlet.event.Event()
            self._sleep.wait(timeout=max(seconds, 0))
            self._sleep = None
        self._told = False

    def wake(self) -> None:
        if _native.foreign():
            return
        self._told = True
        sleep = self._sleep
        if sleep is not None and not sleep.ready():
            sleep.send()

    def rest(self) -> None:
        _native.pause(0)

    def call(self, function: Callable[..., T], *args: Any, blocking: bool) -> T:
        return _native.elsewhere(function, *args) if blocking else function(*args)

    def await_mark(self, mark: Mark, timeout_s: float) -> None:
        if _native.foreign():
            mark.wait(timeout_s)
            return
        deadline = time.monotonic() + timeout_s
        pause_s = _SHORTEST_PAUSE_S
        while not mark.passed and time.monotonic() < deadline:
            self._eventlet.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def abandon(self) -> None:
        # The child has a copy of the greenthread. If that waits for the collector it must not wake: it would read the
        # answer that the parent waits for. Nor can it be ended in the ordinary way: on its way out it would take the
        # socket off the epoll descriptor, which the child has in common with the parent.
        hub = getattr(self._eventlet.hubs._threadlocal, "hub", None)
        for listeners in getattr(hub, "listeners", {}).values():
            for descriptor, listener in list(listeners.items()):
                if listener.greenlet is self._thread:
                    del listeners[descriptor]
