# SPDX-License-Identifier: Apache-2.0
"""The end of the process, and what tracing may still do in it.

The end has two phases. It begins with :func:`begin`, in an ``atexit`` function. From then on tracing starts no threads,
and a span is delivered by the flow that reports it. In the second phase the interpreter is finalizing
(``sys.is_finalizing``). Other threads are stopped, with all locks that they hold. A new thread does not run: CPython
3.10 and 3.11 wait for ever for its first step, later versions raise. So in this phase tracing sends nothing, logs
nothing and waits for nothing; it only counts.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from osprofiler._runtime import forks

#: Deliveries less than this many seconds after the last deadline belong to the same end, and share its deadline.
SERIES_S = 30.0

_begun = False
_deadline = 0.0


def begin() -> None:
    """Begin the end of this process."""
    global _begun
    _begun = True


def has_begun() -> bool:
    """Whether the end of this process has begun."""
    return _begun or sys.is_finalizing()


def start_thread(thread: Callable[[], object]) -> bool:
    """Call *thread*, which starts a thread or a greenthread, unless the end has begun. Returns whether it started.

    Raises the errors of *thread*, such as RuntimeError if the system has no more threads.
    """
    if has_begun():
        return False
    try:
        thread()
    except RuntimeError as fault:
        # CPython 3.12 starts no threads once the first atexit function runs. Only this text shows the reason.
        if "interpreter shutdown" not in str(fault):
            raise
        return False
    return True


def holding(lock: AbstractContextManager[object]) -> AbstractContextManager[object]:
    """Hold *lock*. While the interpreter is finalizing hold nothing: one thread runs, and a stopped one may hold it."""
    return contextlib.nullcontext() if sys.is_finalizing() else lock


def seconds_left(limit_s: float) -> float:
    """The seconds left for all deliveries of this end together; *limit_s* from the start of the first one."""
    global _deadline
    now = time.monotonic()
    if now > _deadline + SERIES_S:
        _deadline = now + limit_s
    return max(_deadline - now, 0.0)


def clear_deadline() -> None:
    """Forget the deadline, since everything is delivered: later deliveries get a new one.

    A service may continue after a delivery (a reload), or need longer to stop than one deadline.
    """
    global _deadline
    _deadline = 0.0


@forks.in_child
def _start_over() -> None:
    global _begun
    _begun = False
    clear_deadline()
