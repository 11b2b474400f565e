# SPDX-License-Identifier: Apache-2.0
"""The entries between the queue and the other side: which part is sent next, when, and what a failure means.

This module neither sends nor waits. Its caller waits until ``retry_at``, sends :meth:`Backlog.part`, and reports the
outcome.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable

from osprofiler.delivery.exporter import Rejected, Transient
from osprofiler.delivery.queue import Entry

#: Waits between attempts, in seconds. Each is twice the one before, from the first to the last; shorter during a flush.
FIRST_RETRY_S, LAST_RETRY_S, URGENT_RETRY_S = 0.1, 5.0, 0.25

#: The longest wait that the other side may ask for (``Retry-After``), in seconds.
LONGEST_RETRY_S = 60.0

#: After this number of answers with an error, one entry of the batch is suspected, and the search for it begins.
ATTEMPTS = 2

#: After this number of rejections in a row the rest of the batch is given up too. An address that accepts no part of it
#: accepts no spans at all (one that wants TLS answers 400), and each entry costs some requests.
REJECTIONS = 100

#: While this number of entries is held, no more are taken from the queue, so that the bounds of the queue apply.
MOST_HELD = 1000


def _varied() -> float:
    """A factor for waits, so that processes do not return to a collector at the same moment."""
    return random.uniform(0.75, 1.25)


class Backlog:
    """Batches of entries. One part of one batch is sent at a time.

    A batch that the other side answers with an error is tried again. If it fails again, a search for the entry at fault
    begins. That entry is held, behind the other batches. It is given up only if it fails again right after another part
    was taken. So an outage, in which everything fails, loses nothing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, vary: Callable[[], float] = _varied) -> None:
        self._clock = clock
        self._vary = vary
        self._batches: deque[_Batch] = deque()  # the held ones come last
        self._search: _Search | None = None  # in the first batch
        self._failures = 0  # in a row
        self._rejections = 0  # in a row, of parts of one batch
        self._took_last = False  # the part before was taken
        self._took_lately = False  # a part was taken since the last search began
        #: When to send the next part, by the clock.
        self.retry_at = 0.0
        #: The end of the current flush, by the clock.
        self.urgent_until = 0.0

    def __bool__(self) -> bool:
        return bool(self._batches)

    @property
    def wants_more(self) -> bool:
        """Whether the next batch may be added: only held entries are left, and not too many of them."""
        return not self._batches or (self._batches[0].is_held and len(self._batches) < MOST_HELD)

    def add(self, entries: list[Entry]) -> None:
        """Add a batch. The backlog changes the list *entries* later."""
        self._batches.appendleft(_Batch(entries))
        self._rejections = 0

    def hurry(self, until: float) -> None:
        """Send the next part at once. *until* then, by the clock, use short waits."""
        self.urgent_until = until
        self.retry_at = 0.0

    def part(self) -> list[Entry]:
        """The entries to send next."""
        return self._search.part() if self._search else self._batches[0].entries

    def entries(self) -> list[Entry]:
        """All entries. Any thread may call this."""
        search, (*batches,) = self._search, self._batches.copy()
        if search is None:
            return [entry for batch in batches for entry in batch.entries]
        return [*search.entries(), *(entry for batch in batches[1:] for entry in batch.entries)]

    # The outcome of the part

    def taken(self) -> None:
        """The other side has taken the part."""
        self._take(len(self.part()))
        self._took_last = True
        self.retry_at = 0.0

    def give_up(self) -> list[Entry]:
        """Do not try the part again. Return its entries."""
        part = list(self.part())
        self._leave_out(len(part))
        return part

    def rejected(self, fault: Rejected) -> list[Entry]:
        """The other side will never take the part as it is. Return the entries that are given up."""
        part = self.part()
        if fault.places is not None and len(fault.places) < len(part):
            refused = [part[place] for place in fault.places]
            self.taken()  # the others, so it takes spans
            return refused
        self._took_last = False
        self._rejections += 1
        if self._rejections >= REJECTIONS:
            return self._give_up_all()
        if len(part) == 1 or not fault.divisible:
            return self.give_up()
        if self._search:
            self._search.proven = True
            self._search.failed(len(part))
        elif fault.reason == "too_large":
            self._batches.popleft()
            middle = len(part) // 2
            self._batches.extendleft((_Batch(part[middle:]), _Batch(part[:middle])))
        else:
            self._search = _Search(part, proven=True)
        return []

    def put_off(self, fault: Transient) -> list[Entry]:
        """The part failed after its first ``fault.done`` entries. Return the entries that are given up."""
        number = len(self.part()) - fault.done
        took_last, self._took_last = self._took_last and not fault.done, False
        if fault.done:
            self._take(fault.done)
        if fault.unreachable or not number:
            self._took_lately = False
            if self._search:
                self._search.proven = False
            self._pause(fault)
            return []
        is_there = self._search is not None and self._search.proven
        given_up = self._answered(number, took_last)
        if not (is_there or given_up) or fault.retry_after_s:
            self._pause(fault)
        return given_up

    def _answered(self, number: int, took_last: bool) -> list[Entry]:
        """The part, of *number* entries, was answered with an error. Return the entries that are given up."""
        batch = self._batches[0]
        if self._search:
            was_suspected = len(self._search.suspects) == 1  # all others were taken
            if not self._search.failed(number):
                return []
            batch = _Batch([self._search.suspects.pop()], ATTEMPTS)
            self._end_search()
        else:
            was_suspected = batch.is_held
            batch.attempts += 1
            if batch.attempts < ATTEMPTS:
                return []
            if number > 1:
                self._search = _Search(batch.entries, proven=self._took_lately)
                self._took_lately = False
                return []
            self._batches.popleft()
        if took_last and was_suspected:
            return batch.entries
        self._batches.append(batch)
        return []

    def _take(self, number: int) -> None:
        self._failures = self._rejections = 0
        self._took_lately = True
        if self._search:
            self._search.proven = True
        self._leave_out(number)

    def _leave_out(self, number: int) -> None:
        if self._search:
            self._search.leave_out(number)
            if not self._search.suspects:
                self._end_search()
        else:
            del self._batches[0].entries[:number]
            if not self._batches[0].entries:
                self._batches.popleft()

    def _end_search(self) -> None:
        assert self._search is not None
        rest = self._search.entries()
        self._search = None
        self._batches.popleft()
        if rest:
            self._batches.appendleft(_Batch(rest, ATTEMPTS - 1))

    def _give_up_all(self) -> list[Entry]:
        entries = self.entries()
        self._batches.clear()
        self._search = None
        return entries

    def _pause(self, fault: Transient) -> None:
        now = self._clock()
        wait_s = min(FIRST_RETRY_S * 2 ** min(self._failures, 16), LAST_RETRY_S) * self._vary()
        if now < self.urgent_until:
            wait_s = min(wait_s, URGENT_RETRY_S)
        self._failures += 1
        self.retry_at = now + max(wait_s, min(fault.retry_after_s or 0.0, LONGEST_RETRY_S))


class _Batch:
    __slots__ = ("attempts", "entries")

    def __init__(self, entries: list[Entry], attempts: int = 0) -> None:
        self.entries = entries
        self.attempts = attempts  # how many were answered with an error

    @property
    def is_held(self) -> bool:
        return len(self.entries) == 1 and self.attempts >= ATTEMPTS


class _Search:
    """A binary search for the entry at fault in a batch that fails.

    Half of the suspects are sent. If they fail, the entry is among them. Then the other half, the *sibling*, is cleared
    without being sent: one request a halving. But as long as it is not *proven* that the other side takes anything at
    all, the sibling is sent next.
    """

    def __init__(self, entries: list[Entry], proven: bool) -> None:
        self.suspects = list(entries)
        self.sibling: list[Entry] = []
        self.cleared: list[Entry] = []
        self.proven = proven

    def part(self) -> list[Entry]:
        return self.sibling or self.suspects[: max(len(self.suspects) // 2, 1)]

    def entries(self) -> list[Entry]:
        return self.suspects + self.sibling + self.cleared

    def leave_out(self, number: int) -> None:
        """The first *number* entries of the part are out, or given up."""
        del (self.sibling or self.suspects)[:number]

    def failed(self, number: int) -> bool:
        """The part, of *number* entries, failed. Return whether it is the one entry at fault."""
        if self.sibling:
            self.cleared[:0] = self.sibling
            self.sibling = []
            return False
        rest = self.suspects[number:]
        del self.suspects[number:]
        if self.proven:
            self.cleared[:0] = rest
        else:
            self.sibling = rest
        return number == 1
