# SPDX-License-Identifier: Apache-2.0
"""Adapters of eventlet, in processes that it has patched."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from osprofiler.testing.concurrency.model import Model
from osprofiler.testing.concurrency.threads import FutureThreads, Threads, call, drain, ignoring_its_argument

Work = Callable[[], object]


class _Green(Model):
    instrumentation: ClassVar[tuple[str, ...]] = ("eventlet",)
    patched = "eventlet"


class GreenThreads(_Green):
    title = "eventlet.spawn"

    def run(self, works: Sequence[Work]) -> None:
        self.mark()
        wait_for_all([self.start(work) for work in works])

    def start(self, work: Work) -> Any:
        import eventlet

        return eventlet.spawn(work)


def wait_for_all(threads: Sequence[Any]) -> None:
    """Wait for the end of *threads*, which have a method ``wait``."""
    for thread in threads:
        with contextlib.suppress(Exception):
            thread.wait()


class DelayedGreenThreads(GreenThreads):
    title = "eventlet.spawn_after"

    def start(self, work: Work) -> Any:
        import eventlet

        return eventlet.spawn_after(0.001, work)


class GreenPools(GreenThreads):
    title = "eventlet GreenPool.spawn"

    def run(self, works: Sequence[Work]) -> None:
        import eventlet

        self._pool = eventlet.GreenPool(10)
        super().run(works)

    def start(self, work: Work) -> Any:
        return self._pool.spawn(work)


class BareGreenlets(_Green):
    title = "eventlet.spawn_n"
    reference = "FollowsFrom"

    def run(self, works: Sequence[Work]) -> None:
        import eventlet

        self.mark()
        until_dead([eventlet.spawn_n(work) for work in works])


def until_dead(greenlets: Sequence[Any]) -> None:
    """Let other greenthreads run until *greenlets* have ended."""
    import eventlet

    while any(not greenlet.dead for greenlet in greenlets):
        eventlet.sleep(0.001)


class GreenPoolBare(_Green):
    title = "eventlet GreenPool.spawn_n"
    reference = "FollowsFrom"

    def run(self, works: Sequence[Work]) -> None:
        import eventlet

        pool = eventlet.GreenPool(10)
        self.mark()
        for work in works:
            pool.spawn_n(work)
        pool.waitall()


class GreenPoolMap(_Green):
    title = "eventlet GreenPool.imap"

    def run(self, works: Sequence[Work]) -> None:
        import eventlet

        self.mark()
        drain(eventlet.GreenPool(10).imap(call, works))


class GreenPiles(_Green):
    title = "eventlet GreenPile"

    def run(self, works: Sequence[Work]) -> None:
        import eventlet

        pile = eventlet.GreenPile(10)
        self.mark()
        for work in works:
            pile.spawn(work)
        drain(iter(pile))


class GreenLinks(_Green):
    title = "eventlet GreenThread.link"
    reference = "FollowsFrom"

    def run(self, works: Sequence[Work]) -> None:
        import eventlet

        self.mark()
        threads = [eventlet.spawn(eventlet.sleep, 0) for _ in works]
        for thread, work in zip(threads, works, strict=True):
            thread.link(ignoring_its_argument(work))
        until_dead(threads)


class NativePool(_Green):
    title = "eventlet.tpool"

    def run(self, works: Sequence[Work]) -> None:
        from eventlet import tpool

        self.mark()
        for work in works:
            with contextlib.suppress(Exception):
                tpool.execute(work)


class PatchedThreads(Threads):
    title = "threading.Thread, monkey-patched"
    instrumentation: ClassVar[tuple[str, ...]] = ("threading", "eventlet")
    patched = "eventlet"


class PatchedFutures(FutureThreads):
    title = "concurrent.futures, monkey-patched"
    instrumentation: ClassVar[tuple[str, ...]] = ("futures", "threading", "eventlet")
    patched = "eventlet"
