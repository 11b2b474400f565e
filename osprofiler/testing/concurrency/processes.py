# SPDX-License-Identifier: Apache-2.0
"""Adapters of the standard library's processes."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from osprofiler.instrumentation import registry
from osprofiler.testing.concurrency.model import Model
from osprofiler.testing.concurrency.spans import record
from osprofiler.testing.concurrency.threads import Pool, Threads, call, drain

Work = Callable[[], object]


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
        registry.instrument(*self.instrumentation)
        self.run(works)


class ProcessPool(Pool):
    title = "concurrent.futures, processes, fork"
    instrumentation: ClassVar[tuple[str, ...]] = ("futures",)
    method: ClassVar[str] = "fork"

    def make(self) -> Any:
        context: Any = multiprocessing.get_context(self.method)
        return concurrent.futures.ProcessPoolExecutor(2, context, initializer=record)

    def run_inside(self, works: Sequence[Work]) -> None:
        registry.instrument(*self.instrumentation)
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
        """Run *works* in threads: a process of this pool may not have children."""
        registry.instrument("threading")
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


#: The program of a subprocess: it reads pickled work, and runs it in the trace of its environment.
PROGRAM = """
import os, pickle, sys
from osprofiler.concurrency import carrier
from osprofiler.testing.concurrency.spans import record
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
        registry.instrument(*self.instrumentation)
        self.run(works)
