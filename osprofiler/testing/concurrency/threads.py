# SPDX-License-Identifier: Apache-2.0
"""Adapters of the standard library's threads, and the functions that adapters share."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from osprofiler.testing.concurrency.model import Model

Work = Callable[[], object]


def call(work: Work) -> object:
    """Call *work*: for models that map a function over items."""
    return work()


class Threads(Model):
    title = "threading.Thread"
    instrumentation: ClassVar[tuple[str, ...]] = ("threading",)

    def run(self, works: Sequence[Work]) -> None:
        threads = [threading.Thread(target=work) for work in works]
        self.mark()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


class Timers(Threads):
    title = "threading.Timer"
    reference = "FollowsFrom"

    def run(self, works: Sequence[Work]) -> None:
        timers = [threading.Timer(0.001, work) for work in works]
        self.mark()
        for timer in timers:
            timer.start()
        for timer in timers:
            timer.join()


class Pool(Model):
    """An executor that stays between runs, so that its workers are reused."""

    _made: Any = None

    def make(self) -> Any:
        raise NotImplementedError

    @property
    def pool(self) -> Any:
        if self._made is None:
            self._made = self.make()
        return self._made

    def run(self, works: Sequence[Work]) -> None:
        self.mark()
        concurrent.futures.wait([self.pool.submit(work) for work in works])

    def close(self) -> None:
        if self._made is not None:
            self._made.shutdown()
            self._made = None


class FutureThreads(Pool):
    title = "concurrent.futures, threads"
    instrumentation: ClassVar[tuple[str, ...]] = ("futures",)

    def make(self) -> Any:
        return concurrent.futures.ThreadPoolExecutor(4)


class DoneCallbacks(FutureThreads):
    title = "concurrent.futures, done-callback"
    reference = "FollowsFrom"

    def run(self, works: Sequence[Work]) -> None:
        self.mark()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:  # its end waits for the callbacks
            gate = threading.Event()
            for work in works:
                pool.submit(gate.wait).add_done_callback(ignoring_its_argument(work))
            gate.set()


def ignoring_its_argument(work: Work) -> Callable[[object], object]:
    """*work* as a callback with one argument."""

    def callback(_: object) -> object:
        return work()

    return callback


class FutureMap(FutureThreads):
    title = "concurrent.futures, map"

    def run(self, works: Sequence[Work]) -> None:
        self.mark()
        results = self.pool.map(call, works)
        concurrent.futures.wait([self.pool.submit(bool) for _ in range(4)])
        drain(results)


def drain(results: Any) -> None:
    """Take everything from an iterator whose items may be exceptions."""
    while True:
        try:
            next(results)
        except StopIteration:
            return
        except Exception:
            continue
