# SPDX-License-Identifier: Apache-2.0
"""The work of a command on a set of traces, which several processes share if the set is large.

This process lists the files of folders, or the ids of a store's traces. It deals them out in small batches, and takes
the parts of the result in the same order. So the result is the same as that of one process, and memory is bounded.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from osprofiler._runtime.batched import batched, batched_by_size
from osprofiler.cmd import set_processes, sets, sources
from osprofiler.connection import secrets
from osprofiler.drivers import base, search
from osprofiler.reports.analysis import skew, trace_profile
from osprofiler.reports.analysis.calling_context import Steps
from osprofiler.reports.analysis.trace_profile import Packed, TraceProfile
from osprofiler.reports.model import Trace

Part = TypeVar("Part")

#: A folder with fewer bytes, or a store with fewer traces, is read before other processes have started.
_WORTH_BYTES = 50_000_000
_WORTH_TRACES = 500
_FILES_AT_ONCE = 20
_BYTES_AT_ONCE = 5_000_000
_TRACES_AT_ONCE = search.FIRST_BATCH  # so that a process reads them in one request


class Work(Generic[Part]):
    """What a command makes of traces. Other processes get the object by pickle, and give back the parts."""

    def part(self, traces: Iterable[Trace]) -> Part:
        """The part of the result that is of *traces*. Their clocks are not corrected yet."""
        raise NotImplementedError

    def packed(self, part: Part) -> Any:
        """*part* in a form that can be pickled."""
        return part

    def unpacked(self, data: Any) -> Part:
        """The part in *data*, which :meth:`packed` made in another process."""
        return data  # type: ignore[no-any-return]


class Profiles(Work[list[TraceProfile]]):
    """The profile of each trace, with the steps of *steps*; *path*: with its critical path."""

    def __init__(self, steps: Steps, *, path: bool) -> None:
        self._steps = steps
        self._path = path

    def part(self, traces: Iterable[Trace]) -> list[TraceProfile]:
        return [trace_profile.of(skew.correct(trace), self._steps, path=self._path) for trace in traces]

    def packed(self, part: list[TraceProfile]) -> Packed:
        return trace_profile.packed(part, self._steps)

    def unpacked(self, data: Packed) -> list[TraceProfile]:
        return list(trace_profile.unpacked(data, self._steps))

    def __reduce__(self) -> tuple[Any, ...]:
        return _anew, (self._path,)


def _anew(path: bool) -> Profiles:
    return Profiles(Steps(), path=path)


def parts(args: argparse.Namespace, names: Sequence[str], work: Work[Part]) -> Iterator[tuple[int, Part]]:
    """The parts of the set that *args* and *names* choose, in order, each with its number of traces.

    Raises CommandError if there are no traces that match.
    """
    if not names:
        yield from _of_store(args, work)
        return
    processes = _processors()
    folders = [Path(name) for name in names]
    if processes > 1 and not (args.limit or args.sample) and all(folder.is_dir() for folder in folders):
        files = [(folder, file) for folder in folders for file in sets.files_of(folder)]
        sizes = [file.stat().st_size for _, file in files]
        if sum(sizes) >= _WORTH_BYTES:
            reader = set_processes.FileReader(sources.wanted(args), sets.needs_tags(args))
            batches = batched_by_size(zip(files, sizes, strict=True), _FILES_AT_ONCE, _BYTES_AT_ONCE)
            made = set_processes.parts(processes, reader, work, batches)
            yield from sets.some(made, args, ", ".join(names))
            return
    yield from ((1, work.part([trace])) for trace in sets.named(args, names))


def _of_store(args: argparse.Namespace, work: Work[Part]) -> Iterator[tuple[int, Part]]:
    driver = sources.driver(args)
    yield from sets.some(_read(args, driver, work), args, secrets.masked(driver.connection_str))
    sources.name_default(args, driver)


def _read(args: argparse.Namespace, driver: base.Driver, work: Work[Part]) -> Iterator[tuple[int, Part]]:
    wanted = sources.wanted(args)
    # If traces must be read to know which ones match, only this process can count them.
    is_exact = not search.must_read(driver, wanted)
    if args.limit and args.sample and not is_exact:
        sampled = sets.sampled(search.traces(driver, wanted), args.sample)
        yield from ((1, work.part([trace])) for trace in sampled)
        return
    base_ids = search.base_ids(driver, wanted, random.Random(0) if args.sample else None)
    if is_exact and args.sample:
        base_ids = itertools.islice(base_ids, args.sample)
    processes = _processors() if is_exact or not (args.limit or args.sample) else 1
    first: list[str] = []
    if processes > 1 and {base.Can.READ_RECORDS, base.Can.READ_SHARED} <= driver.can:
        first = list(itertools.islice(base_ids, _WORTH_TRACES))
    base_ids = itertools.chain(first, base_ids)
    if len(first) == _WORTH_TRACES:
        reader = set_processes.StoreReader(args, wanted)
        yield from set_processes.parts(processes, reader, work, batched(base_ids, _TRACES_AT_ONCE))
        return
    matching = itertools.islice(search.matching(driver, base_ids, wanted, args.sample), args.sample)
    yield from ((1, work.part([trace])) for trace in matching)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
