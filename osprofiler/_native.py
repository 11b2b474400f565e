# SPDX-License-Identifier: Apache-2.0
"""Native threads where eventlet may have replaced them: which this is, and a lock that works in both worlds.

A native thread in a patched process (eventlet's own pool, a C library's callback) must not touch what is patched:
neither locks nor logging nor the hub.
"""

from __future__ import annotations

import _thread
import os
import sys
from typing import Any


def patched() -> bool:
    """Whether eventlet has replaced threads by greenthreads in this process."""
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))


def foreign() -> bool:
    """Whether this is a native thread beside the one that runs the greenthreads, in a patched process."""
    return patched() and _thread.get_native_id() != os.getpid()


def lock() -> _thread.LockType:
    """A bare native lock: it may be released by any thread, and from a signal handler or a finalizer."""
    patcher = sys.modules.get("eventlet.patcher")
    module: Any = _thread if patcher is None else patcher.original("_thread")
    made: _thread.LockType = module.allocate_lock()
    return made
