# SPDX-License-Identifier: Apache-2.0
"""Which part of a batch is sent next, and when. The tests drive it by hand, with a clock of their own."""

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osprofiler.delivery import backlog as module
from osprofiler.delivery.backlog import Backlog
from osprofiler.delivery.exporter import Rejected, Transient


class Collector:
    """A collector of numbers. It answers the *poisoned* ones with *fault*, and takes nothing while it is *down*."""

    def __init__(self, poisoned: Sequence[int] = (), fault: Callable[[], Exception] | None = None) -> None:
        self.poisoned = set(poisoned)
        self.fault = fault or (lambda: Transient("HTTP status 500", unreachable=False))
        self.down: Callable[[], Exception] | None = None
        self.requests: list[list[int]] = []
        self.taken: list[int] = []

    def send(self, entries: list[Any]) -> None:
        self.requests.append(list(entries))
        if self.down is not None:
            raise self.down()
        if not self.poisoned.isdisjoint(entries):
            raise self.fault()
        self.taken += entries


class Driver:
    """Sends the parts of a backlog to a collector, and sets the clock forward instead of waiting."""

    def __init__(self, collector: Collector) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        self.given_up = 0
        self.collector = collector
        self.backlog = Backlog(lambda: self.now, lambda: 1.0)

    def add(self, entries: Sequence[int]) -> None:
        assert self.backlog.wants_more
        self.backlog.add(list(entries))  # type: ignore[arg-type]

    def step(self) -> None:
        if self.backlog.retry_at > self.now:
            self.pauses.append(self.backlog.retry_at - self.now)
            self.now = self.backlog.retry_at
        try:
            self.collector.send(self.backlog.part())
        except Rejected as fault:
            self.given_up += len(self.backlog.rejected(fault))
        except Transient as fault:
            self.given_up += len(self.backlog.put_off(fault))
        else:
            self.backlog.taken()

    def run(self, steps: int = 10_000) -> None:
        while self.backlog and steps:
            self.step()
            steps -= 1


def answered() -> Transient:
    return Transient("HTTP status 500", unreachable=False)


def refused() -> Rejected:
    return Rejected("HTTP status 400", divisible=True)


@pytest.mark.parametrize("fault", [answered, refused])
@pytest.mark.parametrize("place", [0, 1, 7, 499, 500, 501, 998, 999])
def test_one_poisoned_entry_is_found_in_the_logarithm_of_requests(place: int, fault: Callable[[], Exception]) -> None:
    driver = Driver(Collector([place], fault))
    driver.add(range(1000))
    driver.run()
    assert sorted(driver.collector.taken) == [number for number in range(1000) if number != place]
    assert driver.given_up == 1
    assert len(driver.collector.requests) <= math.ceil(math.log2(1000)) + module.ATTEMPTS + 3
    assert sum(driver.pauses) < 1


def test_after_a_success_nothing_is_waited_for() -> None:
    driver = Driver(Collector([123]))
    driver.add(range(1000))
    while not driver.collector.taken:
        driver.step()
    driver.pauses.clear()
    driver.run()
    assert driver.pauses == []


@given(st.sets(st.integers(0, 299), max_size=12), st.integers(1, 300), st.sampled_from([answered, refused]))
def test_what_is_not_at_fault_is_delivered_once(poisoned: set[int], size: int, fault: Callable[[], Exception]) -> None:
    driver = Driver(Collector(sorted(poisoned), fault))
    driver.add(range(size))
    driver.run(2000)
    driver.collector.send([-1])
    there = poisoned & set(range(size))
    assert sorted(driver.collector.taken) == sorted({-1, *range(size)} - there)
    # What is held waits for the success of another.
    for number in range(1000, 1000 + len(there)):
        if driver.backlog:
            driver.add([number])
            driver.run(50)
    assert driver.given_up == len(there)
    assert not driver.backlog


@pytest.mark.parametrize("unreachable", [True, False])
@pytest.mark.parametrize("poisoned", [[], [17]])
@pytest.mark.parametrize("lasts", [1, 2, 5, 40, 400])
def test_an_outage_costs_no_entry_and_no_storm(unreachable: bool, poisoned: list[int], lasts: int) -> None:
    """Even if the outage begins during the search for an entry at fault."""
    for begins in range(16):
        driver = Driver(Collector(poisoned))
        driver.add(range(100))
        for _ in range(begins):
            if driver.backlog:
                driver.step()
        driver.collector.down = lambda: Transient("down", unreachable=unreachable)
        driver.pauses.clear()
        if not driver.backlog:
            driver.add(range(100, 200))
        for _ in range(lasts):
            driver.step()
        # No search without a pause is begun without a success before it.
        assert len(driver.pauses) >= lasts - 2 * (math.ceil(math.log2(100)) + 2)
        driver.collector.down = None
        before = len(driver.collector.requests)
        driver.run()
        there = [number for number in range(100) if number not in poisoned]
        assert sorted(set(driver.collector.taken) - set(range(100, 200))) == there
        assert len(driver.collector.taken) == len(set(driver.collector.taken))
        assert driver.given_up == len(poisoned)
        assert len(driver.collector.requests) - before < 60


def test_waits_double_up_to_a_bound() -> None:
    driver = Driver(Collector())
    driver.collector.down = lambda: Transient("nobody there")
    driver.add([1])
    driver.run(9)
    assert driver.pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])


def test_who_waits_in_a_flush_does_not_wait_long() -> None:
    driver = Driver(Collector())
    driver.collector.down = lambda: Transient("nobody there")
    driver.add([1])
    driver.run(6)
    driver.backlog.hurry(driver.now + 1.0)
    assert driver.backlog.retry_at <= driver.now
    driver.pauses.clear()
    driver.run(7)
    assert driver.pauses == pytest.approx([0.25, 0.25, 0.25, 0.25, 5.0, 5.0])


@pytest.mark.parametrize("unreachable", [True, False])
def test_the_other_side_says_for_how_long_it_wants_to_be_left_alone(unreachable: bool) -> None:
    waits = iter([3.0, 0.0, 1e9])
    driver = Driver(Collector())
    driver.collector.down = lambda: Transient("later", unreachable=unreachable, retry_after_s=next(waits))
    driver.add([1])
    driver.run(3)
    driver.collector.down = None
    driver.run()
    assert driver.pauses == pytest.approx([3.0, 0.2, module.LONGEST_RETRY_S])


def test_a_hiccup_is_no_fault_of_an_entry() -> None:
    for failures in range(1, 8):
        driver = Driver(Collector())
        driver.collector.down = answered
        driver.add(range(64))
        driver.run(failures)
        driver.collector.down = None
        driver.run()
        assert sorted(driver.collector.taken) == list(range(64))
        assert not driver.given_up


def test_the_only_entry_is_held_until_another_shows_that_it_is_at_fault() -> None:
    driver = Driver(Collector([1]))
    driver.add([1])
    driver.run(50)
    assert driver.backlog
    assert not driver.given_up
    driver.add([2])
    driver.run(2)
    assert driver.collector.taken == [2]
    assert driver.given_up == 1
    assert not driver.backlog


def test_what_is_held_has_a_bound() -> None:
    driver = Driver(Collector())
    driver.collector.down = answered
    for number in range(module.MOST_HELD):
        driver.add([number])
        driver.run(module.ATTEMPTS)
    assert not driver.backlog.wants_more
    driver.collector.down = None
    driver.run()
    assert len(driver.collector.taken) == module.MOST_HELD


def test_what_is_too_large_is_halved_and_no_entry_suspected() -> None:
    collector = Collector()
    driver = Driver(collector)
    send = collector.send

    def limited(entries: list[Any]) -> None:
        if len(entries) > 300:
            collector.requests.append(entries)
            raise Rejected("HTTP status 413", reason="too_large", divisible=True)
        send(entries)

    collector.send = limited  # type: ignore[method-assign]
    driver.add(range(1000))
    driver.run()
    assert [len(request) for request in collector.requests] == [1000, 500, 250, 250, 500, 250, 250]
    assert collector.taken == list(range(1000))


def test_who_takes_nothing_at_all_is_not_asked_about_each_entry() -> None:
    driver = Driver(Collector(range(1000), refused))
    driver.add(range(1000))
    driver.run()
    assert driver.given_up == 1000
    assert len(driver.collector.requests) == module.REJECTIONS


def test_one_that_takes_entries_in_turn_goes_on_behind_those_it_took() -> None:
    """A driver without batches stops at the entry at fault."""
    taken: list[int] = []

    class InTurn(Collector):
        def send(self, entries: list[Any]) -> None:
            self.requests.append(list(entries))
            for done, entry in enumerate(entries):
                if entry in self.poisoned:
                    raise Transient("fault", done=done, unreachable=False)
                taken.append(entry)

    poisoned = random.Random(5).sample(range(500), 5)
    driver = Driver(InTurn(poisoned))
    driver.add(range(500))
    driver.run(300)
    assert sorted(taken) == [number for number in range(500) if number not in poisoned]
    assert len(taken) == len(set(taken))
