# SPDX-License-Identifier: Apache-2.0
"""The reporter: the service notices nothing, and every entry is counted."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler.context import current, scope
from osprofiler.delivery import backlog, worker
from osprofiler.delivery import reporter as module
from osprofiler.delivery.delivery import BATCH_ENTRIES
from osprofiler.delivery.exporter import Outcome, Rejected, Transient
from osprofiler.delivery.queue import Entry, Recorded, Started
from osprofiler.delivery.reporter import QueueReporter
from osprofiler.tracer.span import Span
from tests.unit.reporting_kit import Obedient, Traced, counted, name_of, out, unaccounted
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    guard.counters.clear()
    monkeypatch.setattr(guard, "_last_logged", {})
    monkeypatch.setattr(backlog, "FIRST_RETRY_S", 0.001)
    monkeypatch.setattr(backlog, "LAST_RETRY_S", 0.01)
    before = current.point.get()
    yield
    current.point.set(before)


def test_spans_are_delivered_in_order_by_another_thread_under_suppression() -> None:
    exporter = Obedient()
    reporter = QueueReporter(exporter, interval_s=0.01)
    Traced(reporter).points(1200)
    assert reporter.flush(30)
    assert exporter.names() == [f"p{number}" for number in range(1200)]
    assert max(exporter.tries) <= BATCH_ENTRIES
    assert exporter.suppressed == {True}
    assert threading.get_ident() not in exporter.threads
    assert counted() == {"queued": 1200, "delivered": 1200}


def test_without_a_flush_they_go_after_the_interval() -> None:
    exporter = Obedient()
    reporter = QueueReporter(exporter, interval_s=0.01)
    traced = Traced(reporter)
    for number in (1, 2, 3):  # also a worker that has gone to sleep again is woken
        traced.point("p")
        wait_until(lambda number=number: len(exporter.taken) == number)  # type: ignore[misc]


def test_many_waiting_end_the_wait_for_the_interval() -> None:
    exporter = Obedient()
    reporter = QueueReporter(exporter, interval_s=3600)
    Traced(reporter).points(module.WAKE_AT + 1)
    wait_until(lambda: len(exporter.taken) >= module.WAKE_AT)


def test_what_comes_during_a_delivery_waits_for_an_interval_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    wait = worker.NativeWorker.wait

    def watched(self: worker.NativeWorker, seconds: float) -> None:
        seen.append("wait")
        wait(self, seconds)

    def answer(batch: Sequence[Entry]) -> None:
        seen.append("delivery")
        if seen.count("delivery") < 4:
            traced.point("meanwhile")

    monkeypatch.setattr(worker.NativeWorker, "wait", watched)
    exporter = Obedient(answer)
    traced = Traced(QueueReporter(exporter, interval_s=0.001))
    traced.point("first")
    wait_until(lambda: len(exporter.taken) == 4)
    assert ["delivery", "delivery"] not in [seen[at : at + 2] for at in range(len(seen))]


def test_start_entries_come_only_to_who_wants_them() -> None:
    for wants in (True, False):
        exporter = Obedient(wants_starts=wants)
        reporter = QueueReporter(exporter)
        Traced(reporter).point("p")
        reporter.flush(30)
        assert [type(entry) for entry in exporter.taken] == ([Started, Span] if wants else [Span])


def test_an_unacknowledged_transport_claims_no_delivery() -> None:
    reporter = QueueReporter(Obedient(acknowledged=False))
    Traced(reporter).points(3)
    assert reporter.flush(30)
    assert counted() == {"queued": 3, "sent": 3}


def test_a_record_is_frozen_when_it_is_given() -> None:
    exporter = Obedient()
    reporter = QueueReporter(exporter)
    record = {"name": "a-start", "info": {"state": "then"}, "thing": object()}
    reporter.report_record(record)
    record["info"]["state"] = "later"  # type: ignore[index]
    assert reporter.flush(30)
    (taken,) = exporter.taken
    assert isinstance(taken, Recorded)
    assert taken.record["info"] == {"state": "then"}
    assert type(taken.record["thing"]) is str


def test_a_collector_that_hangs_does_not_hold_up_the_service_and_the_bound_holds() -> None:
    let_go = threading.Event()

    def hang(batch: Sequence[Entry]) -> None:
        let_go.wait(60)

    reporter = QueueReporter(Obedient(hang), interval_s=0, max_entries=100)
    traced = Traced(reporter)
    traced.points(1)
    wait_until(lambda: not len(reporter._queue), what="the worker to be stuck")
    traced.points(1000)  # would never return if it waited
    assert len(reporter._queue) == 100
    assert not reporter.flush(0.01)
    assert reporter.pending() == 101
    let_go.set()
    assert reporter.flush(30)
    assert counted() == {"queued": 101, "delivered": 101, "dropped.queue_full": 900}


def test_the_byte_bound_counts_the_text_of_spans() -> None:
    let_go = threading.Event()
    reporter = QueueReporter(Obedient(lambda batch: let_go.wait(60) and None), max_bytes=100_000, interval_s=3600)
    traced = Traced(reporter)
    for _ in range(50):
        traced.point("p", {"text": "x" * 10_000})
    assert 5 <= len(reporter._queue) <= 11
    let_go.set()
    assert reporter.flush(30)


def test_an_outage_is_waited_out_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    failures = iter(range(20))

    def down_for_a_while(batch: Sequence[Entry]) -> None:
        if next(failures, None) is not None:
            raise Transient("nobody there")

    exporter = Obedient(down_for_a_while)
    reporter = QueueReporter(exporter, interval_s=0)
    with caplog.at_level(logging.INFO, "osprofiler"):
        Traced(reporter).points(5)
        wait_until(lambda: len(exporter.taken) == 5)
        assert reporter.flush(30)
    assert counted() == {"queued": 5, "delivered": 5}
    texts = [text for record in caplog.records if "to the test" in (text := record.getMessage())]
    assert [("cannot be delivered" in text, "again" in text) for text in texts] == [(True, False), (False, True)]


def test_a_flush_tries_at_once_although_the_next_attempt_is_far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "FIRST_RETRY_S", 3600)
    monkeypatch.setattr(backlog, "LAST_RETRY_S", 3600)
    first = iter([True])

    def fail_once(batch: Sequence[Entry]) -> None:
        if next(first, False):
            raise Transient("not now")

    exporter = Obedient(fail_once)
    reporter = QueueReporter(exporter, interval_s=0)
    Traced(reporter).point("p")
    wait_until(lambda: exporter.tries)
    assert reporter.flush(60)


def test_what_was_taken_of_a_batch_is_not_sent_again() -> None:
    first = iter([True])

    def half(batch: Sequence[Entry]) -> None:
        if next(first, False):
            exporter.taken += batch[:3]
            raise Transient("broke off", done=3)

    exporter = Obedient(half)
    reporter = QueueReporter(exporter)
    Traced(reporter).points(5)
    assert reporter.flush(30)
    assert exporter.names() == [f"p{number}" for number in range(5)]
    assert counted() == {"queued": 5, "delivered": 5}


def _poisoned(raising: Callable[[], Exception]) -> Callable[[Sequence[Entry]], None]:
    def answer(batch: Sequence[Entry]) -> None:
        if any(name_of(entry) == "p7" for entry in batch):
            raise raising()

    return answer


@pytest.mark.parametrize(
    "raising",
    [lambda: Rejected("no", divisible=True), lambda: Transient("error in the store", unreachable=False)],
    ids=["rejected", "answered"],
)
def test_one_bad_entry_costs_only_itself(raising: Callable[[], Exception]) -> None:
    exporter = Obedient(_poisoned(raising))
    reporter = QueueReporter(exporter)
    Traced(reporter).points(20)
    assert not reporter.flush(30), "something was lost"
    assert sorted(exporter.names()) == sorted(f"p{number}" for number in range(20) if number != 7)
    assert counted() == {"queued": 20, "delivered": 19, "dropped.rejected": 1}
    assert reporter.flush(30), "nothing was lost since"


def test_a_whole_batch_rejected_is_not_tried_again() -> None:
    def no(batch: Sequence[Entry]) -> None:
        raise Rejected("no such path")

    exporter = Obedient(no)
    reporter = QueueReporter(exporter)
    Traced(reporter).points(20)
    assert not reporter.flush(30)
    assert len(exporter.tries) == 1
    assert counted() == {"queued": 20, "dropped.rejected": 20}


def test_who_rejects_everything_is_not_asked_about_each_entry() -> None:
    """A collector that expects TLS refuses a batch and every part of it."""

    def no(batch: Sequence[Entry]) -> None:
        if any(name_of(entry) != "good0" for entry in batch):
            raise Rejected("HTTP status 400", divisible=True)

    exporter = Obedient(no)
    reporter = QueueReporter(exporter)
    traced = Traced(reporter)
    traced.points(2000)
    assert not reporter.flush(30)
    assert len(exporter.tries) == 2 * backlog.REJECTIONS
    assert counted() == {"queued": 2000, "dropped.rejected": 2000}
    traced.points(1, "good")
    traced.points(1, "bad")
    assert not reporter.flush(30)
    assert exporter.names() == ["good0"], "the next batch is divided again"


def test_a_fault_in_an_exporter_costs_its_batch_and_the_worker_lives() -> None:
    first = iter([True])

    def fault(batch: Sequence[Entry]) -> None:
        if next(first, False):
            raise ZeroDivisionError

    reporter = QueueReporter(Obedient(fault))
    traced = Traced(reporter)
    traced.points(2)
    assert not reporter.flush(30)
    traced.points(3)
    assert reporter.flush(30)
    assert counted() == {"queued": 5, "delivered": 3, "dropped.fault": 2, "fault.exporter": 1}


def test_what_an_exporter_drops_and_merges_is_accounted_for(caplog: pytest.LogCaptureFixture) -> None:
    reporter = QueueReporter(Obedient(lambda batch: Outcome(len(batch) - 3, {"too_large": 2}, merged=1)))
    Traced(reporter).points(10)
    assert not reporter.flush(30)
    assert counted() == {"queued": 10, "delivered": 7, "dropped.too_large": 2, "merged": 1}
    assert reporter.pending() == 0
    assert caplog.messages == ["spans for the test were dropped: too_large"]


def test_counters_add_up_under_threads_and_faults() -> None:
    turn = iter(range(1_000_000))

    def moody(batch: Sequence[Entry]) -> None:
        mood = next(turn) % 7
        if mood == 1:
            raise Transient("moody", done=min(2, len(batch)))
        if mood == 3:
            raise Rejected("moody", divisible=True)
        if mood == 5:
            raise ValueError

    reporter = QueueReporter(Obedient(moody), interval_s=0, max_entries=500)
    traced = Traced(reporter)

    def work() -> None:
        traced.points(3000)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: reporter.flush(30) or not reporter.pending())
    assert counted()["queued"] + counted().get("dropped.queue_full", 0) == 12_000
    assert counted()["queued"] == out()


@pytest.mark.parametrize("wants_starts", [True, False])
def test_started_spans_are_open_waiting_delivered_or_dropped(wants_starts: bool) -> None:
    """Whatever the store does, the counters count spans, even if each span is two entries."""
    turn = iter(range(1_000_000))

    def moody(batch: Sequence[Entry]) -> Outcome | None:
        mood = next(turn) % 9
        if mood == 1:
            exporter.taken += batch[:3]
            raise Transient("moody", done=len(batch[:3]))
        if mood == 3:
            raise Rejected("moody", divisible=True)
        if mood == 5:
            raise ValueError
        if mood == 7 and not wants_starts:
            return Outcome(len(batch) - 1, {"too_large": 1})
        return None

    before = guard.totals()
    exporter = Obedient(moody, wants_starts=wants_starts)
    reporter = QueueReporter(exporter, interval_s=0, max_entries=500)
    traced = Traced(reporter)

    def work() -> None:
        for number in range(1000):
            point = traced.tracer.open_point(traced.root, "point")
            if number % 100:
                point.end()
        reporter.report_record({"name": "made-start"})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: reporter.flush(30) or not reporter.pending())
    now = guard.totals()
    assert (now["started"] - before["started"], now["open"] - before["open"], now["records"]) == (4000, 40, 4)
    assert unaccounted(now) == unaccounted(before)
    assert sum(now.get(f"dropped.{reason}", 0) for reason in ("queue_full", "fault", "rejected")) > 0
    taken = sum(not isinstance(entry, Started) for entry in exporter.taken)
    assert now["delivered"] + now.get("dropped.too_large", 0) == taken


def test_a_start_that_is_lost_is_counted_apart() -> None:
    reporter = QueueReporter(Obedient(wants_starts=True), max_entries=3, interval_s=3600)
    traced = Traced(reporter)
    for _ in range(2):
        traced.point("p")  # the last end does not fit
    traced.point("q")
    assert reporter.flush(30)
    assert counted() == {"queued": 1, "delivered": 1, "dropped.queue_full": 2, "dropped_starts.queue_full": 1}


def test_settings_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    reporter = QueueReporter(Obedient())
    try:
        config.publish(queue_spans=3, queue_bytes=1 << 20)
        Traced(reporter).point("p")
        assert reporter.flush(30)
        Traced(reporter).point("q")
        assert reporter.flush(30)
        assert reporter._queue.max_entries == 3
    finally:
        config.reset()


def test_the_name_given_at_construction_wins_over_the_tracers() -> None:
    named, unnamed = Obedient(), Obedient()
    Traced(QueueReporter(named, service="nova-api", tags={"project": "nova"}))
    Traced(QueueReporter(unnamed))
    assert named.process == ("nova-api", {"project": "nova"})
    assert unnamed.process[0] == "unnamed"


def test_a_flush_from_inside_the_worker_does_not_wait_for_itself() -> None:
    answers: list[bool] = []

    def log_that_flushes(batch: Sequence[Entry]) -> None:
        answers.append(reporter.flush(60))

    reporter = QueueReporter(Obedient(log_that_flushes))
    Traced(reporter).point("p")
    assert reporter.flush(30)
    assert answers == [False]


def test_after_close_a_late_span_is_still_delivered() -> None:
    exporter = Obedient()
    reporter = QueueReporter(exporter, interval_s=0.01)
    traced = Traced(reporter)
    traced.point("early")
    assert reporter.close()
    traced.point("late")
    wait_until(lambda: exporter.names() == ["early", "late"])


def test_where_no_thread_can_be_started_a_flush_delivers_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, run: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(worker.NativeWorker, "begin", refuse)
    fail_first = iter([True])

    def answer(batch: Sequence[Entry]) -> None:
        if next(fail_first, False):
            raise Transient("once")

    exporter = Obedient(answer)
    reporter = QueueReporter(exporter)
    Traced(reporter).points(3)
    assert reporter.flush(30)
    assert exporter.threads == {threading.get_ident()}
    assert exporter.suppressed == {True}
    assert current.point.get() is not scope.SUPPRESSED


_FORKED_IN_C = """
import ctypes, os
from osprofiler._runtime import forks
from osprofiler.records import ids
from osprofiler.delivery.reporter import QueueReporter
from tests.unit.reporting_kit import Obedient, Traced
exporter, fallback = Obedient(), forks._Pid()
reporter = QueueReporter(exporter, interval_s=3600)
traced = Traced(reporter)
traced.point("parent's")
assert forks.marker[0] and fallback[0]
ids._random.seed(1)
child = ctypes.PyDLL(None).fork()  # as a server in C does it: none of Python's hooks run
if child == 0:
    assert not fallback[0]
    fallback[0] = 1
    assert fallback[0]
    assert not forks.marker[0]
    ids._random.seed(1)
    ours = [traced.point("child's").span_id, ids.new_span_id()]
    assert forks.marker[0]
    assert exporter.forks == 1
    assert reporter.flush(30)
    assert exporter.names() == ["child's"], exporter.names()
    ids._random.seed(1)
    os._exit(ids.new_span_id() in ours)
theirs = os.waitpid(child, 0)[1]
assert theirs == 0, theirs
assert reporter.flush(30)
assert exporter.names() == ["parent's"]
"""


def test_a_process_forked_without_pythons_hooks_is_noticed() -> None:
    subprocess.run([sys.executable, "-c", _FORKED_IN_C], check=True, timeout=120)
