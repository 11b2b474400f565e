# SPDX-License-Identifier: Apache-2.0
"""Adapters of futurist and of OpenStack's libraries."""

from __future__ import annotations

import contextlib
import pickle
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from osprofiler.instrumentation import registry
from osprofiler.testing.concurrency.greenthreads import wait_for_all
from osprofiler.testing.concurrency.model import Model
from osprofiler.testing.concurrency.processes import PROGRAM, ProcessPool
from osprofiler.testing.concurrency.threads import Pool

Work = Callable[[], object]


class FuturistThreads(Pool):
    title = "futurist, threads"
    instrumentation: ClassVar[tuple[str, ...]] = ("futurist",)
    kind: ClassVar[str] = "ThreadPoolExecutor"

    def make(self) -> Any:
        import futurist

        return getattr(futurist, self.kind)(max_workers=4)

    def close(self) -> None:
        if self._made is not None:
            self._made.shutdown(wait=False)  # idle workers check for the shutdown only once a second
            self._made = None


class FuturistGreen(FuturistThreads):
    title = "futurist, greenthreads"
    instrumentation: ClassVar[tuple[str, ...]] = ("futurist", "eventlet")
    kind = "GreenThreadPoolExecutor"
    patched = "eventlet"


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
            time.sleep(0.001)  # a loop sets its result before it returns


class GreenLoopingCalls(LoopingCalls):
    title = "oslo.service looping call, eventlet"
    backend = "eventlet"
    patched = "eventlet"


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
    patched = "eventlet"


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
        registry.instrument(*self.instrumentation)
        self.run(works)


class OpenstackSdk(Pool):
    title = "openstacksdk's pool"
    instrumentation: ClassVar[tuple[str, ...]] = ("openstacksdk",)

    def make(self) -> Any:
        import openstack.connection

        self._connection = openstack.connection.Connection(auth_type="none", endpoint="http://127.0.0.1:1")
        return self._connection._pool_executor
