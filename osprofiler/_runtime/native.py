# SPDX-License-Identifier: Apache-2.0
"""Native threads where a library of greenthreads may have replaced them: which of the two this is, and pauses, locks
and calls that work in both worlds.

A native thread in a patched process (a pool of the library's own, a C library's callback) must not touch what is
patched: neither locks nor logging nor the hub.
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
from time import sleep  # a service's tests put others in the place of time.sleep
from typing import Any, Protocol, TypeVar, cast

from osprofiler._runtime import ending
from osprofiler._runtime.green_eventlet import Eventlet
from osprofiler._runtime.green_gevent import Gevent

T = TypeVar("T")

# A greenthread that waits for a native thread can only look again and again.
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.05


class GreenthreadLibrary(Protocol):
    """A library that can replace threads by greenthreads, as this process uses it. Nothing here imports it."""

    #: Native threads beside the greenthreads can use the connections of these.
    threads_deliver: bool

    def is_loaded(self) -> bool:
        """Whether the process has imported it. The methods from ``original`` on are for such processes only."""

    def patched(self) -> bool:
        """Whether it has replaced threads by greenthreads."""

    def original(self, module: str, name: str) -> Any:
        """The item *name* of the standard library's *module* as it is without this library."""

    def has_green_sockets(self) -> bool:
        """Whether other greenthreads run while one waits for the network."""

    def runs_here(self) -> bool:
        """Whether other greenthreads of the calling native thread run while the caller is in :meth:`sleep`."""

    def sleep(self, seconds: float) -> None:
        """Let other greenthreads run for so long."""

    def time_limit(self, seconds: float) -> AbstractContextManager[Any]:
        """Raise TimeoutError in the calling greenthread once so long has passed."""

    def leave_thread(self) -> None:
        """In a native thread that ends: give back what the library has made for it."""

    def new_greenthread(self) -> Greenthread:
        """A greenthread of our own, not begun."""


class Greenthread(Protocol):
    """A greenthread of our own."""

    def begin(self, run: Callable[[], None]) -> None:
        """Have *run* run in it."""

    def wait(self, seconds: float) -> None:
        """Sleep, in the calling greenthread, until woken or until *seconds* have passed."""

    def wake(self) -> None:
        """End the sleep, or the next one. Never blocks. Native threads beside the greenthreads must not call it."""

    def abandon(self) -> None:
        """In a forked child: see that the copy of the greenthread does not run on."""


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
    """Whether this is a native thread beside the one that runs the greenthreads, in a patched process."""
    return patched() and _thread.get_native_id() != os.getpid()


def is_green() -> bool:
    """Whether greenthreads stand still while the caller waits in C; also where threads have not been replaced."""
    return _running_here() is not None


def pause(seconds: float) -> None:
    """Let other threads run for so long; in a greenthread, other greenthreads.

    A forked child has copies of greenthreads. One that pauses here ends (``GreenletExit``): its work is the parent's.
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
    """Pause until *condition* holds, in pauses that become longer."""
    pause_s = _SHORTEST_PAUSE_S
    while not condition():
        pause(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


class NativeThread:
    """A native thread that makes one call after the other for greenthreads, which run on meanwhile.

    It is not of the library's own pool: that, and its sockets, are shared with the parent after a fork, and each would
    take the other's answers. In a forked child this one is not there: it needs another.
    """

    def __init__(self) -> None:
        self._calls: deque[Callable[[], None] | None] = deque()
        self._told = lock()
        self._told.acquire()
        self._begun = False

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call *function* in the thread, for one greenthread at a time.

        Where no thread can be started any more, since the process ends, it is called here.
        """
        answers: list[tuple[T | None, BaseException | None]] = []

        def run() -> None:
            try:
                answers.append((function(*args), None))
            except BaseException as fault:
                answers.append((None, fault))

        if not self._begun:
            if not ending.start_thread(lambda: _original("_thread", "start_new_thread")(self._run, ())):
                return function(*args)
            self._begun = True
        self._hand_over(run)
        pause_until(lambda: answers)
        result, fault = answers[0]
        if fault is not None:
            raise fault
        return cast(T, result)

    def end(self) -> None:
        """End the thread once it has made the calls before."""
        if self._begun:
            self._hand_over(None)

    def _hand_over(self, call: Callable[[], None] | None) -> None:
        self._calls.append(call)
        if self._told.locked():
            self._told.release()

    def _run(self) -> None:
        try:
            while True:
                self._told.acquire()
                while self._calls:
                    call = self._calls.popleft()
                    if call is None:
                        return
                    call()
        finally:
            for each in _loaded():
                each.leave_thread()


def call_in_native_thread(function: Callable[..., T], *args: Any) -> T:
    """Call *function*, which waits in C: from a greenthread, in a native thread, and other greenthreads run on."""
    if not is_green():
        return function(*args)
    thread = NativeThread()
    try:
        return thread.call(function, *args)
    finally:
        thread.end()


def time_limit(seconds: float) -> AbstractContextManager[Any]:
    """Raise TimeoutError in the calling greenthread once *seconds* have passed. In a thread it does nothing: there the
    time-outs of sockets have to do."""
    running = _running_here()
    return contextlib.nullcontext() if running is None else running.time_limit(seconds)


def resolve(host: str, port: int, kind: int) -> list[Any]:
    """What ``socket.getaddrinfo`` says of *host*, a name or an address. Raises OSError.

    It waits in C for as long as a name server does not answer, and where services turn the library's own resolver off
    (EVENTLET_NO_GREENDNS, as nova did) all greenthreads would.
    """
    look_up = _original("socket", "getaddrinfo") if patched() else socket.getaddrinfo
    return cast("list[Any]", call_in_native_thread(look_up, host, port, 0, kind))


def lock() -> _thread.LockType:
    """A bare native lock: it may be released by any thread, and from a signal handler or a finalizer."""
    made: _thread.LockType = _original("_thread", "allocate_lock")()
    return made


def _loaded() -> list[GreenthreadLibrary]:
    return [each for each in _LIBRARIES if each.is_loaded()]


def _running_here() -> GreenthreadLibrary | None:
    for each in _LIBRARIES:
        if each.runs_here():
            return each
    return None


def _original(module: str, name: str) -> Any:
    """The item *name* of *module* as it is without libraries of greenthreads."""
    for each in sorted(_loaded(), key=lambda each: not each.patched()):
        return each.original(module, name)
    return getattr(importlib.import_module(module), name)
