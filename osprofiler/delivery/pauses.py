# SPDX-License-Identifier: Apache-2.0
"""Pauses within a batch, so that the threads of the service do not wait long.

A thread that only computes gives up CPython's interpreter lock after 5 ms (``sys.getswitchinterval``), a greenthread
never. A request needs the lock again after each read and write. So a loop over a batch pauses after every few entries,
and others wait about a millisecond.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from osprofiler._runtime import native

T = TypeVar("T")

#: The number of entries between two pauses: about a millisecond of encoding. A pause costs up to 50 us of CPU time.
ENTRIES = 200

#: In seconds: the time in which a waiting thread wakes up and takes the lock.
PAUSE_S = 50e-6


def with_pauses(batch: Sequence[T]) -> Iterator[Sequence[T]]:
    """The entries of *batch*, a few at a time, with a pause before the next few."""
    for start in range(0, len(batch), ENTRIES):
        if start:
            native.pause(PAUSE_S)
        yield batch[start : start + ENTRIES]
