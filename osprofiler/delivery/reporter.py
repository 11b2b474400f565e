# SPDX-License-Identifier: Apache-2.0
"""The reporter with a queue: takes spans from the service at the price of an append, and delivers them behind it.

The service never waits for it, whatever the collector does: what does not fit is dropped and counted. Counters, in
spans (and records that service code made): ``queued``; ``delivered`` (acknowledged) or ``sent`` (not acknowledged);
``merged``; and ``dropped.<reason>``: ``queue_full``, ``too_large``, ``rejected``, ``unencodable``, ``unreachable``,
``fault``, ``exit``.
What was queued is delivered, sent, merged, dropped for another reason than ``queue_full``, or still ``waiting``. The
start records that stores of records also get are entries of the queue, and not counted there: one that is lost is
counted in ``dropped_starts.<reason>``.
"""

from __future__ import annotations

import sys
import time
import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from osprofiler import config
from osprofiler._runtime import ending, forks, guard, native
from osprofiler.context import current, scope
from osprofiler.context.values import frozen_info
from osprofiler.delivery import masking
from osprofiler.delivery import worker as workers
from osprofiler.delivery.backlog import Backlog
from osprofiler.delivery.base import Reporter
from osprofiler.delivery.exporter import Exporter, Failed, Outcome, Rejected, Transient
from osprofiler.delivery.flush_points import Mark, Marks
from osprofiler.delivery.queue import Entry, QueuedSpan, Recorded, SpanQueue, Started

if TYPE_CHECKING:
    from osprofiler.delivery.worker import Worker

#: One batch, bounded so that a collector's limit on a request is kept.
BATCH_ENTRIES = 1000
BATCH_BYTES = 1 << 20

#: So many entries waiting end the wait for the flush interval.
WAKE_AT = 2000

#: How long one batch may take, in seconds.
EXPORT_S = 20.0

_START_AGAIN_S = 1.0
_BUSY_S = 0.01
_RECORD_CHARS = 4 << 20

_all: weakref.WeakSet[QueueReporter] = weakref.WeakSet()


class QueueReporter(Reporter):
    """Queues what starts and ends, and has *exporter* deliver it from a worker of this process.

    *service* and *tags* are the process's name and tags where they are known here; otherwise the tracer gives them.
    Bounds and interval come from the settings and follow them, except where given: *max_entries*, *max_bytes*,
    *interval_s* (seconds).
    """

    def __init__(
        self,
        exporter: Exporter,
        *,
        service: str | None = None,
        tags: Mapping[str, Any] | None = None,
        max_entries: int | None = None,
        max_bytes: int | None = None,
        interval_s: float | None = None,
    ) -> None:
        self.exporter = exporter
        self.max_span_chars = exporter.max_span_chars
        self.wants_starts = exporter.wants_starts
        self._service = service
        self._tags = dict(tags or {})
        self._fixed = (max_entries, max_bytes, interval_s)
        self._failing = False
        self._start_over()
        if service is not None:
            exporter.set_process(service, self._tags)
        _all.add(self)

    def _start_over(self) -> None:
        """The state of a process that has reported nothing."""
        self._worker: Worker | None = None
        self._next_start = 0.0
        self._starting = native.lock()
        self._publishing = native.lock()
        self._working = native.lock()  # held by whoever delivers; also says whose state this is (see after_fork)
        self._queue = SpanQueue(0, 0)
        self._records = 0  # that service code made
        self._marks = Marks()
        self._backlog = Backlog()
        self._handled = 0  # of the entries that the queue accepted
        self._lost = 0
        self._published: Counter[str] = Counter()
        self._poke_at = 0  # so many entries waiting need a poke: 0 while the worker sleeps or is not there
        self._follow_settings()

    def _follow_settings(self) -> None:
        settings = config.current()
        entries, size, interval_s = self._fixed
        self._queue.max_entries = settings.queue_spans if entries is None else entries
        self._queue.max_bytes = settings.queue_bytes if size is None else size
        self._interval_s = settings.flush_interval_s if interval_s is None else interval_s

    # In the service's flows

    def set_process(self, service_name: str, tags: Mapping[str, Any], max_length: int) -> None:
        self.exporter.set_process(self._service or service_name, {**tags, **self._tags})

    def report_start(self, span: QueuedSpan) -> None:
        queue = self._queue
        waiting = queue.put(Started(span, span.chars))
        if waiting:
            queue.starts += 1
        if waiting > self._poke_at:
            self._poke()

    def report_record(self, record: dict[str, Any]) -> None:
        forks.take_over()
        self._records += 1
        self.report_span(Recorded(*frozen_info(record, self.max_span_chars or _RECORD_CHARS)))

    def report_span(self, span: Entry) -> None:
        """Queue a span that has finished; or, from within, a record."""
        # No look for a fork: the span's id was made after one, or the span is the parent's.
        if self._queue.put(span) > self._poke_at:
            self._poke()

    def _poke(self) -> None:
        worker = self._worker
        if ending.has_begun():
            self._deliver_last()
        elif worker is None:
            self._start()
        else:
            # The worker sets it again when it has seen to this poke.
            self._poke_at = max(self._queue.max_entries, WAKE_AT) if self._poke_at else WAKE_AT
            worker.wake()

    def _start(self) -> None:
        if native.foreign() or time.monotonic() < self._next_start or not self._starting.acquire(False):
            return
        try:
            if self._worker is None:
                self._poke_at = WAKE_AT
                self._worker = workers.fitting()
                if not self._worker.begin(self._run):
                    self._do_without()
        except Exception as fault:  # no more threads
            self._do_without()
            guard.swallow("reporter.start", fault)
        finally:
            self._starting.release()

    def _do_without(self) -> None:
        """Have no worker for now."""
        self._worker = None
        self._poke_at = 0
        self._next_start = time.monotonic() + _START_AGAIN_S

    def _deliver_last(self) -> None:
        """Deliver in the calling flow what waits, now that the process ends: no later flow may come to do so."""
        if sys.is_finalizing() or native.foreign():
            return
        with guard.Harmless("reporter.end"):
            if self.flush(ending.seconds_left(config.current().flush_timeout_s)):
                ending.all_delivered()

    def pending(self) -> int:
        """How many entries are queued or being delivered."""
        return self._queue.accepted - self._handled

    def waiting(self) -> list[Entry]:
        """The entries that are queued or being delivered."""
        return [*self._queue.waiting(), *self._backlog.entries()]

    def flush(self, timeout: float | None = None) -> bool:
        """See the interface; without *timeout* the deadline at exit is the longest it takes."""
        if current.point.get() is scope.SUPPRESSED:
            return False  # the worker itself, or what it called
        forks.take_over()
        if not self.pending():
            self._publish()
            return True
        if sys.is_finalizing():
            return False
        timeout_s = config.current().flush_timeout_s if timeout is None else timeout
        deadline = time.monotonic() + timeout_s
        mark = self._marks.set(self._queue.accepted, self._lost)
        self._backlog.hurry(deadline)
        self._next_start = 0.0
        if self._worker is None:
            self._start()
        worker = self._worker
        if worker is not None:
            worker.wake()
            worker.await_mark(mark, timeout_s)
        elif not native.foreign():
            self._work_here(mark, deadline)
        if not native.foreign():
            self._publish()
        return mark.passed and mark.whole

    def close(self) -> bool:
        """Flush, with the deadline at exit, and end the worker; a later report starts a new one."""
        whole = self.flush()
        self._end_worker()
        return whole

    def end(self) -> None:
        """End the worker, since the process ends: what comes from now on is delivered in the flow that brings it."""
        self._end_worker()
        if self.pending():  # from another thread, since the last flush
            self._deliver_last()

    def _end_worker(self) -> None:
        worker, self._worker = self._worker, None
        self._poke_at = 0
        if worker is not None:
            worker.wake()

    def deliver_here(self, timeout_s: float) -> bool:
        """Deliver in the calling flow what was queued before, *timeout_s* seconds at most; whether it is out."""
        if self.pending():
            mark = self._marks.set(self._queue.accepted, self._lost)
            self._work_here(mark, time.monotonic() + timeout_s)
            return mark.passed
        return True

    def _work_here(self, mark: Mark, deadline: float) -> None:
        """Deliver in the calling flow, where no worker can be had (the interpreter is ending)."""
        worker = workers.fitting()
        with scope.entered(scope.SUPPRESSED):
            while not mark.passed and time.monotonic() < deadline:
                self._work(worker, deadline)
                if not mark.passed:
                    now = time.monotonic()
                    worker.wait(min(max(self._backlog.retry_at - now, _BUSY_S), deadline - now))

    # In the worker

    def _run(self, worker: Worker) -> None:
        while self._worker is worker:  # else closed, or a copy in a forked child
            current.point.set(scope.SUPPRESSED)
            self._sleep(worker)
            if self._worker is worker:
                try:
                    self._follow_settings()
                    self._work(worker)
                except Exception as fault:
                    guard.swallow("reporter", fault)

    def _sleep(self, worker: Worker) -> None:
        if self._backlog:
            worker.wait(max(self._backlog.retry_at - time.monotonic(), _BUSY_S))
            return
        if not self._queue:
            self._poke_at = 0
            if not self._queue:  # else somebody came between, and saw no reason to poke
                worker.wait(worker.idle_s)
                if self._worker is not worker:
                    return
        # From the first entry on, gather more for one interval.
        self._poke_at = WAKE_AT
        if len(self._queue) < WAKE_AT and time.monotonic() >= self._backlog.urgent_until:
            worker.wait(self._interval_s)

    def _work(self, worker: Worker, deadline: float | None = None) -> None:
        """Deliver all that waits, or as far as it goes.

        What comes meanwhile waits for its own interval: it is worth no request, unless somebody waits in flush().
        """
        mine = self._working
        if not mine.acquire(False):
            return
        try:
            waiting = len(self._queue)
            while self._working is mine:
                if self._marks:
                    self._pass_marks()
                if self._backlog.wants_more:
                    wanted = waiting > 0 or self._marks
                    entries = self._queue.take(BATCH_ENTRIES, BATCH_BYTES) if wanted else []
                    if entries:
                        waiting -= len(entries)
                        masking.entries(entries)
                        self._backlog.add(entries)
                    elif not self._backlog:
                        return
                now = time.monotonic()
                if now < self._backlog.retry_at or (deadline is not None and now >= deadline):
                    return
                self._attempt(worker, min(deadline or now + EXPORT_S, now + EXPORT_S))
                worker.rest()
        finally:
            mine.release()
            self._publish()

    def _pass_marks(self) -> None:
        self._publish()  # who has flushed may look at the counters
        self._marks.pass_by(self._handled, self._lost)
        if not self._marks:
            self._backlog.urgent_until = 0.0

    def _attempt(self, worker: Worker, deadline: float) -> None:
        exporter, backlog = self.exporter, self._backlog
        part = backlog.part()
        try:
            outcome = worker.call(_export, exporter, part, deadline, blocking=exporter.blocking)
        except Rejected as fault:
            self._give_up(fault.reason, backlog.rejected(fault), fault)
        except Transient as fault:
            self._failing = True
            self._count_out(fault.done, _starts(part[: fault.done]))
            self._give_up("rejected", backlog.put_off(fault), fault)
            guard.warn_once(
                f"unreachable:{exporter.target}",
                "traces cannot be delivered to %s: %s; kept for now",
                exporter.target,
                fault,
            )
        except Exception as fault:
            self._drop("fault", backlog.give_up())
            guard.swallow("exporter", fault)
        else:
            starts = _starts(part)
            backlog.taken()
            if self._failing:
                self._failing = False
                if not native.foreign():
                    guard.LOG.info("traces are delivered to %s again", exporter.target)
            self._count_out(outcome.delivered, starts)
            if outcome.merged:
                self._handled += outcome.merged
                guard.count("merged", outcome.merged)
            for reason, number in outcome.dropped.items():
                self._lose(reason, number)
                guard.warn_once(f"{reason}:{exporter.target}", "spans for %s were dropped: %s", exporter.target, reason)

    def _give_up(self, reason: str, entries: Sequence[Entry], fault: Failed) -> None:
        if entries:
            self._drop(reason, entries)
            target = self.exporter.target
            guard.warn_once(f"rejected:{target}", "spans were rejected by %s: %s", target, fault)

    def _count_out(self, number: int, starts: int) -> None:
        """Count *number* entries as out of this process, *starts* of them starts of spans."""
        self._handled += number
        if number > starts:
            guard.count("delivered" if self.exporter.acknowledged else "sent", number - starts)

    def _drop(self, reason: str, entries: Sequence[Entry]) -> None:
        self._lose(reason, len(entries), _starts(entries))

    def _lose(self, reason: str, number: int, starts: int = 0) -> None:
        """Count *number* entries as lost, *starts* of them starts of spans."""
        self._handled += number
        self._lost += number
        if starts:
            guard.count(f"dropped_starts.{reason}", starts)
        if number > starts:
            guard.count(f"dropped.{reason}", number - starts)

    def _publish(self) -> None:
        """Bring the process's counters up to date with the queue's own."""
        queue = self._queue
        with ending.holding(self._publishing):
            now = Counter(
                {
                    "records": self._records,
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

    # Around a fork

    def after_fork(self) -> None:
        """In a forked child: start with an empty queue; what the parent had is the parent's to deliver."""
        worker = self._worker
        self._start_over()
        self.exporter.after_fork()
        if worker is not None:
            worker.abandon()


def _export(exporter: Exporter, entries: list[Entry], deadline: float) -> Outcome:
    with scope.entered(scope.SUPPRESSED):
        return exporter.export(entries, deadline)


def _starts(entries: Sequence[Entry]) -> int:
    """How many of *entries* are starts of spans."""
    return list(map(type, entries)).count(Started)


def living() -> list[QueueReporter]:
    """Every reporter of this process."""
    return list(_all)


@guard.source
def _waiting() -> Mapping[str, int]:
    """What has not left this process: once that has ended, it is lost."""
    waiting: list[Entry] = []
    for reporter in living():
        if not native.foreign():
            reporter._publish()
        waiting += reporter.waiting()
    starts = _starts(waiting)
    if not ending.has_begun():
        return {"waiting": len(waiting) - starts}
    return {"dropped.exit": len(waiting) - starts, "dropped_starts.exit": starts}


@forks.anew
def _start_over() -> None:
    for reporter in living():
        try:
            reporter.after_fork()
        except Exception as fault:
            guard.swallow("fork", fault)
