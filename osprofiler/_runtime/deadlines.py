# SPDX-License-Identifier: Apache-2.0
"""One deadline for all waits of one request of ours over the network.

The time-out of a socket limits one wait only: a peer that sends one byte a second never exceeds it. So our code asks
for the time that is left before each wait.
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
    """End the waits of this flow at *deadline* (``time.monotonic()``), or at an earlier deadline of an outer block."""
    token = _deadline.set(min(deadline, _deadline.get()))
    try:
        yield
    finally:
        _deadline.reset(token)


def left(at_most: float = math.inf) -> float:
    """The seconds that the next wait may take: *at_most*, or less. Raises TimeoutError if the deadline has passed."""
    left_s = _deadline.get() - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("the time for the whole request is up")
    return min(left_s, at_most)


def passed() -> bool:
    """Whether the deadline has passed."""
    return time.monotonic() >= _deadline.get()
