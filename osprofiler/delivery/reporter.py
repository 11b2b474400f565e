# SPDX-License-Identifier: Apache-2.0
"""The reporter with a queue: it takes spans from the service at the price of an append, and a worker delivers them.

The service never waits for it. A span that does not fit into the queue is dropped and counted. :mod:`delivery` decides
what is sent when, and counts. This module drives it, in the flows of control of the service, of the worker, of a flush,
of a forked child, and of the end of the process.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from osprofiler import config
from osprofiler._runtime import ending, forks, guard, native
from osprofiler.context import current, scope
from osprofiler.context.values import frozen_info
from osprofiler.delivery import registry
from osprofiler.delivery import worker as workers
from osprofiler.delivery.base import Reporter
from osprofiler.delivery.delivery import Delivery
from osprofiler.delivery.exporter import Exporter, Outcome
from osprofiler.delivery.flush_points import FlushPoint
from osprofiler.delivery.queue import Entry, QueuedSpan, Recorded, Started

if TYPE_CHECKING:
    from osprofiler.delivery.worker import Worker

#: With this number of entries waiting, the worker does not wait for the flush interval.
WAKE_AT = 2000

# How many entries may wait before another one pokes the worker.
_EACH_POKES = 0  # the worker sleeps until an entry comes, or there is no worker
_MANY_POKE = WAKE_AT  # the worker gathers entries for one interval
_NONE_POKES = sys.maxsize  # the worker has been poked and does not run yet

#: How long one batch may take, in seconds.
EXPORT_S = 20.0

_START_AGAIN_S = 1.0  # after no worker could be started
_BUSY_S = 0.01  # the shortest sleep while entries wait for their retry
_RECORD_CHARS = 4 << 20


class QueueReporter(Reporter):
    """Queues the starts and ends of spans. A worker of this process delivers them with *exporter*.

    *service* and *tags* are the name and tags of the process. If *service* is None, the tracer gives the name.
    *max_entries*, *max_bytes* and *interval_s* (seconds) are fixed if given. Otherwise they follow the settings.
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
        self._fixed_entries = max_entries
        self._fixed_bytes = max_bytes
        self._fixed_interval_s = interval_s
        self._start_over()
        if service is not None:
            exporter.set_process(service, self._tags)
        registry.add(self)

    def _start_over(self) -> None:
        """Begin with an empty queue and no worker."""
        self._delivery = Delivery(self.exporter.target, self.exporter.acknowledged)
        self._queue = self._delivery.queue
        self._worker: Worker | None = None
        self._start_not_before = 0.0
        self._starting = native.lock()
        self._poke_above = _EACH_POKES
        self._follow_settings()

    def _follow_settings(self) -> None:
        settings = config.current()
        self._queue.max_entries = settings.queue_spans if self._fixed_entries is None else self._fixed_entries
        self._queue.max_bytes = settings.queue_bytes if self._fixed_bytes is None else self._fixed_bytes
        self._interval_s = settings.flush_interval_s if self._fixed_interval_s is None else self._fixed_interval_s

    # In the flows of the service

    def set_process(self, service_name: str, tags: Mapping[str, Any], max_length: int) -> None:
        self.exporter.set_process(self._service or service_name, {**tags, **self._tags})

    def report_start(self, span: QueuedSpan) -> None:
        queue = self._queue
        waiting = queue.put(Started(span, span.chars))
        if waiting:
            queue.starts += 1
        if waiting > self._poke_above:
            self._poke()

    def report_record(self, record: dict[str, Any]) -> None:
        forks.take_over()
        self._delivery.records += 1
        self.report_span(Recorded(*frozen_info(record, self.max_span_chars or _RECORD_CHARS)))

    def report_span(self, span: Entry) -> None:
        """Queue a span that has finished. :meth:`report_record` also queues its records here."""
        # No check for a fork: either the id of the span was made after it, or the span is the parent's.
        if self._queue.put(span) > self._poke_above:
            self._poke()

    def _poke(self) -> None:
        worker = self._worker
        if ending.has_begun():
            self._deliver_last()
        elif worker is None:
            self._start()
        else:
            self._poke_above = _MANY_POKE if self._poke_above == _EACH_POKES else _NONE_POKES
            worker.wake()

    def _start(self) -> None:
        if (
            native.is_extra_native_thread()
            or time.monotonic() < self._start_not_before
            or not self._starting.acquire(False)
        ):
            return
        try:
            if self._worker is None:
                self._poke_above = _MANY_POKE
                self._worker = workers.fitting()
                if not self._worker.begin(self._run):
                    self._do_without()
        except Exception as fault:  # no more threads
            self._do_without()
            guard.swallow("reporter.start", fault)
        finally:
            self._starting.release()

    def _do_without(self) -> None:
        """Run without a worker for now."""
        self._worker = None
        self._poke_above = _EACH_POKES
        self._start_not_before = time.monotonic() + _START_AGAIN_S

    def _deliver_last(self) -> None:
        """Deliver the waiting entries in the calling flow. The process ends, so no later flow may do it."""
        if sys.is_finalizing() or native.is_extra_native_thread():
            return
        with guard.Harmless("reporter.end"):
            if self.flush(ending.seconds_left(config.current().flush_timeout_s)):
                ending.clear_deadline()

    def pending(self) -> int:
        """How many entries are queued or being delivered."""
        return self._delivery.pending

    def waiting(self) -> list[Entry]:
        """The entries that are queued or being delivered."""
        return self._delivery.waiting()

    def publish(self) -> None:
        """Bring the process's counters up to date. Only in flows that may touch the locks of the service."""
        self._delivery.publish()

    def flush(self, timeout: float | None = None) -> bool:
        """See the interface. The default *timeout* is the one at exit."""
        if current.point.get() is scope.SUPPRESSED:
            return False  # called by the worker itself, or by code that it calls
        forks.take_over()
        delivery = self._delivery
        if not delivery.pending:
            delivery.publish()
            return True
        if sys.is_finalizing():
            return False
        timeout_s = config.current().flush_timeout_s if timeout is None else timeout
        deadline = time.monotonic() + timeout_s
        point = delivery.set_flush_point()
        delivery.backlog.hurry(deadline)
        self._start_not_before = 0.0
        if self._worker is None:
            self._start()
        worker = self._worker
        if worker is not None:
            worker.wake()
            point.wait(timeout_s)
        elif not native.is_extra_native_thread():
            self._work_here(point, deadline)
        if not native.is_extra_native_thread():
            delivery.publish()
        return point.reached and point.without_loss

    def close(self) -> bool:
        """Flush, with the timeout at exit, and end the worker. A later report starts a new one."""
        all_delivered = self.flush()
        self._end_worker()
        return all_delivered

    def end(self) -> None:
        """End the worker, since the process ends. A later entry is delivered in the flow that reports it."""
        self._end_worker()
        if self._delivery.pending:  # another thread has reported since the last flush
            self._deliver_last()

    def _end_worker(self) -> None:
        worker, self._worker = self._worker, None
        self._poke_above = _EACH_POKES
        if worker is not None:
            worker.wake()

    def deliver_here(self, timeout_s: float) -> bool:
        """Deliver the entries so far in the calling flow, *timeout_s* seconds at most. Return whether they are out."""
        if self._delivery.pending:
            point = self._delivery.set_flush_point()
            self._work_here(point, time.monotonic() + timeout_s)
            return point.reached
        return True

    def _work_here(self, point: FlushPoint, deadline: float) -> None:
        """Deliver in the calling flow, which has no worker, until *point* is reached."""
        worker = workers.fitting()
        with scope.entered(scope.SUPPRESSED):
            while not point.reached and time.monotonic() < deadline:
                self._work(worker, deadline)
                if not point.reached:
                    now = time.monotonic()
                    retry_s = self._delivery.backlog.retry_at - now
                    worker.wait(min(max(retry_s, _BUSY_S), deadline - now))

    # In the worker

    def _run(self, worker: Worker) -> None:
        while self._serves(worker):
            current.point.set(scope.SUPPRESSED)
            self._sleep(worker)
            if self._serves(worker):
                try:
                    self._follow_settings()
                    self._work(worker)
                except Exception as fault:
                    guard.swallow("reporter", fault)

    def _serves(self, worker: Worker) -> bool:
        """Whether *worker* is still the worker of this reporter: not ended, and not a copy in a forked child."""
        return self._worker is worker

    def _sleep(self, worker: Worker) -> None:
        backlog = self._delivery.backlog
        if backlog:
            worker.wait(max(backlog.retry_at - time.monotonic(), _BUSY_S))
            return
        if not self._queue:
            self._poke_above = _EACH_POKES
            if not self._queue:  # otherwise an entry came in between and did not poke
                worker.wait(worker.idle_s)
                if not self._serves(worker):
                    return
        # From the first entry on, gather more for one interval.
        self._poke_above = _MANY_POKE
        if len(self._queue) < WAKE_AT and time.monotonic() >= backlog.urgent_until:
            worker.wait(self._interval_s)

    def _work(self, worker: Worker, deadline: float | None = None) -> None:
        """Deliver the waiting entries, until *deadline* at most."""
        delivery = self._delivery
        if not delivery.in_use.acquire(False):
            return
        try:
            delivery.begin_pass()
            # After a fork(2) in this loop the child has a delivery of its own.
            while self._delivery is delivery and (part := delivery.next_part(deadline)) is not None:
                now = time.monotonic()
                self._attempt(worker, delivery, part, min(deadline or now + EXPORT_S, now + EXPORT_S))
                worker.rest()
        finally:
            delivery.in_use.release()
            self._delivery.publish()

    def _attempt(self, worker: Worker, delivery: Delivery, part: list[Entry], deadline: float) -> None:
        exporter = self.exporter
        try:
            outcome = worker.call(_export, exporter, part, deadline, blocking=exporter.blocking)
        except Exception as fault:
            delivery.failed(fault)
        else:
            delivery.sent(outcome)

    # Around a fork

    def after_fork(self) -> None:
        """In a forked child: start with an empty queue. The parent delivers its own entries."""
        worker = self._worker
        self._start_over()
        self.exporter.after_fork()
        if worker is not None:
            worker.abandon()


def _export(exporter: Exporter, entries: list[Entry], deadline: float) -> Outcome:
    with scope.entered(scope.SUPPRESSED):
        return exporter.export(entries, deadline)
