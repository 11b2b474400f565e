# SPDX-License-Identifier: Apache-2.0
"""List the traces in a Redis, the newest first, by the index; and those that are not, or not completely, in the index.

Only a scan of all keys finds traces that are not in the index at all. It takes some milliseconds for a thousand traces,
and reads no records.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from osprofiler._runtime.batched import batched
from osprofiler.drivers import network
from osprofiler.drivers.newest_first import Page, newest_first
from osprofiler.drivers.redis_index import PAGE, Entry, Index
from osprofiler.drivers.redis_lists import Lists, Names
from osprofiler.drivers.wanted import Wanted
from osprofiler.records.record import MARK, timestamp


class Search:
    """Searches the traces of *lists*. *heads* returns some first records of traces, and all of them once.

    *scans*: whether to scan the keys.
    """

    def __init__(
        self, lists: Lists, index: Index, heads: Callable[[Sequence[str]], Iterable[dict[str, Any]]], scans: bool
    ) -> None:
        self._lists = lists
        self._index = index
        self._heads = heads
        self._scans = scans

    def newest(self, wanted: Wanted) -> Iterator[dict[str, Any]]:
        """The marks of traces that may match *wanted*, the newest first. Some began at other times."""
        names = self._lists.names() if self._scans else None
        chosen = None
        if names is not None and wanted.service is not None and not wanted.error:
            chosen = self._index.of_service(wanted.service)
        pages = self._indexed_pages(wanted) if names is None else self._all_pages(wanted, names)
        return newest_first(pages, lambda base_ids: self._marks(base_ids, names, chosen))

    def _indexed_pages(self, wanted: Wanted) -> Iterator[Page]:
        return map(_page, batched(self._index.newest(wanted, wanted.since_us), PAGE))

    def _all_pages(self, wanted: Wanted, names: Names) -> Iterator[Page]:
        base_ids = names.failed if wanted.error else names.base_ids | names.old.keys()
        for part in batched(sorted(base_ids - self._index.base_ids()), PAGE):
            yield Page(part, math.inf)
        indexed = (entry for entry in self._index.newest(since_us=wanted.since_us) if entry.base_id in base_ids)
        yield from map(_page, batched(indexed, PAGE))

    def _marks(self, base_ids: Sequence[str], names: Names | None, chosen: set[str] | None) -> Iterator[dict[str, Any]]:
        """The marks of these traces. Of those that are completely in the index, only the ones in *chosen*, if given."""
        lengths = self._lists.lengths(base_ids)
        times = self._index.times(list(lengths), lengths)
        for base_id, at_us in times.items():
            if chosen is None or base_id in chosen:
                yield {"base_id": base_id, "timestamp": timestamp(at_us)}
        heads = self._heads([base_id for base_id in lengths if base_id not in times])
        old = [names.old[base_id] for base_id in base_ids if base_id in names.old] if names is not None else []
        yield from network.listed([*heads, *old], MARK)


def _page(entries: Sequence[Entry]) -> Page:
    return Page(list(dict.fromkeys(entry.base_id for entry in entries)), entries[-1].at_us)
