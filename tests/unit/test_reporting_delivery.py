# SPDX-License-Identifier: Apache-2.0
"""Which entries are sent when, and the counters. Without a thread, on a clock of the test."""

from collections.abc import Iterator

import pytest

from osprofiler._runtime import guard
from osprofiler.context.origin import Origin
from osprofiler.delivery import backlog
from osprofiler.delivery.delivery import BATCH_ENTRIES, Delivery
from osprofiler.delivery.exporter import Outcome, Rejected, Transient
from osprofiler.delivery.queue import Recorded, Started
from tests.unit.core_kit import a_clean_process
from tests.unit.reporting_kit import name_of
from tests.unit.test_span_data import live_span


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with a_clean_process():
        yield


class Driven:
    """A delivery, and its clock."""

    def __init__(self, acknowledged: bool = True) -> None:
        self.now = 100.0
        self.delivery = Delivery("the test", acknowledged, lambda: self.now)
        self.delivery.queue.max_entries = 10_000
        self.delivery.queue.max_bytes = 1 << 30

    def queue(self, *names: str) -> None:
        for name in names:
            self.delivery.queue.put(Recorded({"name": name}, 0))

    def part(self, deadline: float | None = None) -> list[str] | None:
        entries = self.delivery.next_part(deadline)
        return None if entries is None else [name_of(entry) for entry in entries]

    def send(self) -> list[str]:
        """Send parts until none is due. Return the names of the entries."""
        sent: list[str] = []
        while (part := self.part()) is not None:
            self.delivery.sent(Outcome(len(part)))
            sent += part
        return sent


@pytest.fixture
def driven() -> Driven:
    return Driven()


def counted(*names: str) -> list[int]:
    return [guard.counters[name] for name in names]


def test_a_pass_takes_what_waited_when_it_began(driven: Driven) -> None:
    driven.queue("a", "b")
    driven.delivery.begin_pass()
    assert driven.part() == ["a", "b"]
    driven.queue("late")
    driven.delivery.sent(Outcome(2))
    assert driven.part() is None
    driven.delivery.begin_pass()
    assert driven.send() == ["late"]


def test_what_a_flush_waits_for_is_taken_in_the_current_pass(driven: Driven) -> None:
    driven.queue("a")
    driven.delivery.begin_pass()
    assert driven.part() == ["a"]
    driven.queue("late")
    point = driven.delivery.set_flush_point()
    driven.delivery.sent(Outcome(1))
    assert driven.send() == ["late"]
    assert (point.reached, point.without_loss) == (True, True)


def test_batches_are_bounded(driven: Driven) -> None:
    driven.queue(*map(str, range(BATCH_ENTRIES + 5)))
    driven.delivery.begin_pass()
    assert len(driven.part() or ()) == BATCH_ENTRIES
    driven.delivery.sent(Outcome(BATCH_ENTRIES))
    assert len(driven.part() or ()) == 5


def test_a_part_that_is_put_off_is_due_again_after_a_pause(driven: Driven) -> None:
    driven.queue("a", "b")
    point = driven.delivery.set_flush_point()
    driven.delivery.begin_pass()
    assert driven.part() == ["a", "b"]
    driven.delivery.failed(Transient("away"))
    assert driven.part() is None
    assert (driven.delivery.pending, point.reached) == (2, False)
    driven.now += 2 * backlog.FIRST_RETRY_S
    assert driven.part(deadline=driven.now) is None, "no attempt begins after the deadline"
    assert driven.send() == ["a", "b"]
    assert (driven.delivery.pending, point.reached, point.without_loss) == (0, True, True)


def test_what_was_sent_before_a_failure_is_not_sent_again(driven: Driven) -> None:
    driven.queue("a", "b", "c")
    driven.delivery.begin_pass()
    driven.part()
    driven.delivery.failed(Transient("away", done=2))
    assert driven.delivery.pending == 1
    driven.now += 2 * backlog.FIRST_RETRY_S
    assert driven.send() == ["c"]
    assert counted("delivered") == [3]


def test_a_loss_is_counted_by_reason_and_told_to_the_flush(driven: Driven) -> None:
    driven.queue("a", "b")
    point = driven.delivery.set_flush_point()
    driven.delivery.begin_pass()
    driven.part()
    driven.delivery.failed(Rejected("no", reason="too_large"))
    assert driven.part() is None
    assert (point.reached, point.without_loss) == (True, False)
    assert counted("dropped.too_large", "delivered") == [2, 0]


def test_a_fault_of_the_exporter_costs_the_part_alone(driven: Driven) -> None:
    driven.queue("a")
    driven.delivery.begin_pass()
    driven.part()
    driven.delivery.failed(ZeroDivisionError())
    driven.queue("b")
    driven.delivery.begin_pass()
    assert driven.send() == ["b"]
    assert counted("dropped.fault", "fault.exporter", "delivered") == [1, 1, 1]


def test_everything_queued_is_accounted_for(driven: Driven) -> None:
    driven.delivery.queue.max_entries = 4
    driven.queue("a", "b", "c", "d", "refused")
    driven.delivery.begin_pass()
    driven.part()
    driven.delivery.sent(Outcome(1, {"unencodable": 1}, merged=2))
    driven.delivery.publish()
    driven.delivery.publish()  # counts nothing twice
    assert counted("queued", "dropped.queue_full") == [4, 1]
    assert counted("delivered", "dropped.unencodable", "merged") == [1, 1, 2]
    assert driven.delivery.pending == 0


@pytest.mark.parametrize(("acknowledged", "counter"), [(True, "delivered"), (False, "sent")])
def test_starts_of_spans_are_not_counted_as_spans(acknowledged: bool, counter: str) -> None:

    driven = Driven(acknowledged)
    span = live_span(Origin.from_ids(5, 7))
    driven.delivery.queue.put(Started(span, 0))
    driven.delivery.queue.put(span)
    driven.delivery.begin_pass()
    driven.part()
    driven.delivery.sent(Outcome(2))
    assert (counted(counter), driven.delivery.pending) == ([1], 0)
