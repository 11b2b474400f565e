# SPDX-License-Identifier: Apache-2.0
"""Adapters of the standard library's execution models for the conformance kit.

Those of libraries are in ``concurrency_libraries``.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from osprofiler.opentracing_compat import instrumentation
from osprofiler.testing.concurrency import Model
from osprofiler.testing.concurrency_spans import record

Work = Callable[[], object]


def call(work: Work) -> object:
    """Call *work*: for models that map a function over items."""
    return work()


# Threads


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
    """An executor that is kept between runs, so that its workers are reused."""

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
        with concurrent.futures.ThreadPoolExecutor(4) as pool:  # at its end the workers are done with the callbacks
            gate = threading.Event()
            for work in works:
                pool.submit(gate.wait).add_done_callback(_ignoring_its_argument(work))
            gate.set()


def _ignoring_its_argument(work: Work) -> Callable[[object], object]:
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


# Processes


class Processes(Model):
    title = "multiprocessing.Process, fork"
    instrumentation: ClassVar[tuple[str, ...]] = ("multiprocessing",)
    method: ClassVar[str] = "fork"

    def run(self, works: Sequence[Work]) -> None:
        context: Any = multiprocessing.get_context(self.method)
        processes = [context.Process(target=work) for work in works]
        self.mark()
        for process in processes:
            process.start()
        for process in processes:
            process.join()


class SpawnedProcesses(Processes):
    title = "multiprocessing.Process, spawn"
    method = "spawn"
    works = 3

    def run_inside(self, works: Sequence[Work]) -> None:
        instrumentation.instrument(*self.instrumentation)
        self.run(works)


class ProcessPool(Pool):
    title = "concurrent.futures, processes, fork"
    instrumentation: ClassVar[tuple[str, ...]] = ("futures",)
    method: ClassVar[str] = "fork"

    def make(self) -> Any:
        context: Any = multiprocessing.get_context(self.method)
        return concurrent.futures.ProcessPoolExecutor(2, context, initializer=record)

    def run_inside(self, works: Sequence[Work]) -> None:
        instrumentation.instrument(*self.instrumentation)
        with contextlib.closing(type(self)()) as model:
            model.run(works)


class SpawnedProcessPool(ProcessPool):
    title = "concurrent.futures, processes, spawn"
    method = "spawn"


class ProcessPoolMap(ProcessPool):
    title = "concurrent.futures, processes, map"

    def run(self, works: Sequence[Work]) -> None:
        self.mark()
        results = self.pool.map(call, works)
        concurrent.futures.wait([self.pool.submit(bool) for _ in range(4)])
        drain(results)


class MultiprocessingPool(ProcessPool):
    title = "multiprocessing.Pool.apply_async"
    instrumentation: ClassVar[tuple[str, ...]] = ("multiprocessing",)

    def make(self) -> Any:
        return multiprocessing.get_context(self.method).Pool(2)

    def run(self, works: Sequence[Work]) -> None:
        self.mark()
        for result in [self.pool.apply_async(work) for work in works]:
            result.wait()

    def run_inside(self, works: Sequence[Work]) -> None:
        """Its processes may not have children of their own."""
        instrumentation.instrument("threading")
        Threads().run(works)

    def close(self) -> None:
        if self._made is not None:
            self._made.close()
            self._made.join()
            self._made = None


class MultiprocessingMap(MultiprocessingPool):
    title = "multiprocessing.Pool.map"

    def run(self, works: Sequence[Work]) -> None:
        self.mark()
        self.pool.map_async(call, works, chunksize=1).wait()


class BareFork(Model):
    title = "os.fork"
    follows = "inherited"
    takes_callables = False

    def run(self, works: Sequence[Work]) -> None:
        self.mark()
        for work in works:
            pid = os.fork()
            if not pid:
                try:
                    work()
                finally:
                    os._exit(0)
            os.waitpid(pid, 0)


#: What a subprocess runs: pickled work that it reads, in the trace that its environment has.
PROGRAM = """
import os, pickle, sys
from osprofiler.opentracing_compat.concurrency import carrier
from osprofiler.testing.concurrency_spans import record
work = pickle.load(sys.stdin.buffer)
record()
with carrier.entered(os.environ):
    work()
"""


class Subprocesses(Model):
    title = "subprocess.Popen"
    instrumentation: ClassVar[tuple[str, ...]] = ("subprocess",)
    takes_callables = False
    works = 3

    def run(self, works: Sequence[Work]) -> None:
        self.mark()
        running = [subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE) for _ in works]
        for process, work in zip(running, works, strict=True):
            process.communicate(pickle.dumps(work))

    def run_inside(self, works: Sequence[Work]) -> None:
        instrumentation.instrument(*self.instrumentation)
        self.run(works)


# asyncio


async def step(work: Work) -> object:
    """Run *work* in a task, once the task has been switched to a second time."""
    await asyncio.sleep(0)
    return work()


class Tasks(Model):
    title = "asyncio.create_task"
    instrumentation: ClassVar[tuple[str, ...]] = ("asyncio",)

    def __init__(self) -> None:
        self._inside: list[asyncio.Task[Any]] = []

    def run(self, works: Sequence[Work]) -> None:
        asyncio.run(self._main(works))

    async def _main(self, works: Sequence[Work]) -> None:
        self.mark()
        await self.hand_over(works)
        while self._inside:
            await asyncio.wait([self._inside.pop()])

    async def hand_over(self, works: Sequence[Work]) -> None:
        """Run *works* in the running loop."""
        await asyncio.wait([asyncio.create_task(step(work)) for work in works])

    def run_inside(self, works: Sequence[Work]) -> None:
        """A task cannot wait for another without leaving the work, so the run does it at its end."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            type(self)().run(works)
        else:
            self._inside += [loop.create_task(step(work)) for work in works]


class Gathered(Tasks):
    title = "asyncio.gather"

    async def hand_over(self, works: Sequence[Work]) -> None:
        await asyncio.gather(*(step(work) for work in works), return_exceptions=True)


class TaskGroups(Tasks):
    title = "asyncio.TaskGroup"

    async def hand_over(self, works: Sequence[Work]) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined,unused-ignore]
                for work in works:
                    group.create_task(step(work))


class LoopExecutor(Tasks):
    title = "asyncio, run_in_executor"

    async def hand_over(self, works: Sequence[Work]) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(None, work) for work in works), return_exceptions=True)


class ToThread(Tasks):
    title = "asyncio.to_thread"
    # The coroutine itself is awaited, so it is no task; its context comes along without any instrumentation.

    async def hand_over(self, works: Sequence[Work]) -> None:
        for work in works:
            with contextlib.suppress(Exception):
                await asyncio.to_thread(work)


class LoopCallbacks(Tasks):
    title = "asyncio, call_soon and call_later"
    reference = "FollowsFrom"

    async def hand_over(self, works: Sequence[Work]) -> None:
        loop = asyncio.get_running_loop()
        ends = [loop.create_future() for _ in works]
        for number, (work, end) in enumerate(zip(works, ends, strict=True)):
            if number % 2:
                loop.call_later(0.001, _signalling(work, end))
            else:
                loop.call_soon(_signalling(work, end))
        await asyncio.wait(ends)

    def run_inside(self, works: Sequence[Work]) -> None:
        loop = asyncio.get_running_loop()
        for work in works:
            loop.call_soon(work)
            self._inside.append(loop.create_task(asyncio.sleep(0.001)))


def _signalling(work: Work, end: asyncio.Future[Any]) -> Callable[..., None]:
    def callback(*_: object) -> None:
        try:
            work()
        finally:
            end.set_result(None)

    return callback


class TaskCallbacks(LoopCallbacks):
    title = "asyncio, done-callback"

    async def hand_over(self, works: Sequence[Work]) -> None:
        loop = asyncio.get_running_loop()
        ends = [loop.create_future() for _ in works]
        for work, end in zip(works, ends, strict=True):
            settled = loop.create_future()
            settled.add_done_callback(_signalling(work, end))
            settled.set_result(None)
        await asyncio.wait(ends)


MODELS: tuple[type[Model], ...] = (
    Threads,
    Timers,
    FutureThreads,
    FutureMap,
    DoneCallbacks,
    ProcessPool,
    SpawnedProcessPool,
    ProcessPoolMap,
    Processes,
    SpawnedProcesses,
    MultiprocessingPool,
    MultiprocessingMap,
    BareFork,
    Subprocesses,
    Tasks,
    Gathered,
    *((TaskGroups,) if hasattr(asyncio, "TaskGroup") else ()),
    LoopExecutor,
    ToThread,
    LoopCallbacks,
    TaskCallbacks,
)
