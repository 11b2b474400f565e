# SPDX-License-Identifier: Apache-2.0
"""The end of the process: what tracing may still do then, in one place.

The end has two parts. The process says that it ends (:func:`begin`, in an ``atexit`` function). From then on no thread
is started, and what is reported is delivered in the flow that reports it. Later the interpreter is finalizing
(``sys.is_finalizing``). Other threads stand still then, with every lock that they hold, and a new thread does not run:
CPython 3.10 and 3.11 wait for its first step for ever, and later versions raise. So nothing is sent, logged or waited
for then; it is counted.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from osprofiler._runtime import forks

#: Deliveries that follow each other within so many seconds belong to one end, and have one deadline.
SERIES_S = 30.0

_begun = False
_deadline = 0.0


def begin() -> None:
    """Say that this process ends."""
    global _begun
    _begun = True


def has_begun() -> bool:
    """Whether this process ends."""
    return _begun or sys.is_finalizing()


def start_thread(thread: Callable[[], object]) -> bool:
    """Call *thread*, which starts a thread or a greenthread, unless the process ends; whether it was started.

    Raises what *thread* raises, such as RuntimeError where the system has no more threads.
    """
    if has_begun():
        return False
    try:
        thread()
    except RuntimeError as fault:
        # CPython 3.12 starts no more threads from the first atexit function on, and says that only in this text.
        if "interpreter shutdown" not in str(fault):
            raise
        return False
    return True


def holding(lock: AbstractContextManager[object]) -> AbstractContextManager[object]:
    """Hold *lock*; while the interpreter is finalizing, do without: only one thread runs, and another may hold it."""
    return contextlib.nullcontext() if sys.is_finalizing() else lock


def seconds_left(limit_s: float) -> float:
    """How long the deliveries at this end may still take, all of them together: *limit_s* from the first."""
    global _deadline
    now = time.monotonic()
    if now > _deadline + SERIES_S:
        _deadline = now + limit_s
    return max(_deadline - now, 0.0)


def clear_deadline() -> None:
    """Nothing is left: what comes later has a deadline of its own, in a service that goes on (a reload) or stops
    for longer than one deadline takes.
    """
    global _deadline
    _deadline = 0.0


@forks.in_child
def _start_over() -> None:
    global _begun
    _begun = False
    clear_deadline()
