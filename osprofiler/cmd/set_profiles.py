# SPDX-License-Identifier: Apache-2.0
"""The profiles of a set of traces. The files of large folders are read by several processes."""

from __future__ import annotations

import argparse
import gc
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from osprofiler.cmd import sets, sources
from osprofiler.drivers.search import Wanted
from osprofiler.records import unreadable
from osprofiler.reports.analysis import skew, trace_profile
from osprofiler.reports.analysis.calling_context import Steps
from osprofiler.reports.analysis.trace_profile import Packed, TraceProfile

if TYPE_CHECKING:
    from concurrent.futures import Future

#: A folder with fewer bytes is read before other processes have started.
_WORTH_BYTES = 20_000_000
_FILES_AT_ONCE = 20


def read(args: argparse.Namespace, names: Sequence[str], steps: Steps, *, path: bool) -> Iterator[TraceProfile]:
    """The profiles of the set that *args* and *names* choose; *path*: with their critical paths."""
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    folders = [Path(name) for name in names]
    is_plain = not (args.limit or args.sample or sets.needs_tags(args))
    if is_plain and processes > 1 and folders and all(folder.is_dir() for folder in folders):
        files = [(folder, file) for folder in folders for file in sets.files_of(folder)]
        if sum(file.stat().st_size for _, file in files) >= _WORTH_BYTES:
            yield from _side_by_side(processes, files, sources.wanted(args), steps, path)
            return
    for trace in sets.traces(args, names):
        yield trace_profile.of(skew.correct(trace), steps, path=path)


def _side_by_side(
    processes: int, files: Sequence[tuple[Path, Path]], wanted: Wanted, steps: Steps, path: bool
) -> Iterator[TraceProfile]:
    """The profiles of *files* (each with its folder), in their order. At most two parts a process are under way."""
    import multiprocessing  # these two take longer to load than most commands run
    from concurrent.futures import ProcessPoolExecutor

    parts = (files[i : i + _FILES_AT_ONCE] for i in range(0, len(files), _FILES_AT_ONCE))
    work = partial(_profiles, wanted=wanted, path=path)
    # A fork would copy the thread that shows the progress.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, _prepare) as pool:
        running: deque[Future[tuple[Packed, list[str]]]] = deque()
        try:
            running.extend(pool.submit(work, part) for part in islice(parts, 2 * processes))
            while running:
                data, lines = running.popleft().result()
                running.extend(pool.submit(work, part) for part in islice(parts, 1))
                unreadable.pass_on(lines)
                yield from trace_profile.unpacked(data, steps)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _prepare() -> None:
    """In another process: leave interrupts to the command, and, as it does, make no searches for cycles."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()


def _profiles(files: Sequence[tuple[Path, Path]], *, wanted: Wanted, path: bool) -> tuple[Packed, list[str]]:
    """In another process: the profiles of *files*, and what could not be read."""
    steps = Steps()
    with unreadable.collected() as ledger:
        profiles = [
            trace_profile.of(skew.correct(trace), steps, path=path)
            for folder, file in files
            for trace in sets.loaded(file, folder, whole=False)
            if trace.spans and wanted.chooses(trace)
        ]
    return trace_profile.packed(profiles, steps), list(ledger.lines())
