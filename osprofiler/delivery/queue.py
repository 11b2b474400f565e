# SPDX-License-Identifier: Apache-2.0
"""The buffer between the service and the reporter: an append for the caller, bounded by entries and by bytes.

There is no lock and no event in the caller's path, so a span may also end in a signal handler, in a ``__del__`` or in
a native thread of an eventlet process. The counts are plain integers changed by ``+=``: CPython hands the GIL on only
at calls and backward jumps, and there is none between reading and writing such an attribute, so they are exact there.
Where that does not hold (free-threaded builds) they are estimates; the byte count starts anew each time the reporter
finds the queue empty, so that an error in it cannot build up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

from osprofiler.records.span_data import SpanData


class QueuedSpan(SpanData, Protocol):
    """A span of this process. What may hold secrets can be set: it is masked when it leaves the queue."""

    name: str | None
    start_info: dict[str, Any] | None
    stop_info: dict[str, Any] | None
    own_tags: dict[str, Any]
    own_logs: list[tuple[int, dict[str, Any]]]

    def set_operation_name(self, operation_name: str) -> object: ...

    @property
    def chars(self) -> int:
        """The characters that its text takes in memory."""


class Started(NamedTuple):
    """A span whose start is to be recorded; *chars* as it had them then."""

    span: QueuedSpan
    chars: int


class Recorded(NamedTuple):
    """A record that service code made, and the characters in it."""

    record: dict[str, Any]
    chars: int


#: A span that ended, or one of the above. The end may come without its start and the start without its end: either may
#: have found the queue full.
Entry: TypeAlias = "QueuedSpan | Started | Recorded"

#: What an entry takes in memory besides its items: the span, its share of its origin, its dictionaries.
ENTRY_BYTES = 700


class SpanQueue:
    """First in, first out; what does not fit is refused and counted, never waited for."""

    __slots__ = ("_waiting", "accepted", "bytes", "max_bytes", "max_entries", "refused", "refused_starts", "starts")

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._waiting: deque[Entry] = deque()
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.bytes = 0  # estimated, of what waits here
        self.accepted = 0
        self.starts = 0  # of those accepted; who puts them in counts them
        self.refused = 0  # without the starts
        self.refused_starts = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, entry: Entry) -> int:
        """Add *entry* unless the queue is full; how many wait now, 0 where it was refused."""
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
        """What waits here now."""
        return list(self._waiting.copy())  # which nobody interrupts

    def take(self, max_entries: int, max_bytes: int) -> list[Entry]:
        """Take the next entries; one at least where there is one, however large. Only the reporter calls this."""
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
    """How many of *entries* from the front, one at least, take no more than *max_bytes*."""
    size = 0
    for number, entry in enumerate(entries):
        size += ENTRY_BYTES + entry.chars
        if size > max_bytes:
            return max(number, 1)
    return len(entries)
