# SPDX-License-Identifier: Apache-2.0
"""gevent as a ``native.GreenthreadLibrary``. The process has imported gevent itself; this module never does."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

# A parent's greenlets that do not run on in this process. To collect one would be to end it.
_abandoned: list[Any] = []


class Gevent:
    """What a process does with gevent."""

    threads_deliver = False  # a socket belongs to the hub of the thread that made it

    def is_loaded(self) -> bool:
        return "gevent.monkey" in sys.modules

    def patched(self) -> bool:
        return self._patched("threading")

    def has_green_sockets(self) -> bool:
        monkey = sys.modules["gevent.monkey"]
        # Patched by options of their own: TLS, and the wait for a name server.
        return self._patched("ssl") and bool(monkey.is_object_patched("socket", "getaddrinfo"))

    def original(self, module: str, name: str) -> Any:
        return sys.modules["gevent.monkey"].get_original(module, name)

    def runs_here(self) -> bool:
        hub = _hub()
        return hub is not None and _current() is not hub

    def sleep(self, seconds: float) -> None:
        # What waits for tracing alone keeps no loop running: gevent.wait() is to return.
        sys.modules["gevent"].sleep(seconds, ref=not isinstance(_current(), _kind()))

    def time_limit(self, seconds: float) -> AbstractContextManager[Any]:
        limit: AbstractContextManager[Any] = sys.modules["gevent"].Timeout(seconds, TimeoutError("timed out"))
        return limit

    def leave_thread(self) -> None:
        hub = _hub()
        if hub is not None:
            hub.destroy(destroy_loop=True)

    def new_greenthread(self) -> GeventGreenthread:
        return GeventGreenthread()

    def _patched(self, module: str) -> bool:
        monkey = sys.modules.get("gevent.monkey")
        return monkey is not None and bool(monkey.is_module_patched(module))


class GeventGreenthread:
    """A greenlet of ours, which sleeps until it is woken."""

    def __init__(self) -> None:
        import gevent.hub
        import gevent.threadpool  # the resolver does it with its first name, which at exit is too late

        self._gevent: Any = gevent
        self._sleep: Any = None
        self._told = False
        self._greenlet: Any = None

    def begin(self, run: Callable[[], None]) -> None:
        hub = self._gevent.get_hub()
        self._greenlet = _kind()(run, hub)
        hub.loop.run_callback(self._greenlet.switch)

    def wait(self, seconds: float) -> None:
        if not self._told:
            hub = self._gevent.get_hub()
            self._sleep = self._gevent.hub.Waiter(hub)
            hub.loop.update_now()
            with hub.loop.timer(max(seconds, 0), ref=False) as timer:
                timer.start(self._sleep.switch, None)
                self._sleep.get()
            self._sleep = None
        self._told = False

    def wake(self) -> None:
        sleep = None if self._told else self._sleep
        self._told = True
        if sleep is not None:
            sleep.hub.loop.run_callback(sleep.switch, None)

    def abandon(self) -> None:
        # The child goes on with a copy of every greenlet. Ours must not wake: it would read the answer that the parent
        # waits for. Nor can it be ended: a client that is interrupted may say goodbye on the connection, which is the
        # parent's too.
        greenlet = self._greenlet
        greenlet.abandoned = True
        _abandoned.append(greenlet)
        frame = greenlet.gr_frame
        while frame is not None:  # else the loop reports again and again that there is something to read
            _stop_watching(frame.f_locals.get("self"))
            frame = frame.f_back


def _stop_watching(socket: Any) -> None:
    if isinstance(socket, sys.modules["gevent.socket"].socket):
        for watcher in (socket._read_event, socket._write_event):
            if watcher is not None:
                watcher.stop()


@functools.cache
def _kind() -> Any:
    """The class of our own greenlets; gevent wakes a greenlet by these methods."""
    greenlet = sys.modules["greenlet"].greenlet

    class ReporterGreenlet(greenlet):  # type: ignore[misc,valid-type]
        abandoned = False

        def switch(self, /, *args: Any, **kwargs: Any) -> Any:
            return None if self.abandoned else super().switch(*args, **kwargs)

        def throw(self, *args: Any) -> Any:
            return None if self.abandoned else super().throw(*args)

    return ReporterGreenlet


def _hub() -> Any:
    """The calling native thread's hub, if it has one."""
    local = sys.modules.get("gevent._hub_local")
    return None if local is None else local.get_hub_if_exists()


def _current() -> Any:
    return sys.modules["greenlet"].getcurrent()
