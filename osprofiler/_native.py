# SPDX-License-Identifier: Apache-2.0
"""Native threads where eventlet may have replaced them: which this is, a pause and a lock that work in both worlds.

A native thread in a patched process (eventlet's own pool, a C library's callback) must not touch what is patched:
neither locks nor logging nor the hub.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import socket
import sys
from collections.abc import Callable
from time import sleep  # a service's tests put others in the place of time.sleep
from typing import Any, TypeVar, cast

T = TypeVar("T")

# A greenthread that waits for a native thread can only look again and again.
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.05


def patched() -> bool:
    """Whether eventlet has replaced threads by greenthreads in this process."""
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))


def foreign() -> bool:
    """Whether this is a native thread beside the one that runs the greenthreads, in a patched process."""
    return patched() and _thread.get_native_id() != os.getpid()


def pause(seconds: float) -> None:
    """Let other threads run for so long; in a greenthread, other greenthreads.

    A forked child has copies of greenthreads. One that pauses here ends (``GreenletExit``): its work is the parent's.
    """
    if not patched():
        sleep(seconds)
        return
    if foreign():
        _original("time").sleep(seconds)
        return
    eventlet: Any = sys.modules["eventlet"]
    pid = os.getpid()
    eventlet.sleep(seconds)
    if os.getpid() != pid:
        raise eventlet.greenlet.GreenletExit


def elsewhere(function: Callable[..., T], *args: Any) -> T:
    """Call *function*, which waits in C: where eventlet has patched, in a native thread, and greenthreads run on."""
    if not patched():
        return function(*args)
    # Not eventlet's own pool: it and its sockets are shared with the parent after a fork, and each would take the
    # other's answers.
    answers: list[tuple[T | None, BaseException | None]] = []

    def run() -> None:
        try:
            answers.append((function(*args), None))
        except BaseException as fault:
            answers.append((None, fault))

    _original("_thread").start_new_thread(run, ())
    pause_s = _SHORTEST_PAUSE_S
    while not answers:
        pause(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    result, fault = answers[0]
    if fault is not None:
        raise fault
    return cast(T, result)


def time_limit(seconds: float) -> contextlib.AbstractContextManager[Any]:
    """Raise TimeoutError in the calling greenthread once *seconds* have passed. In a thread it does nothing: there the
    time-outs of sockets have to do."""
    if not patched() or foreign():
        return contextlib.nullcontext()
    limit: contextlib.AbstractContextManager[Any] = sys.modules["eventlet"].Timeout(seconds, TimeoutError("timed out"))
    return limit


def addresses(host: str, port: int, kind: int) -> list[Any]:
    """What ``socket.getaddrinfo`` says of *host*, a name or an address. Raises OSError.

    It waits in C for as long as a name server does not answer, and where services turn eventlet's resolver off
    (EVENTLET_NO_GREENDNS, as nova did) all greenthreads would.
    """
    library = _original("socket") if patched() else socket
    return elsewhere(library.getaddrinfo, host, port, 0, kind)


def lock() -> _thread.LockType:
    """A bare native lock: it may be released by any thread, and from a signal handler or a finalizer."""
    module = _thread if sys.modules.get("eventlet.patcher") is None else _original("_thread")
    made: _thread.LockType = module.allocate_lock()
    return made


def _original(name: str) -> Any:
    """The module *name* as it is without eventlet, which is loaded."""
    return sys.modules["eventlet.patcher"].original(name)
