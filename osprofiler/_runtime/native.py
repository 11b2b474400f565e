# SPDX-License-Identifier: Apache-2.0
"""Pauses, locks and calls that work in native threads and in greenthreads.

eventlet or gevent may have replaced threads by greenthreads ("patched" the process). A patched process may still have
native threads: of the library's own pool, or for a callback of a C library. They must not use patched objects: no
locks, no logging, no hub.
"""

from __future__ import annotations

import _thread
import contextlib
import importlib
import os
import socket
import sys
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from time import sleep  # the tests of a service may replace time.sleep
from typing import Any, Protocol, TypeVar, cast

from osprofiler._runtime import ending
from osprofiler._runtime.green_eventlet import Eventlet
from osprofiler._runtime.green_gevent import Gevent

T = TypeVar("T")

# A greenthread that waits for a native thread has to poll.
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.05


class GreenthreadLibrary(Protocol):
    """A library that can replace threads by greenthreads, as this process uses it. It is never imported here."""

    #: Whether other native threads can use the connections of greenthreads.
    threads_deliver: bool

    def is_loaded(self) -> bool:
        """Whether the process has imported it. Other methods need that, but for ``patched`` and ``runs_here``."""

    def patched(self) -> bool:
        """Whether it has replaced threads by greenthreads."""

    def original(self, module: str, name: str) -> Any:
        """The original item *name* of the standard library's *module*, before patching."""

    def has_green_sockets(self) -> bool:
        """Whether other greenthreads run while one waits for the network."""

    def runs_here(self) -> bool:
        """Whether other greenthreads of the calling native thread run while the caller is in :meth:`sleep`."""

    def sleep(self, seconds: float) -> None:
        """Let other greenthreads run for this time."""

    def time_limit(self, seconds: float) -> AbstractContextManager[Any]:
        """A block that raises TimeoutError in the calling greenthread after this time."""

    def leave_thread(self) -> None:
        """In a native thread that ends: free the objects that the library has created for it."""

    def new_greenthread(self) -> Greenthread:
        """Make a greenthread of our own; it does not run yet."""


class Greenthread(Protocol):
    """A greenthread of our own."""

    def begin(self, run: Callable[[], None]) -> None:
        """Start *run* in it."""

    def wait(self, seconds: float) -> None:
        """Sleep, in the calling greenthread, until :meth:`wake` or until *seconds* have passed."""

    def wake(self) -> None:
        """End the current sleep, or else the next one. Never blocks. Other native threads must not call it."""

    def abandon(self) -> None:
        """In a forked child: make sure that the copy of the greenthread never runs."""


_LIBRARIES: tuple[GreenthreadLibrary, ...] = (Eventlet(), Gevent())


def greenthread_library() -> GreenthreadLibrary | None:
    """The library that has replaced threads by greenthreads in this process."""
    for each in _LIBRARIES:
        if each.patched():
            return each
    return None


def patched() -> bool:
    """Whether threads are greenthreads in this process."""
    return greenthread_library() is not None


def is_extra_native_thread() -> bool:
    """Whether the process is patched, and this native thread is not the main thread, which runs the greenthreads."""
    return patched() and _thread.get_native_id() != os.getpid()


def is_green() -> bool:
    """Whether a wait of the caller in C would block other greenthreads; also in a process that is not patched."""
    return _running_here() is not None


def pause(seconds: float) -> None:
    """Let other threads run for *seconds*; in a greenthread, other greenthreads.

    A forked child has copies of greenthreads. A copy that pauses here ends (``GreenletExit``).
    """
    running = _running_here()
    if running is None:
        (_original("time", "sleep") if _loaded() else sleep)(seconds)
        return
    pid = os.getpid()
    running.sleep(seconds)
    if os.getpid() != pid:
        raise sys.modules["greenlet"].GreenletExit


def pause_until(condition: Callable[[], Any]) -> None:
    """Pause until *condition* is true; the pauses become longer."""
    pause_s = _SHORTEST_PAUSE_S
    while not condition():
        pause(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


class NativeThread:
    """A native thread that runs calls for greenthreads, one after the other, while other greenthreads run.

    It is not a thread of the library's own pool. After a fork child and parent share that pool's sockets, and each
    would take the answers of the other. This thread does not exist in a forked child, which needs a new one.
    """

    def __init__(self) -> None:
        self._calls: deque[Callable[[], None] | None] = deque()
        self._wake = lock()  # held while no call waits
        self._wake.acquire()
        self._begun = False

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call *function* in the thread, and return its result or raise its error. For one greenthread at a time.

        If the process ends, and no thread can be started, the calling thread calls *function*.
        """
        outcome: list[tuple[T | None, BaseException | None]] = []

        def run() -> None:
            try:
                outcome.append((function(*args), None))
            except BaseException as fault:
                outcome.append((None, fault))

        if not self._begun:
            if not ending.start_thread(lambda: _original("_thread", "start_new_thread")(self._run, ())):
                return function(*args)
            self._begun = True
        self._hand_over(run)
        pause_until(lambda: outcome)
        result, fault = outcome[0]
        if fault is not None:
            raise fault
        return cast(T, result)

    def end(self) -> None:
        """End the thread after the calls that it has got already."""
        if self._begun:
            self._hand_over(None)

    def _hand_over(self, call: Callable[[], None] | None) -> None:
        self._calls.append(call)
        if self._wake.locked():
            self._wake.release()

    def _run(self) -> None:
        try:
            while True:
                self._wake.acquire()
                while self._calls:
                    call = self._calls.popleft()
                    if call is None:
                        return
                    call()
        finally:
            for each in _loaded():
                each.leave_thread()


def call_in_native_thread(function: Callable[..., T], *args: Any) -> T:
    """Call *function*, which waits in C. In a greenthread, use a native thread, so that other greenthreads can run."""
    if not is_green():
        return function(*args)
    thread = NativeThread()
    try:
        return thread.call(function, *args)
    finally:
        thread.end()


def time_limit(seconds: float) -> AbstractContextManager[Any]:
    """A block that raises TimeoutError in the calling greenthread after *seconds*.

    In a native thread it does nothing: there only the time-outs of sockets apply.
    """
    running = _running_here()
    return contextlib.nullcontext() if running is None else running.time_limit(seconds)


def resolve(host: str, port: int, kind: int) -> list[Any]:
    """The result of ``socket.getaddrinfo`` for *host*, a name or an address. Raises OSError.

    ``getaddrinfo`` waits in C for the name server. Some services turn the library's own resolver off
    (EVENTLET_NO_GREENDNS, as nova did), and then it would block all greenthreads.
    """
    look_up = _original("socket", "getaddrinfo") if patched() else socket.getaddrinfo
    return cast("list[Any]", call_in_native_thread(look_up, host, port, 0, kind))


def lock() -> _thread.LockType:
    """Make a native lock. Any thread may release it, also in a signal handler or a finalizer."""
    native_lock: _thread.LockType = _original("_thread", "allocate_lock")()
    return native_lock


def _loaded() -> list[GreenthreadLibrary]:
    return [each for each in _LIBRARIES if each.is_loaded()]


def _running_here() -> GreenthreadLibrary | None:
    for each in _LIBRARIES:
        if each.runs_here():
            return each
    return None


def _original(module: str, name: str) -> Any:
    """The original item *name* of *module*, before any patching."""
    for each in sorted(_loaded(), key=lambda each: not each.patched()):
        return each.original(module, name)
    return getattr(importlib.import_module(module), name)
