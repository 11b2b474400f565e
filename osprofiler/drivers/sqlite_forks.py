# SPDX-License-Identifier: Apache-2.0
"""Forks and SQLite: a fork waits until no thread of this process uses SQLite, and the child inherits no connection.

SQLite keeps state in memory for all connections of a process to a file: the locks that the process holds, and the
descriptors of the log. A child that is forked during a transaction inherits a lock that no thread can release. A child
that closes all inherited descriptors, as daemons do, would use numbers that are other files now.
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

#: The longest time that a fork waits, in seconds. Our transactions take milliseconds: a longer one waits for another
#: process, and holds no lock yet.
LONGEST_WAIT_S = 1.0

#: The databases with connections to SQLite files.
databases: weakref.WeakSet[Database] = weakref.WeakSet()

_inside = native.lock()
_forking: set[int] = set()  # the threads that hold it for a fork


@contextmanager
def no_fork() -> Iterator[None]:
    """No fork happens during this block."""
    lock = _inside  # a forked child replaces the global
    with lock:
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
