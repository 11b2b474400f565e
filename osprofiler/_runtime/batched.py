# SPDX-License-Identifier: Apache-2.0
"""Items in batches, as ``itertools.batched`` of Python 3.12 gives them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield *items* in lists of *size* items; the last one may be shorter. Takes no more items than it yields."""
    each = iter(items)
    while batch := list(itertools.islice(each, size)):
        yield batch
