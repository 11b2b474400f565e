# SPDX-License-Identifier: Apache-2.0
"""Adapters of eventlet's, futurist's and OpenStack's execution models for the conformance kit."""

from __future__ import annotations

import contextlib
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from osprofiler.opentracing_compat import instrumentation
from osprofiler.testing.concurrency import Model
from osprofiler.testing.concurrency_models import PROGRAM, FutureThreads, Pool, ProcessPool, Threads, call, drain

Work = Callable[[], object]


# eventlet


class _Green(Model):
    instrumentation: ClassVar[tuple[str, ...]] = ("eventlet",)
    patched = True


class GreenThreads(_Green):
    title = "eventlet.spawn"

    def run(self, works: Sequence[Work]) -> None:
        self.mark()
        wait_for_all([self.start(work) for work in works])

    def start(self, work: Work) -> Any:
        import eventlet

        return eventlet.spawn(work)


def wait_for_all(threads: Sequence[Any]) -> None:
    """Wait for GreenThreads and their like."""
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
    """Let others run until *greenlets* have ended."""
    import eventlet

    while any(not one.dead for one in greenlets):
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
            thread.link(_ignoring_its_argument(work))
        until_dead(threads)


def _ignoring_its_argument(work: Work) -> Callable[[object], object]:
    def callback(_: object) -> object:
        return work()

    return callback


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
    patched = True


class PatchedFutures(FutureThreads):
    title = "concurrent.futures, monkey-patched"
    instrumentation: ClassVar[tuple[str, ...]] = ("futures", "threading", "eventlet")
    patched = True


# futurist


class FuturistThreads(Pool):
    title = "futurist, threads"
    instrumentation: ClassVar[tuple[str, ...]] = ("futurist",)
    kind: ClassVar[str] = "ThreadPoolExecutor"

    def make(self) -> Any:
        import futurist

        return getattr(futurist, self.kind)(max_workers=4)

    def close(self) -> None:
        if self._made is not None:
            self._made.shutdown(wait=False)  # its idle workers look up once a second
            self._made = None


class FuturistGreen(FuturistThreads):
    title = "futurist, greenthreads"
    instrumentation: ClassVar[tuple[str, ...]] = ("futurist", "eventlet")
    kind = "GreenThreadPoolExecutor"
    patched = True


class FuturistProcesses(ProcessPool):
    title = "futurist, processes"
    instrumentation: ClassVar[tuple[str, ...]] = ("futurist", "futures")

    def make(self) -> Any:
        import futurist

        return futurist.ProcessPoolExecutor(max_workers=2)


class FuturistSynchronous(FuturistThreads):
    title = "futurist, synchronous"

    def make(self) -> Any:
        import futurist

        return futurist.SynchronousExecutor()


class FuturistPeriodic(Model):
    title = "futurist, periodic worker"
    instrumentation: ClassVar[tuple[str, ...]] = ("futurist", "futures", "threading")
    follows = "never"

    def run(self, works: Sequence[Work]) -> None:
        from futurist import periodics

        def once(work: Work) -> Any:
            @periodics.periodic(0.001, run_immediately=True)
            def tick() -> None:
                with contextlib.suppress(Exception):
                    work()
                raise periodics.NeverAgain

            return tick

        self.mark()
        periodics.PeriodicWorker([(once(work), (), {}) for work in works]).start(auto_stop_when_empty=True)


# oslo


class _OsloService(Model):
    instrumentation: ClassVar[tuple[str, ...]] = ("oslo_service", "futurist", "threading", "eventlet")
    backend: ClassVar[str] = "threading"

    def __init__(self) -> None:
        from oslo_service import backend

        backend.init_backend(backend.BackendType(self.backend))


class LoopingCalls(_OsloService):
    title = "oslo.service looping call, threads"

    def run(self, works: Sequence[Work]) -> None:
        from oslo_service import loopingcall

        def once(work: Work) -> Callable[[], None]:
            def tick() -> None:
                work()
                raise loopingcall.LoopingCallDone

            return tick

        loops = [loopingcall.FixedIntervalLoopingCall(once(work)) for work in works]
        self.mark()
        wait_for_all([loop.start(interval=0.001) for loop in loops])

        while any(loop._thread is not None for loop in loops):
            time.sleep(0.001)  # they tell their result before they return


class GreenLoopingCalls(LoopingCalls):
    title = "oslo.service looping call, eventlet"
    backend = "eventlet"
    patched = True


class ThreadGroups(_OsloService):
    title = "oslo.service thread group, threads"

    def run(self, works: Sequence[Work]) -> None:
        from oslo_service import threadgroup

        group = threadgroup.ThreadGroup()
        self.mark()
        wait_for_all([group.add_thread(work) for work in works])


class GreenThreadGroups(ThreadGroups):
    title = "oslo.service thread group, eventlet"
    backend = "eventlet"
    patched = True


class ProcessUtils(Model):
    title = "oslo.concurrency processutils"
    instrumentation: ClassVar[tuple[str, ...]] = ("oslo_concurrency",)
    takes_callables = False
    through = "execute"
    works = 3

    def run(self, works: Sequence[Work]) -> None:
        from oslo_concurrency import processutils

        self.mark()
        for work in works:
            with contextlib.suppress(processutils.ProcessExecutionError):
                processutils.execute(sys.executable, "-c", PROGRAM, process_input=pickle.dumps(work), binary=True)

    def run_inside(self, works: Sequence[Work]) -> None:
        instrumentation.instrument(*self.instrumentation)
        self.run(works)


class OpenstackSdk(Pool):
    title = "openstacksdk's pool"
    instrumentation: ClassVar[tuple[str, ...]] = ("openstacksdk",)

    def make(self) -> Any:
        import openstack.connection

        self._connection = openstack.connection.Connection(auth_type="none", endpoint="http://127.0.0.1:1")
        return self._connection._pool_executor


MODELS: tuple[type[Model], ...] = (
    FuturistThreads,
    FuturistGreen,
    FuturistProcesses,
    FuturistSynchronous,
    FuturistPeriodic,
    GreenThreads,
    DelayedGreenThreads,
    BareGreenlets,
    GreenPools,
    GreenPoolBare,
    GreenPoolMap,
    GreenPiles,
    GreenLinks,
    NativePool,
    PatchedThreads,
    PatchedFutures,
    LoopingCalls,
    GreenLoopingCalls,
    ThreadGroups,
    GreenThreadGroups,
    ProcessUtils,
    OpenstackSdk,
)
