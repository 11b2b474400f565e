# SPDX-License-Identifier: Apache-2.0
"""The buffer between the service and the reporter: an append for the caller, bounded by entries and by bytes.

The caller takes no lock and sets no event. So a span may also end in a signal handler, in a ``__del__`` or in a native
thread of an eventlet process. The counts are plain integers, changed by ``+=``. CPython switches threads only at calls
and backward jumps, and ``+=`` of an attribute has none, so the counts are exact. In free-threaded builds they are
estimates. Each time the queue is empty the count of bytes is set to zero, so that its errors do not add up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from osprofiler.records.span_data import SpanData


class QueuedSpan(SpanData, Protocol):
    """A span of this process. The fields that may hold secrets can be set, since they are masked after the queue."""

    name: str | None
    start_info: dict[str, Any] | None
    stop_info: dict[str, Any] | None
    own_tags: dict[str, Any]
    own_logs: list[tuple[int, dict[str, Any]]]

    def set_operation_name(self, operation_name: str) -> object: ...

    @property
    def chars(self) -> int:
        """The number of characters of its text in memory."""


class Started(NamedTuple):
    """The start of a span, for its start record; *chars* is the size of the span at that time."""

    span: QueuedSpan
    chars: int


class Recorded(NamedTuple):
    """A record that service code made, and the number of characters in it."""

    record: dict[str, Any]
    chars: int


#: A span that ended, or one of the above. Of the start and the end of a span either may be missing, if the queue was
#: full then.
Entry: TypeAlias = "QueuedSpan | Started | Recorded"

#: The memory of an entry without its items: the span, its share of its origin, its dictionaries.
ENTRY_BYTES = 700


class SpanQueue:
    """First in, first out. An entry that does not fit is refused and counted; nobody waits."""

    __slots__ = ("_waiting", "accepted", "bytes", "max_bytes", "max_entries", "refused", "refused_starts", "starts")

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._waiting: deque[Entry] = deque()
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.bytes = 0  # of the waiting entries; an estimate
        self.accepted = 0
        self.starts = 0  # of the accepted entries; the reporter counts them
        self.refused = 0  # without the starts
        self.refused_starts = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, entry: Entry) -> int:
        """Add *entry* unless the queue is full. Return how many wait now, or 0 if *entry* was refused."""
        waiting = self._waiting
        number = len(waiting)
        if number >= self.max_entries or self.bytes >= self.max_bytes:
            if type(entry) is Started:
                self.refused_starts += 1
            else:
                self.refused += 1
            return 0
        self.bytes += ENTRY_BYTES + entry.chars
        self.accepted += 1
        waiting.append(entry)
        return number + 1

    def waiting(self) -> list[Entry]:
        """The entries that wait now."""
        return list(self._waiting.copy())  # no other thread can interrupt copy()

    def take(self, max_entries: int, max_bytes: int) -> list[Entry]:
        """Take the next entries. If any wait, take at least one, of any size. Only the reporter calls this."""
        waiting = self._waiting
        take = waiting.popleft
        entries = [take() for _ in range(min(len(waiting), max_entries))]
        size = _bytes(entries)
        if size > max_bytes:
            fitting = _fitting(entries, max_bytes)
            waiting.extendleft(reversed(entries[fitting:]))
            del entries[fitting:]
            size = _bytes(entries)
        self.bytes -= size
        if not waiting:
            self.bytes = 0
        return entries


def _bytes(entries: Sequence[Entry]) -> int:
    return ENTRY_BYTES * len(entries) + sum([entry.chars for entry in entries])


def _fitting(entries: Sequence[Entry], max_bytes: int) -> int:
    """How many of the first *entries* take no more than *max_bytes* together, but at least one."""
    size = 0
    for number, entry in enumerate(entries):
        size += ENTRY_BYTES + entry.chars
        if size > max_bytes:
            return max(number, 1)
    return len(entries)
