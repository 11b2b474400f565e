# SPDX-License-Identifier: Apache-2.0
"""Run the processes of a feed, and collect what they have done."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from queue import Empty
from threading import BrokenBarrierError
from typing import NamedTuple

from tools.scale import feed
from tools.scale.feed import Result
from tools.scale.shape import Feed

_POLL_S = 1.0
_START_S = 120.0


class Failed(Exception):
    """A process of the feed has ended, or has lost spans; the text says which."""


def feeds(*, spans: int, spans_a_trace: int, processes: int, seed: int, start_us: int, end_us: int) -> list[Feed]:
    """Return what each process begins: *spans* together, or up to a trace more, each about as many."""
    traces = -(-spans // spans_a_trace)
    return [
        Feed(seed, process, len(range(process, traces, processes)), spans_a_trace, start_us, end_us)
        for process in range(processes)
    ]


class Fed(NamedTuple):
    """What the processes have done."""

    results: list[Result]  # by process
    began: float  # when all began, as time.monotonic() says it
    seconds: float  # from then until each span was delivered


def run(
    feeds: list[Feed], stores: Sequence[str], look: Callable[[], None] = lambda: None, flush_s: float = 600.0
) -> Fed:
    """Make the traces of *feeds*, each in a process of its own that sends to its one of *stores*.

    *look* is called about once a second meanwhile. At the end each process waits *flush_s* seconds at most until its
    spans are delivered. Raises Failed.
    """
    context = multiprocessing.get_context("spawn")
    count = len(feeds)
    inboxes = [context.Queue() for _ in feeds]
    start, results = context.Barrier(count + 1), context.Queue()
    processes = [
        context.Process(
            target=feed.run,
            args=(
                feeds,
                process,
                stores[process],
                feed.Ways(inboxes[process], inboxes[(process + 1) % count], start, results),
                flush_s,
            ),
            daemon=True,
        )
        for process in range(count)
    ]
    try:
        for process in processes:
            process.start()
        try:
            start.wait(_START_S)
        except BrokenBarrierError:
            _check(processes, {})
            raise Failed(f"the feeding processes did not start in {_START_S:.0f} s") from None
        began = time.monotonic()
        done: dict[int, Result] = {}
        while len(done) < count:
            try:
                result = results.get(timeout=_POLL_S)
                done[result.process] = result
            except Empty:
                _check(processes, done)
            look()
        seconds = time.monotonic() - began
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()
    return Fed([whole(done[process]) for process in range(count)], began, seconds)


def _check(processes: Sequence[multiprocessing.process.BaseProcess], done: dict[int, Result]) -> None:
    for number, process in enumerate(processes):
        if process.exitcode is not None and number not in done:
            raise Failed(f"feeding process {number + 1} ended with status {process.exitcode}")


def whole(result: Result) -> Result:
    """Return *result*. Raises Failed if its process has not delivered each of its spans."""
    lost = {key: count for key, count in result.counters.items() if key.startswith(("dropped", "fault")) and count}
    waiting = result.counters.get("waiting", 0)
    if lost or waiting or not result.flushed:
        raise Failed(f"feeding process {result.process + 1} did not deliver all its spans: {lost or waiting}")
    return result
