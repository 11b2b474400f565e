# SPDX-License-Identifier: Apache-2.0
"""Native threads where eventlet may have replaced them: which this is, a pause and a lock that work in both worlds.

A native thread in a patched process (eventlet's own pool, a C library's callback) must not touch what is patched:
neither locks nor logging nor the hub.
"""

from __future__ import annotations

import _thread
import os
import sys
from time import sleep  # a service's tests put others in the place of time.sleep
from typing import Any


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
    eventlet: Any = sys.modules["eventlet"]
    if foreign():
        eventlet.patcher.original("time").sleep(seconds)
        return
    pid = os.getpid()
    eventlet.sleep(seconds)
    if os.getpid() != pid:
        raise eventlet.greenlet.GreenletExit


def lock() -> _thread.LockType:
    """A bare native lock: it may be released by any thread, and from a signal handler or a finalizer."""
    patcher = sys.modules.get("eventlet.patcher")
    module: Any = _thread if patcher is None else patcher.original("_thread")
    made: _thread.LockType = module.allocate_lock()
    return made
