# SPDX-License-Identifier: Apache-2.0
"""The entries of a reporter on their way out: which are sent next, what an outcome means, and its counters. No thread.

The counters count spans, and records that service code made: ``queued``; ``delivered`` (acknowledged) or ``sent`` (not
acknowledged); ``merged``; and ``dropped.<reason>``: ``queue_full``, ``too_large``, ``rejected``, ``unencodable``,
``unreachable``, ``fault``, ``exit``.
A queued span is delivered, sent, merged, dropped for a reason other than ``queue_full``, or still ``waiting``. In a
store of records the queue has entries for starts too. They are not in these counters. A lost one is counted in
``dropped_starts.<reason>``.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

from osprofiler._runtime import ending, guard, native
from osprofiler.delivery.backlog import Backlog
from osprofiler.delivery.exporter import Failed, Outcome, Rejected, Transient
from osprofiler.delivery.flush_points import FlushPoint, FlushPoints
from osprofiler.delivery.masking import applying
from osprofiler.delivery.queue import Entry, SpanQueue, Started

#: One batch, bounded so that a collector's limit on a request is kept.
BATCH_ENTRIES = 1000
BATCH_BYTES = 1 << 20


class Delivery:
    """The entries of one process on their way to *target*, and the counts of those before.

    Its owner adds to ``queue``. To send, it holds ``in_use`` and calls :meth:`begin_pass`. Then it sends each
    :meth:`next_part` and calls :meth:`sent` or :meth:`failed`. A forked child begins with a new Delivery.
    """

    def __init__(self, target: str, acknowledged: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._target = target
        self._counter = "delivered" if acknowledged else "sent"
        self._clock = clock
        self.queue = SpanQueue(0, 0)
        self.backlog = Backlog(clock)
        #: A lock for the flow of control that sends.
        self.in_use = native.lock()
        #: How many records service code made.
        self.records = 0
        self._flush_points = FlushPoints()
        self._unseen = 0  # entries of the queue that the current pass has not taken yet
        self._handled = 0  # entries that are out or lost
        self._lost = 0
        self._is_failing = False  # the last attempt was put off
        self._published: Counter[str] = Counter()
        self._publishing = native.lock()

    @property
    def pending(self) -> int:
        """How many entries are queued or being delivered."""
        return self.queue.accepted - self._handled

    def waiting(self) -> list[Entry]:
        """The entries that are queued or being delivered."""
        return [*self.queue.waiting(), *self.backlog.entries()]

    def set_flush_point(self) -> FlushPoint:
        """Return a point that is reached when all entries so far are out or lost."""
        return self._flush_points.set(self.queue.accepted, self._lost)

    # The next part

    def begin_pass(self) -> None:
        """Begin to deliver the entries that wait now.

        Later entries wait for an interval of their own, so that a few of them do not cost a request. A flush does not
        let them wait.
        """
        self._unseen = len(self.queue)

    def next_part(self, deadline: float | None = None) -> list[Entry] | None:
        """The entries to send now, masked.

        None: all of this pass is out, or the next attempt is later, or *deadline* (by the clock) has passed.
        """
        if self._flush_points:
            self._reach_flush_points()
        if self.backlog.wants_more:
            entries = self.queue.take(BATCH_ENTRIES, BATCH_BYTES) if self._unseen > 0 or self._flush_points else []
            if entries:
                self._unseen -= len(entries)
                applying.entries(entries)
                self.backlog.add(entries)
            elif not self.backlog:
                return None
        now = self._clock()
        if now < self.backlog.retry_at or (deadline is not None and now >= deadline):
            return None
        return self.backlog.part()

    def _reach_flush_points(self) -> None:
        self.publish()  # the caller of a flush may read the counters
        self._flush_points.reach(self._handled, self._lost)
        if not self._flush_points:
            self.backlog.urgent_until = 0.0

    # The outcome of the part

    def sent(self, outcome: Outcome) -> None:
        """The exporter has returned *outcome* for the part."""
        starts = count_starts(self.backlog.part())
        self.backlog.taken()
        self._note_success()
        self._count_out(outcome.delivered, starts)
        if outcome.merged:
            self._handled += outcome.merged
            guard.count("merged", outcome.merged)
        for reason, number in outcome.dropped.items():
            self._lose(reason, number)
            guard.warn_once(f"{reason}:{self._target}", "spans for %s were dropped: %s", self._target, reason)

    def failed(self, fault: Exception) -> None:
        """The exporter has raised *fault* for the part: Transient, Rejected, or another exception by mistake."""
        if isinstance(fault, Rejected):
            if fault.places is not None:
                taken = [entry for place, entry in enumerate(self.backlog.part()) if place not in fault.places]
                if taken:
                    self._note_success()
                self._count_out(len(taken), count_starts(taken))
            self._give_up(fault.reason, self.backlog.rejected(fault), fault)
        elif isinstance(fault, Transient):
            self._is_failing = True
            self._count_out(fault.done, count_starts(self.backlog.part()[: fault.done]))
            self._give_up("rejected", self.backlog.put_off(fault), fault)
            guard.warn_once(
                f"unreachable:{self._target}",
                "traces cannot be delivered to %s: %s; kept for now",
                self._target,
                fault,
            )
        else:
            self._drop("fault", self.backlog.give_up())
            guard.swallow("exporter", fault)

    def _note_success(self) -> None:
        if self._is_failing:
            self._is_failing = False
            if not guard.is_mute():
                guard.LOG.info("traces are delivered to %s again", self._target)

    def _give_up(self, reason: str, entries: Sequence[Entry], fault: Failed) -> None:
        if entries:
            self._drop(reason, entries)
            guard.warn_once(f"rejected:{self._target}", "spans were rejected by %s: %s", self._target, fault)

    def _drop(self, reason: str, entries: Sequence[Entry]) -> None:
        self._lose(reason, len(entries), count_starts(entries))

    # Counting

    def _count_out(self, number: int, starts: int) -> None:
        """Count *number* entries as out of this process. *starts* of them are starts of spans."""
        self._handled += number
        if number > starts:
            guard.count(self._counter, number - starts)

    def _lose(self, reason: str, number: int, starts: int = 0) -> None:
        """Count *number* entries as lost. *starts* of them are starts of spans."""
        self._handled += number
        self._lost += number
        if starts:
            guard.count(f"dropped_starts.{reason}", starts)
        if number > starts:
            guard.count(f"dropped.{reason}", number - starts)

    def publish(self) -> None:
        """Add the counts of the queue to the counters of the process."""
        queue = self.queue
        with ending.holding(self._publishing):
            now = Counter(
                {
                    "records": self.records,
                    "queued": queue.accepted - queue.starts,
                    "dropped.queue_full": queue.refused,
                    "dropped_starts.queue_full": queue.refused_starts,
                }
            )
            news = {name: number - self._published[name] for name, number in now.items()}
            self._published = now
        guard.spans.ended += news["queued"] + news["dropped.queue_full"] - news["records"]
        for name, number in news.items():
            if number:
                guard.count(name, number)
        if news["dropped.queue_full"]:
            guard.warn_once("queue_full", "spans were dropped: they come faster than they can be delivered")


def count_starts(entries: Sequence[Entry]) -> int:
    """How many of *entries* are starts of spans."""
    return list(map(type, entries)).count(Started)
