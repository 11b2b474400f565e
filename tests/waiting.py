# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition, so that no test waits for a time it guessed."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.02


def wait_until(predicate: Callable[[], T], timeout_s: float = 60, what: str = "") -> T:
    """Return the first true value of *predicate*; *what* says in the failure what was waited for.

    An AssertionError of *predicate* counts as "not yet" and is shown when time is up; any other exception is the
    caller's and passes. Raises TimeoutError after *timeout_s* seconds: a deadline, never an expectation.
    """
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()  # under eventlet's monkey patching this yields, as it must
    while True:
        last: object = None
        try:
            value = predicate()
            if value:
                return value
            last = value
        except AssertionError as not_yet:
            last = not_yet
        if time.monotonic() >= deadline:
            raise TimeoutError(f"waited {timeout_s} s for {what or predicate}; last seen: {last!r}")
        pause.wait(_POLL_S)
