# SPDX-License-Identifier: Apache-2.0
"""gevent as a ``native.GreenthreadLibrary``. The process has imported gevent itself; this module never does."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

# Copies of a parent's greenlets, which must not run in this process. A garbage collection would kill them.
_abandoned: list[Any] = []


class Gevent:
    """gevent, as this process uses it."""

    threads_deliver = False  # a socket belongs to the hub of the thread that created it

    def is_loaded(self) -> bool:
        return "gevent.monkey" in sys.modules

    def patched(self) -> bool:
        return self._patched("threading")

    def has_green_sockets(self) -> bool:
        monkey = sys.modules["gevent.monkey"]
        # gevent has separate options for TLS and for name resolution.
        return self._patched("ssl") and bool(monkey.is_object_patched("socket", "getaddrinfo"))

    def original(self, module: str, name: str) -> Any:
        return sys.modules["gevent.monkey"].get_original(module, name)

    def runs_here(self) -> bool:
        hub = _hub()
        return hub is not None and _current() is not hub

    def sleep(self, seconds: float) -> None:
        # A sleep of our own greenlet must not keep the loop running: gevent.wait() has to return.
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
    """A greenlet of our own, which sleeps until it is woken."""

    def __init__(self) -> None:
        import gevent.hub
        import gevent.threadpool  # the resolver imports it for its first name, and at exit that is too late

        self._gevent: Any = gevent
        self._sleep: Any = None
        self._woken = False
        self._greenlet: Any = None

    def begin(self, run: Callable[[], None]) -> None:
        hub = self._gevent.get_hub()
        self._greenlet = _kind()(run, hub)
        hub.loop.run_callback(self._greenlet.switch)

    def wait(self, seconds: float) -> None:
        if not self._woken:
            hub = self._gevent.get_hub()
            self._sleep = self._gevent.hub.Waiter(hub)
            hub.loop.update_now()
            with hub.loop.timer(max(seconds, 0), ref=False) as timer:
                timer.start(self._sleep.switch, None)
                self._sleep.get()
            self._sleep = None
        self._woken = False

    def wake(self) -> None:
        sleep = None if self._woken else self._sleep
        self._woken = True
        if sleep is not None:
            sleep.hub.loop.run_callback(sleep.switch, None)

    def abandon(self) -> None:
        # The child has a copy of every greenlet. Ours must not wake: it would read the parent's answer. It cannot be
        # killed either: an interrupted client may close the session on the connection, which is also the parent's.
        greenlet = self._greenlet
        greenlet.abandoned = True
        _abandoned.append(greenlet)
        frame = greenlet.gr_frame
        while frame is not None:  # otherwise the loop reports the readable socket again and again
            _stop_watching(frame.f_locals.get("self"))
            frame = frame.f_back


def _stop_watching(socket: Any) -> None:
    if isinstance(socket, sys.modules["gevent.socket"].socket):
        for watcher in (socket._read_event, socket._write_event):
            if watcher is not None:
                watcher.stop()


@functools.cache
def _kind() -> Any:
    """The class of our own greenlets. gevent wakes a greenlet through these two methods."""
    greenlet = sys.modules["greenlet"].greenlet

    class ReporterGreenlet(greenlet):  # type: ignore[misc,valid-type]
        abandoned = False

        def switch(self, /, *args: Any, **kwargs: Any) -> Any:
            return None if self.abandoned else super().switch(*args, **kwargs)

        def throw(self, *args: Any) -> Any:
            return None if self.abandoned else super().throw(*args)

    return ReporterGreenlet


def _hub() -> Any:
    """The hub of the calling native thread, if it has one."""
    local = sys.modules.get("gevent._hub_local")
    return None if local is None else local.get_hub_if_exists()


def _current() -> Any:
    return sys.modules["greenlet"].getcurrent()
