# SPDX-License-Identifier: Apache-2.0
"""When a command searches for cycles of objects that nobody uses.

A command builds large traces. To search them for cycles, again and again, would take half of its time.
Without any search, a command that runs for long would grow: SQLAlchemy, for one, leaves cycles behind with each
request. So a command searches when it is done with what it has read.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept() -> Iterator[None]:
    """Python makes no searches of its own until the block ends."""
    searches = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searches:
            gc.enable()


def collect() -> None:
    """Remove what nobody uses of the objects that were made since the last call.

    An object that is in use now is not looked at again.
    """
    gc.collect(0)
