# SPDX-License-Identifier: Apache-2.0
"""The buffer: its order, both bounds, counts that stay exact under threads, and the points that a flush waits for."""

import threading
from collections.abc import Sequence

from osprofiler.delivery.flush_points import FlushPoints
from osprofiler.delivery.queue import ENTRY_BYTES, Entry, Recorded, SpanQueue
from tests.unit.reporting_kit import name_of

KB = ENTRY_BYTES


def entry(name: str, kilobytes: int = 1) -> Entry:
    return Recorded({"name": name}, (kilobytes - 1) * KB)


def names(entries: Sequence[Entry]) -> list[str]:
    return [name_of(one) for one in entries]


def test_what_does_not_fit_by_number_is_refused_and_counted() -> None:
    queue = SpanQueue(2, 100 * KB)
    assert [queue.put(entry(name)) for name in "abc"] == [1, 2, 0]
    assert (queue.accepted, queue.refused) == (2, 1)
    assert names(queue.take(10, 100 * KB)) == ["a", "b"]
    assert queue.put(entry("d")) == 1


def test_what_does_not_fit_by_bytes_is_refused_until_some_are_taken() -> None:
    queue = SpanQueue(100, 10 * KB)
    accepted = [queue.put(entry(str(number), 4)) for number in range(5)]
    assert accepted == [1, 2, 3, 0, 0]  # the third is let in at 8 KB: the bound is passed by one
    queue.take(1, 100 * KB)
    assert queue.bytes == 8 * KB
    assert queue.put(entry("again", 4)) == 3


def test_batches_are_bounded_by_number_and_bytes_but_hold_one_at_least() -> None:
    queue = SpanQueue(100, 1000 * KB)
    for name, size in (("a", 1), ("b", 1), ("c", 1), ("d", 500), ("e", 1), ("f", 1)):
        queue.put(entry(name, size))
    assert names(queue.take(1, 100 * KB)) == ["a"]
    assert names(queue.take(10, 3 * KB)) == ["b", "c"]
    assert names(queue.take(10, 10 * KB)) == ["d"]
    assert (len(queue), queue.bytes) == (2, 2 * KB)
    assert names(queue.take(10, 10 * KB)) == ["e", "f"]
    assert names(queue.take(10, 10 * KB)) == []


def test_flush_points_are_reached_when_all_before_them_is_handled() -> None:
    points = FlushPoints()
    first, second = points.set(accepted=2, lost=0), points.set(accepted=3, lost=1)
    points.reach(handled=1, lost=0)
    assert not first.reached
    points.reach(handled=2, lost=0)
    assert (first.reached, first.without_loss, second.reached) == (True, True, False)
    points.reach(handled=5, lost=2)
    assert (second.reached, second.without_loss) == (True, False), "one more was lost after it was set"
    assert not points


def test_a_thread_that_waits_for_a_flush_point_is_woken_when_it_is_reached() -> None:
    points = FlushPoints()
    point = points.set(accepted=1, lost=0)
    waiting = threading.Thread(target=point.wait, args=(60,))
    waiting.start()
    points.reach(handled=1, lost=0)
    waiting.join(30)
    assert not waiting.is_alive()


def test_an_error_in_the_byte_count_does_not_outlive_an_empty_queue() -> None:
    queue = SpanQueue(100, 10 * KB)
    queue.bytes = 9 * KB  # as after an inexact count
    queue.put(entry("a"))
    queue.take(10, 100 * KB)
    assert queue.bytes == 0


def test_counts_are_exact_under_threads() -> None:
    queue = SpanQueue(10_000, 1 << 40)
    ready = threading.Barrier(8)

    def fill() -> None:
        ready.wait()
        for _ in range(5_000):
            queue.put(entry("x", 7))

    threads = [threading.Thread(target=fill) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert queue.accepted + queue.refused == 40_000
    assert len(queue) == queue.accepted
    assert 10_000 <= queue.accepted < 10_008  # each thread may pass the check once beside another
    assert queue.bytes == 7 * KB * queue.accepted
