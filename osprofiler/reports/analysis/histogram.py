# SPDX-License-Identifier: Apache-2.0
"""Histograms of durations. Their buckets grow by a constant factor: times of requests spread over powers of ten."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

BUCKETS = 16


class Histogram(NamedTuple):
    """How many values are in each bucket. Bucket *i* reaches from ``edges[i]`` to ``edges[i + 1]``."""

    edges: list[int]  # microseconds; one more than there are buckets
    counts: list[list[int]]  # for each series: the counts of its buckets


def of(*series: Sequence[int]) -> Histogram:
    """The histogram of each of *series*, with the same edges for all; without edges if there are no values."""
    values = [value for some in series for value in some]
    if not values:
        return Histogram([], [[] for _ in series])
    edges = _edges(max(min(values), 0), max(values))
    return Histogram(edges, [_counted(edges, some) for some in series])


def _edges(least: int, most: int) -> list[int]:
    low = max(least, 1)
    factor = (max(most, low) / low) ** (1 / BUCKETS)
    inner = (round(low * factor**i) for i in range(1, BUCKETS))
    return [*sorted({least, *(edge for edge in inner if least < edge < most)}), most]


def _counted(edges: Sequence[int], values: Sequence[int]) -> list[int]:
    counts = [0] * (len(edges) - 1)
    for value in values:
        counts[min(bisect_right(edges, value) - 1, len(counts) - 1)] += 1
    return counts
