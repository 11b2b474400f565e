# SPDX-License-Identifier: Apache-2.0
"""eventlet as a ``native.GreenthreadLibrary``. The process has imported eventlet itself; this module never does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any


class Eventlet:
    """eventlet, as this process uses it."""

    threads_deliver = True  # any thread can use its sockets

    def is_loaded(self) -> bool:
        return "eventlet.patcher" in sys.modules

    def patched(self) -> bool:
        return self._patched("thread")

    def has_green_sockets(self) -> bool:
        return self._patched("socket")

    def original(self, module: str, name: str) -> Any:
        return getattr(sys.modules["eventlet.patcher"].original(module), name)

    def runs_here(self) -> bool:
        hubs = sys.modules.get("eventlet.hubs")
        hub = None if hubs is None else getattr(hubs._threadlocal, "hub", None)
        return hub is not None and sys.modules["greenlet"].getcurrent() is not hub.greenlet

    def sleep(self, seconds: float) -> None:
        sys.modules["eventlet"].sleep(seconds)

    def time_limit(self, seconds: float) -> AbstractContextManager[Any]:
        limit: AbstractContextManager[Any] = sys.modules["eventlet"].Timeout(seconds, TimeoutError("timed out"))
        return limit

    def leave_thread(self) -> None:
        return None  # hubs are collected with their threads

    def new_greenthread(self) -> EventletGreenthread:
        return EventletGreenthread()

    def _patched(self, module: str) -> bool:
        patcher = sys.modules.get("eventlet.patcher")
        return patcher is not None and bool(patcher.is_monkey_patched(module))


class EventletGreenthread:
    """A greenthread of our own, which sleeps until it is woken."""

    def __init__(self) -> None:
        import eventlet
        import eventlet.event
        import eventlet.hubs

        self._eventlet: Any = eventlet
        self._sleep: Any = None
        self._woken = False
        self._thread: Any = None

    def begin(self, run: Callable[[], None]) -> None:
        self._thread = self._eventlet.spawn(run)

    def wait(self, seconds: float) -> None:
        if not self._woken:
            self._sleep = self._eventlet.event.Event()
            self._sleep.wait(timeout=max(seconds, 0))
            self._sleep = None
        self._woken = False

    def wake(self) -> None:
        self._woken = True
        sleep = self._sleep
        if sleep is not None and not sleep.ready():
            sleep.send()

    def abandon(self) -> None:
        # The child has a copy of the greenthread. If the copy waits for the collector, it must not wake: it would read
        # the parent's answer. It cannot be killed either: it would remove the socket from the epoll descriptor, which
        # child and parent share.
        hub = getattr(self._eventlet.hubs._threadlocal, "hub", None)
        for listeners in getattr(hub, "listeners", {}).values():
            for descriptor, listener in list(listeners.items()):
                if listener.greenlet is self._thread:
                    del listeners[descriptor]
