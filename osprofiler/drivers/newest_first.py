# SPDX-License-Identifier: Apache-2.0
"""List traces in the order of their first records, from a store that finds records by time.

A trace may have records over hours. The store is read a page of records at a time, the newest first. A trace that is
found in a page waits here until the pages have passed its first record: only then no other trace can be newer.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

from osprofiler.reports import model

C = TypeVar("C", bound=Collection[Any])


class Page(NamedTuple):
    """A page of records."""

    base_ids: Collection[str]  # the traces of its records
    edge_us: float  # records after this time are in this page or in one before, microseconds since the epoch


def newest_first(
    pages: Iterable[Page], first_marks: Callable[[list[str]], Iterable[dict[str, Any]]]
) -> Iterator[dict[str, Any]]:
    """``base_id`` and ``timestamp`` of the traces in *pages*, the newest trace first.

    *first_marks* returns those of the first record of each trace with the given ids, whether in a page or not. A page
    is read when the traces before it have been used up.
    """
    waiting: list[tuple[int, str, dict[str, Any]]] = []
    waiting_ids: set[str] = set()
    for page in pages:
        for mark in first_marks([base_id for base_id in page.base_ids if base_id not in waiting_ids]):
            waiting_ids.add(mark["base_id"])
            heapq.heappush(waiting, (-model.began_us(mark), mark["base_id"], mark))
        while waiting and -waiting[0][0] > page.edge_us:
            _, base_id, mark = heapq.heappop(waiting)
            waiting_ids.remove(base_id)
            yield mark
    while waiting:
        yield heapq.heappop(waiting)[2]


def windows(
    oldest: int, end: int, length: int, read: Callable[[int, int], C | None], enough: int, ahead: int = 0
) -> Iterator[tuple[C, int]]:
    """What *read* returns for windows of time, the newest first, from *end* back to *oldest*; and where each begins.

    The first window is *length* long, and *ahead* longer. *read* gets the begin and the end of a window; it returns
    None if it cannot read so much at once: then the window is halved. A window with fewer items than *enough* is
    followed by one that is twice as long. All times have the same unit.
    """
    while end > oldest:
        begin = max(end - ahead - length, oldest)
        items = read(begin, end)
        if items is None:
            length, ahead = (end - begin + 1) // 2, 0
            continue
        yield items, begin
        end, ahead = begin, 0
        if len(items) < enough:
            length *= 2
