# SPDX-License-Identifier: Apache-2.0
"""Adapters of gevent, in processes that it has patched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from osprofiler.testing.concurrency.model import Model
from osprofiler.testing.concurrency.threads import FutureThreads, Pool, Threads, Timers, call, drain

Work = Callable[[], object]


class _Gevent(Model):
    instrumentation: ClassVar[tuple[str, ...]] = ("gevent",)
    patched = "gevent"


class Greenlets(_Gevent):
    title = "gevent.spawn"

    def run(self, works: Sequence[Work]) -> None:
        import gevent

        self.mark()
        gevent.joinall([self.start(work) for work in works])

    def start(self, work: Work) -> Any:
        import gevent

        return gevent.spawn(work)


class DelayedGreenlets(Greenlets):
    title = "gevent.spawn_later"

    def start(self, work: Work) -> Any:
        import gevent

        return gevent.spawn_later(0.001, work)


class GreenletSubclass(Greenlets):
    title = "gevent.Greenlet, subclass"

    def start(self, work: Work) -> Any:
        import gevent

        class Working(gevent.Greenlet):
            def _run(self) -> None:
                work()

        greenlet = Working()
        greenlet.start()
        return greenlet


class GreenletPool(Greenlets):
    title = "gevent Pool.spawn"

    def run(self, works: Sequence[Work]) -> None:
        from gevent.pool import Pool

        self._pool = Pool(3)
        super().run(works)

    def start(self, work: Work) -> Any:
        return self._pool.spawn(work)


class GreenletApply(GreenletPool):
    title = "gevent Pool.apply_async"

    def start(self, work: Work) -> Any:
        return self._pool.apply_async(work)


class GreenletMap(_Gevent):
    title = "gevent Pool.imap"

    def run(self, works: Sequence[Work]) -> None:
        from gevent.pool import Pool

        self.mark()
        drain(Pool(3).imap(call, works))


class RawGreenlets(_Gevent):
    title = "gevent.spawn_raw"
    reference = "FollowsFrom"

    def run(self, works: Sequence[Work]) -> None:
        import gevent

        self.mark()
        greenlets = [gevent.spawn_raw(work) for work in works]
        while any(not greenlet.dead for greenlet in greenlets):
            gevent.sleep(0.001)


class GreenletLinks(_Gevent):
    title = "gevent Greenlet.link"
    reference = "FollowsFrom"

    def run(self, works: Sequence[Work]) -> None:
        import gevent
        from gevent.event import Event

        self.mark()
        ends = [Event() for _ in works]
        for work, end in zip(works, ends, strict=True):
            gevent.spawn(gevent.sleep, 0).link(_signalling(work, end))
        gevent.wait(ends)


def _signalling(work: Work, end: Any) -> Callable[[object], None]:
    def callback(_: object) -> None:
        try:
            work()
        finally:
            end.set()

    return callback


class GeventThreads(_Gevent):
    title = "gevent ThreadPool.spawn"

    def run(self, works: Sequence[Work]) -> None:
        import gevent

        pool = gevent.get_hub().threadpool
        self.mark()
        gevent.wait([pool.spawn(work) for work in works])


class GeventExecutor(Pool, _Gevent):
    title = "gevent ThreadPoolExecutor"

    def make(self) -> Any:
        from gevent.threadpool import ThreadPoolExecutor

        return ThreadPoolExecutor(4)

    def run(self, works: Sequence[Work]) -> None:
        import gevent

        self.mark()
        gevent.wait([self.pool.submit(work) for work in works])

    def run_inside(self, works: Sequence[Work]) -> None:
        """Make another pool: a pool takes work only from the thread that has made it."""
        inner = type(self)()
        try:
            inner.run(works)
        finally:
            inner.close()


class GeventPatchedThreads(Threads):
    title = "threading.Thread, patched by gevent"
    instrumentation: ClassVar[tuple[str, ...]] = ("threading",)
    patched = "gevent"


class GeventPatchedTimers(Timers):
    title = "threading.Timer, patched by gevent"
    instrumentation: ClassVar[tuple[str, ...]] = ("threading",)
    patched = "gevent"


class GeventPatchedFutures(FutureThreads):
    title = "concurrent.futures, patched by gevent"
    instrumentation: ClassVar[tuple[str, ...]] = ("futures",)
    patched = "gevent"
