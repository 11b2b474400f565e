# SPDX-License-Identifier: Apache-2.0
"""Pauses within a batch, so that the threads of the service do not wait long.

A thread that wants CPython's interpreter lock gets it after 5 ms at the earliest (``sys.getswitchinterval``) from one
that only computes, and a greenthread not at all; a request wants it again after each of its reads and writes. So a
loop over a batch pauses after every few entries: others wait a millisecond or so at the longest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from osprofiler._runtime import native

T = TypeVar("T")

#: So many entries at a time: of encoding, about a millisecond. A pause costs up to 50 us of CPU time.
ENTRIES = 200

#: Long enough for a thread that waits to wake up and take the lock, in seconds.
PAUSE_S = 50e-6


def with_pauses(batch: Sequence[T]) -> Iterator[T]:
    """The entries of *batch* one after the other, with a pause after every few."""
    for start in range(0, len(batch), ENTRIES):
        if start:
            native.pause(PAUSE_S)
        yield from batch[start : start + ENTRIES]
