# SPDX-License-Identifier: Apache-2.0
"""Share the work on a set of traces among processes."""

from __future__ import annotations

import argparse
import copy
import gc
import signal
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from osprofiler.cmd import garbage, sets, sources
from osprofiler.drivers import base, search
from osprofiler.drivers.errors import StoreError
from osprofiler.drivers.search import Wanted
from osprofiler.records import unreadable
from osprofiler.reports.model import Trace

if TYPE_CHECKING:
    from concurrent.futures import Future, ProcessPoolExecutor

    from osprofiler.cmd.set_work import Part, Work


class Reader(Protocol):
    """Reads batches of traces; it can be pickled."""

    def traces(self, batch: Any) -> Iterator[Trace]:
        """The matching traces of *batch*."""


class FileReader:
    """Reads batches of files, each with its folder. *whole*: with the tags of spans."""

    def __init__(self, wanted: Wanted, whole: bool) -> None:
        self._wanted = wanted
        self._whole = whole

    def traces(self, files: Iterable[tuple[Path, Path]]) -> Iterator[Trace]:
        """The matching traces in *files*."""
        for folder, file in files:
            for trace in sets.loaded(file, folder, whole=self._whole):
                if trace.spans and self._wanted.chooses(trace):
                    yield trace


class StoreReader:
    """Reads batches of traces from the store of *args*. Each process opens connections of its own."""

    def __init__(self, args: argparse.Namespace, wanted: Wanted) -> None:
        self._options = {key: value for key, value in vars(args).items() if key not in ("func", "loaded")}
        self._wanted = wanted
        self._driver: base.Driver | None = None

    def traces(self, base_ids: Iterable[str]) -> Iterator[Trace]:
        """The matching ones of the traces *base_ids*."""
        if self._driver is None:
            self._driver = sources.driver(argparse.Namespace(**self._options))
        return search.matching(self._driver, base_ids, self._wanted)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_driver": None}


class _Done(NamedTuple):
    """What a process made of one batch."""

    traces: int
    part: Any  # packed
    unreadable: list[str]  # lines about what could not be read
    fault: str | None  # why the store failed; the part is of the traces before


#: Batches that are under way in each process, and parts that may wait for an earlier one, for each process.
_UNDER_WAY, _WAITING = 2, 8


def parts(processes: int, reader: Reader, work: Work[Part], batches: Iterable[Any]) -> Iterator[tuple[int, Part]]:
    """The parts of *batches*, in their order, each with its number of traces.

    *processes*: two or more, this one included. It reads too when the others have enough to do: so it need not wait
    until they have started. Raises StoreError if the store fails, and ReaderDied.
    """
    import multiprocessing  # these two take longer to load than most commands run
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    # A fork would copy the thread that shows the progress.
    context = multiprocessing.get_context("spawn")
    others = processes - 1
    waiting = iter(batches)
    with ProcessPoolExecutor(others, context, _prepare, (reader,)) as pool:
        running: deque[Future[_Done]] = deque()
        try:
            while True:
                free = _UNDER_WAY * others - sum(not each.done() for each in running)
                running.extend(_submitted(pool, work, batch) for batch in islice(waiting, free))
                if not running:
                    return
                if not running[0].done() and len(running) < _WAITING * processes:
                    own = [_done(reader, copy.deepcopy(work), batch) for batch in islice(waiting, 1)]
                    running.extend(map(_finished, own))
                    if own:
                        continue
                done = running.popleft().result()
                unreadable.pass_on(done.unreadable)
                yield done.traces, work.unpacked(done.part)
                if done.fault is not None:
                    raise StoreError(done.fault)
        except BrokenProcessPool:
            raise sets.ReaderDied("a process that read traces was killed; perhaps memory ran out") from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _finished(done: _Done) -> Future[_Done]:
    """A future of what this process made. What it could not read has been reported."""
    from concurrent.futures import Future

    future: Future[_Done] = Future()
    future.set_result(done._replace(unreadable=[]))
    return future


def _submitted(pool: ProcessPoolExecutor, work: Work[Any], batch: Any) -> Future[_Done]:
    """Submit *batch*. A process that is started for it inherits that interrupts are blocked, also while it starts."""
    if not hasattr(signal, "pthread_sigmask"):
        return pool.submit(_run, work, batch)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(_run, work, batch)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_prepared: list[Reader] = []


def _prepare(reader: Reader) -> None:
    """In another process: leave interrupts to the command, and make no searches for cycles in large traces."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
    _prepared.append(reader)


def _run(work: Work[Any], batch: Any) -> _Done:
    """In another process: the part of *batch*."""
    (reader,) = _prepared
    return _done(reader, work, batch)


def _done(reader: Reader, work: Work[Any], batch: Any) -> _Done:
    """The part of *batch*. Each call has its own copy of *work*."""
    count, fault = 0, None

    def until_fault() -> Iterator[Trace]:
        nonlocal count, fault
        try:
            for trace in reader.traces(batch):
                yield trace
                count += 1
        except StoreError as error:
            fault = str(error)

    with unreadable.collected() as ledger:
        part = work.part(until_fault())
    garbage.collect()
    return _Done(count, work.packed(part), list(ledger.lines()), fault)
