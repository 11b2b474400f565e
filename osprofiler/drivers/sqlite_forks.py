# SPDX-License-Identifier: Apache-2.0
"""A fork waits until nobody of this process is inside SQLite, and passes on no connection.

SQLite keeps notes in memory, once for all connections of a process to a file: which locks that process holds, and the
descriptors of its log. A child that is forked in the middle of a transaction inherits a lock but nobody who could ever
release it; one that closes what it has inherited (as daemons do) goes on with descriptors that are other files now.
"""

from __future__ import annotations

import _thread
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from osprofiler._runtime import forks, guard, native

if TYPE_CHECKING:
    from osprofiler.drivers.sql_engine import Database

#: A transaction of ours takes milliseconds. Who waits longer waits for another process, and holds nothing yet.
LONGEST_WAIT_S = 1.0

#: Those with connections to SQLite files.
databases: weakref.WeakSet[Database] = weakref.WeakSet()

_inside = native.lock()
_forking: set[int] = set()  # the threads that hold it for a fork


@contextmanager
def undivided() -> Iterator[None]:
    """No fork comes between the lines of this block."""
    held = _inside
    with held:
        yield


def _before_fork() -> None:
    if _inside.acquire(timeout=LONGEST_WAIT_S):
        _forking.add(_thread.get_ident())
        for database in tuple(databases):
            with guard.Harmless("fork"):
                database.close()


def _after_fork_in_parent() -> None:
    if _thread.get_ident() in _forking:
        _forking.discard(_thread.get_ident())
        _inside.release()


@forks.in_child
def _after_fork_in_child() -> None:
    global _inside
    _inside = native.lock()
    _forking.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)
