# SPDX-License-Identifier: Apache-2.0
"""Sets of traces, as the arguments of a command choose them: ids, files, folders, or a search in a store.

Traces are read one after the other, and only what a command keeps of each stays in memory. A file or trace that cannot
be read is left out and named. If the reading is interrupted, or the store fails on the way, the command shows what it
has.
"""

from __future__ import annotations

import argparse
import heapq
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from osprofiler import exc
from osprofiler.cmd import argument_types, cliutils, garbage, sources
from osprofiler.cmd.progress import Progress
from osprofiler.drivers import search
from osprofiler.drivers.errors import StoreError
from osprofiler.records import unreadable
from osprofiler.reports import wording
from osprofiler.reports.model import Trace

T = TypeVar("T")

#: Cycles of objects are removed each time when so many traces have been read.
_COLLECTED = 100

#: Help of an argument that names a set; :func:`traces` reads it.
SET_HELP = (
    "ids of traces, files with traces (--json, --jaeger-json, `osprofiler trace export`, Jaeger's UI), or folders of "
    "such files; without any: the traces of the store that the options choose"
)

#: The arguments that choose a set: those of a store, a search, and a sample.
options = cliutils.arguments(
    sources.store,
    sources.filters,
    cliutils.arg(
        "--sample",
        type=argument_types.count,
        metavar="N",
        help="only N of these traces, chosen at random; the same ones in each run",
    ),
)

LINK = cliutils.arg(
    "--link",
    metavar="URL",
    help="HTML: the address of a trace's page, with {id} for its id, for instance http://jaeger:16686/trace/{id}; "
    "default: the page names the command that shows the trace",
)


def link(args: argparse.Namespace) -> str:
    """The address of :data:`LINK`; "" without one. Raises BadInput."""
    if not args.link:
        return ""
    if not args.link.startswith(("http://", "https://")) or "{id}" not in args.link:
        raise sources.BadInput(f"--link is an address like http://jaeger:16686/trace/{{id}}, not {args.link}")
    return str(args.link)


def single(args: argparse.Namespace, names: Sequence[str]) -> Trace | None:
    """The trace that *names* name, if it is one trace and no option chooses among several; else None."""
    if len(names) != 1 or args.sample or sources.wanted(args) != search.Wanted():
        return None
    (name,) = names
    if not sources.is_file(name) or "#" in name:
        return sources.trace(args, name)
    if Path(name).is_dir():
        return None
    loaded = sources.loaded(Path(name))
    # Standard input can be read only once.
    vars(args).setdefault("loaded", {})[name] = loaded
    return loaded[0] if len(loaded) == 1 and loaded[0].spans else None


def named(args: argparse.Namespace, names: Sequence[str]) -> Iterator[Trace]:
    """The traces that *names* name and *args* choose, one after the other. Raises CommandError if there are none."""
    wanted = sources.wanted(args)
    chosen: Iterable[Trace] = (trace for trace in _named(args, names) if trace.spans and wanted.chooses(trace))
    if wanted.limit:
        chosen = heapq.nlargest(wanted.limit, chosen, key=lambda trace: trace.start_us)
    if args.sample:
        chosen = sampled(chosen, args.sample)
    yield from (trace for _, trace in some(each(chosen), args, ", ".join(map(sources.shown, names))))


def some(items: Iterable[tuple[int, T]], args: argparse.Namespace, where: str) -> Iterator[tuple[int, T]]:
    """*items*, each with its number of traces. Raises CommandError if there are none: *where* has no such traces."""
    empty = True
    for count, item in items:
        empty = empty and not count
        yield count, item
    if empty:
        raise exc.CommandError(sources.empty(args, where))


def _named(args: argparse.Namespace, names: Sequence[str]) -> Iterator[Trace]:
    for name in names:
        if not sources.is_file(name) or "#" in name:
            yield sources.trace(args, name)
        elif Path(name).is_dir():
            for file in files_of(Path(name)):
                yield from loaded(file, Path(name), whole=needs_tags(args))
        else:
            yield from getattr(args, "loaded", {}).pop(name, None) or sources.loaded(Path(name), whole=needs_tags(args))


def needs_tags(args: argparse.Namespace) -> bool:
    """Whether the tags of spans must be read."""
    of_command = (getattr(args, name, None) for name in ("group_by", "parquet"))
    return bool(args.tags or args.http_status or any(of_command))


def files_of(folder: Path) -> list[Path]:
    """The files with traces in *folder* and in the folders in it, by name. Raises BadInput if there are none."""
    files = [file for file in sorted(folder.rglob("*")) if file.suffix in sources.SUFFIXES and file.is_file()]
    if not files:
        raise sources.BadInput(f"{folder} holds no files that end in {', '.join(sources.SUFFIXES)}")
    return files


def loaded(file: Path, folder: Path, whole: bool) -> list[Trace]:
    """The traces in *file* of *folder*; none if the file cannot be read, which is reported."""
    try:
        return sources.loaded(file, quiet=True, whole=whole)
    except sources.BadInput as fault:
        unreadable.skip(str(folder), str(file.relative_to(folder)), fault)
        return []


def sampled(items: Iterable[T], count: int) -> list[T]:
    """*count* of *items*, each equally likely. Keeps no more of them in memory."""
    chance = random.Random(0)
    kept: list[T] = []
    for i, item in enumerate(items):
        if i < count:
            kept.append(item)
        elif (place := chance.randrange(i + 1)) < count:
            kept[place] = item
    return kept


def each(items: Iterable[T]) -> Iterator[tuple[int, T]]:
    """*items*, each as the part of one trace."""
    return ((1, item) for item in items)


class ReaderDied(exc.CommandError):
    """A process that read traces for this one has died."""


def gather(items: Iterable[tuple[int, T]], take: Callable[[T], object], activity: str = "reading traces") -> int:
    """Give each of *items*, parts of a set with their numbers of traces, to *take*.

    Returns the exit status: 0, or another if the set is not whole.
    """
    total = 0
    reason, status = "", 0
    with Progress(activity) as progress:
        try:
            for count, item in items:
                take(item)
                if total // _COLLECTED != (total + count) // _COLLECTED:
                    garbage.collect()
                total += count
                progress.step(count)
        except KeyboardInterrupt:
            if not total:
                raise
            reason, status = "interrupted", 130
        except (StoreError, ReaderDied) as fault:
            if not total:
                raise
            reason, status = f"the store failed: {fault}" if isinstance(fault, StoreError) else str(fault), 1
    if reason:
        print(f"osprofiler: {reason}; this is of {wording.counted(total, 'trace')} read until then", file=sys.stderr)
    return status
