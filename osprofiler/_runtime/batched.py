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


def batched_by_size(sized: Iterable[tuple[T, int]], most_items: int, most_size: int) -> Iterator[list[T]]:
    """Batches of the items of *sized*, pairs of an item and its size: at most *most_items* items and *most_size*.

    An item larger than *most_size* is alone in its batch.
    """
    batch: list[T] = []
    size = 0
    for item, length in sized:
        if batch and (len(batch) == most_items or size + length > most_size):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield batch
