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
from typing import TYPE_CHECKING, Any, Literal

from osprofiler import _native

if TYPE_CHECKING:
    from osprofiler.opentracing_compat.span import Span

Kind = Literal["start", "stop", "record"]

#: A kind, what it is of (a span, or a record that service code made), and its estimated size in bytes. A stop may
#: come without its start and a start without its stop: either may have found the queue full.
Entry = tuple[Kind, "Span | dict[str, Any]", int]

#: What an entry takes in memory besides its text: the span, its origin's share, dictionaries, numbers.
ENTRY_BYTES = 1000


class Mark:
    """A place in the queue that somebody waits for; it is passed when all before it has been dealt with."""

    def __init__(self, lost: int) -> None:
        self.lost = lost  # how many entries the reporter had lost when the mark was set
        self.passed = False
        self.whole = False  # nothing has been lost in between
        self._lock = _native.lock()
        self._lock.acquire()

    def pass_by(self, lost: int) -> None:
        self.whole = lost == self.lost
        self.passed = True
        self._lock.release()

    def wait(self, timeout_s: float) -> None:
        """Block this native thread until the mark is passed, *timeout_s* seconds at most."""
        self._lock.acquire(timeout=max(timeout_s, 0))


class SpanQueue:
    """First in, first out; what does not fit is refused and counted, never waited for."""

    __slots__ = ("_waiting", "accepted", "bytes", "max_bytes", "max_entries", "refused")

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._waiting: deque[Entry | Mark] = deque()
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self.bytes = 0  # estimated, of what waits here
        self.accepted = 0
        self.refused = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, entry: Entry) -> bool:
        """Add *entry* unless the queue is full; whether it was added."""
        if len(self._waiting) >= self.max_entries or self.bytes >= self.max_bytes:
            self.refused += 1
            return False
        self.bytes += entry[2]
        self.accepted += 1
        self._waiting.append(entry)
        return True

    def put_mark(self, mark: Mark) -> None:
        """Add a mark, also to a full queue."""
        self._waiting.append(mark)

    def take(self, max_entries: int, max_bytes: int) -> tuple[list[Entry], Mark | None]:
        """Take the next entries, up to the next mark; or, if a mark is next, the mark alone.

        Takes one entry at least where there is one, however large. Only the reporter calls this.
        """
        entries: list[Entry] = []
        size = 0
        waiting = self._waiting
        while waiting and len(entries) < max_entries and size < max_bytes:
            head = waiting[0]
            if isinstance(head, Mark):
                if not entries:
                    waiting.popleft()
                    return entries, head
                break
            waiting.popleft()
            entries.append(head)
            size += head[2]
        self.bytes -= size
        if not waiting:
            self.bytes = 0
        return entries, None
