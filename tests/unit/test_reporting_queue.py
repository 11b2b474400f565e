# SPDX-License-Identifier: Apache-2.0
"""The buffer: order, both bounds, marks, and counts that stay right under threads."""

import threading

from osprofiler.opentracing_compat.reporting.queue import Entry, Mark, SpanQueue


def entry(name: str, size: int = 10) -> Entry:
    return ("record", {"name": name}, size)


def names(entries: list[Entry]) -> list[str]:
    return [item["name"] for _, item, _ in entries]  # type: ignore[index]


def test_what_does_not_fit_by_number_is_refused_and_counted() -> None:
    queue = SpanQueue(2, 1000)
    assert [queue.put(entry(name)) for name in "abc"] == [True, True, False]
    assert (queue.accepted, queue.refused) == (2, 1)
    assert names(queue.take(10, 1000)[0]) == ["a", "b"]
    assert queue.put(entry("d"))


def test_what_does_not_fit_by_bytes_is_refused_until_some_are_taken() -> None:
    queue = SpanQueue(100, 100)
    accepted = [queue.put(entry(str(number), 40)) for number in range(5)]
    assert accepted == [True, True, True, False, False]  # the third is let in at 80 bytes: the bound is passed by one
    queue.take(1, 1000)
    assert queue.bytes == 80
    assert queue.put(entry("again", 40))


def test_batches_are_bounded_by_number_and_bytes_but_hold_one_at_least() -> None:
    queue = SpanQueue(100, 10_000)
    for name, size in (("a", 10), ("b", 10), ("c", 5000), ("d", 10)):
        queue.put(entry(name, size))
    assert names(queue.take(1, 100)[0]) == ["a"]
    assert names(queue.take(10, 1)[0]) == ["b"]
    assert names(queue.take(10, 100)[0]) == ["c"]


def test_a_mark_is_met_after_all_before_it_and_before_all_after_it() -> None:
    queue = SpanQueue(100, 10_000)
    mark = Mark(0)
    queue.put(entry("before"))
    queue.put_mark(mark)
    queue.put(entry("after"))
    assert names(queue.take(10, 1000)[0]) == ["before"]
    assert queue.take(10, 1000) == ([], mark)
    assert names(queue.take(10, 1000)[0]) == ["after"]


def test_a_mark_enters_a_full_queue() -> None:
    queue = SpanQueue(1, 10)
    queue.put(entry("only"))
    queue.put_mark(Mark(0))
    assert len(queue) == 2


def test_an_error_in_the_byte_count_does_not_outlive_an_empty_queue() -> None:
    queue = SpanQueue(100, 100)
    queue.bytes = 90  # as after an inexact count
    queue.put(entry("a", 10))
    queue.take(10, 1000)
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
    assert queue.bytes == 7 * queue.accepted
