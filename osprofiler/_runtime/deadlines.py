# SPDX-License-Identifier: Apache-2.0
"""One deadline for a piece of our own work over the network, however many waits it is made of.

A socket's time-out is for one wait: a peer that sends a byte a second never exceeds it. So whoever waits asks for the
time that is left before each wait.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_deadline: ContextVar[float] = ContextVar("osprofiler_deadline", default=math.inf)


@contextmanager
def until(deadline: float) -> Iterator[None]:
    """Have the waits of this flow end at *deadline* (``time.monotonic()``), or at an earlier one that holds already."""
    token = _deadline.set(min(deadline, _deadline.get()))
    try:
        yield
    finally:
        _deadline.reset(token)


def left(at_most: float = math.inf) -> float:
    """How long the next wait may take, in seconds: *at_most*, or less. Raises TimeoutError when the time is up."""
    left_s = _deadline.get() - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the time for the whole request is up")
    return min(left_s, at_most)


def passed() -> bool:
    """Whether the time is up."""
    return time.monotonic() >= _deadline.get()
