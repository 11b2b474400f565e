# SPDX-License-Identifier: Apache-2.0
"""How often a command searches its memory for cycles of objects that nobody uses.

A command builds large traces, and keeps them to its end. With Python's own settings it would search them for cycles
again and again, in half of its time. Without any search, a command that runs for long would grow: SQLAlchemy, for one,
leaves cycles behind with each request.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_NEW_OBJECTS = 200_000  # before the next search


def search_rarely() -> None:
    """Search for cycles only after many new objects, in this process."""
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])


@contextmanager
def searched_rarely() -> Iterator[None]:
    """As :func:`search_rarely`, until the block ends."""
    before = gc.get_threshold()
    search_rarely()
    try:
        yield
    finally:
        gc.set_threshold(*before)
