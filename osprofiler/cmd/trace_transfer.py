# SPDX-License-Identifier: Apache-2.0
"""``osprofiler trace export`` and ``osprofiler trace import``: copy traces between stores and files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from osprofiler import exc
from osprofiler._runtime.batched import batched
from osprofiler.cmd import cliutils, output, sets, sources, trace_parquet
from osprofiler.cmd.progress import Progress
from osprofiler.connection import secrets
from osprofiler.drivers import base, lookup, search, undeclared
from osprofiler.drivers.errors import StoreError
from osprofiler.reports import files, to_records, wording

_BATCH = 2000  # records in one write

Records = list[dict[str, Any]]


class TransferCommands:
    """Part of the group ``trace``."""

    @cliutils.examples(
        "osprofiler trace export --out traces.jsonl",
        "osprofiler trace export 6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11 --out trace.jsonl",
        "osprofiler trace export --since 1d --error-trace --to redis://localhost:6379",
        "osprofiler trace export --since 1d --parquet spans",
    )
    @cliutils.arg(
        "traces",
        nargs="*",
        metavar="ID",
        help="ids of traces, in any form that `show` takes, with --parquet also files or folders with traces; without "
        "any: the traces that the options choose",
    )
    @sets.options
    @cliutils.OUT
    @cliutils.arg(
        "--to",
        dest="target",
        metavar="STORE",
        help="write into the store with this connection string instead of a file",
    )
    @cliutils.arg(
        "--parquet",
        metavar="FILE|FOLDER",
        help="write a table of the spans instead, for SQL: into a file whose name ends in .parquet, or into files in a "
        "new folder",
    )
    def export(self, args: argparse.Namespace) -> int:
        """Copy traces from a store, unchanged, into a file or another store.

        The file holds one record on each line, as JSON. With --parquet it is a table with one row for each span.
        """
        sources.only_one(out=args.file_name, to=args.target, parquet=args.parquet)
        if args.parquet:
            return trace_parquet.run(args)
        if args.sample:
            raise sources.BadInput("--sample needs --parquet")
        driver = sources.driver(args)
        target = sources.driver(args, args.target) if args.target else None
        with Progress("exporting traces") as progress:
            traces = progress.over(_exported(args, driver))
            if target is not None:
                _write(traces, target)
            else:
                counted = _Counted(traces)
                lines = files.lines(record for trace in counted for record in trace)
                with _noting(counted, args.file_name):
                    output.write(lines, args.file_name)
                if not counted.count:
                    sources.name_empty(args, driver)
        sources.name_default(args, driver)
        return 0

    @cliutils.examples(
        "osprofiler trace import traces.jsonl",
        "osprofiler trace import saved-by-jaeger.json --connection-string mysql+pymysql://osprofiler:secret@db/osprofiler",
    )
    @cliutils.arg("files", nargs="+", metavar="FILE", help="a file that export, `show --json` or Jaeger's UI wrote")
    @sources.store
    def import_(self, args: argparse.Namespace) -> None:
        """Copy the traces in files into a store. A trace that is already in the store stays the same."""
        loaded = [trace for file in args.files for trace in sources.loaded(Path(file))]
        driver = sources.driver(args)
        with Progress("importing traces") as progress:
            _write(progress.over((list(to_records.records(trace)) for trace in loaded), len(loaded)), driver)
        sources.name_default(args, driver)


class _Counted:
    """Iterates over *items* and counts those that the caller is done with."""

    def __init__(self, items: Iterable[Records]) -> None:
        self._items = items
        self.count = 0

    def __iter__(self) -> Iterator[Records]:
        for item in self._items:
            yield item
            self.count += 1


def _exported(args: argparse.Namespace, driver: base.Driver) -> Iterator[Records]:
    """The records of each trace; unchanged if the driver returns records."""
    if args.traces:
        for given in args.traces:
            records = lookup.find(driver, given, lambda base_id: _stored(driver, base_id))
            if records is None:
                raise sources.NoTrace(driver, given)
            yield records
        return
    wanted = sources.wanted(args)
    base_ids: Iterator[str]
    if search.must_read(driver, wanted):
        base_ids = (trace.base_id for trace in search.traces(driver, wanted))
    else:
        base_ids = (str(mark["base_id"]) for mark in search.identified(driver, wanted))
    if base.Can.READ_RECORDS in driver.can:
        yield from (sorted(stored.records, key=_by_time) for stored in search.records(driver, base_ids, wanted.limit))
    else:
        yield from (_stored(driver, base_id) for base_id in base_ids)


def _stored(driver: base.Driver, base_id: str) -> Records:
    if base.Can.READ_RECORDS in driver.can:
        return sorted(driver.read(base_id), key=_by_time)
    return list(to_records.records(search.read(driver, base_id)))


def _by_time(record: dict[str, Any]) -> tuple[str, str]:
    """A sort key: by time, and a start record before its stop record."""
    return str(record.get("timestamp")), str(record.get("name"))


def _write(traces: Iterable[Records], target: base.Driver) -> None:
    counted = _Counted(traces)
    with _noting(counted, secrets.masked(target.connection_str)):
        try:
            for records in counted:
                with _writing(target):
                    for batch in batched(records, _BATCH):
                        target.write(batch)
        except (KeyboardInterrupt, StoreError, sources.NoTrace):
            _close(target)
            raise
        _close(target)


def _close(target: base.Driver) -> None:
    """Write what the driver has buffered."""
    with _writing(target):
        target.close()


@contextmanager
def _writing(target: base.Driver) -> Iterator[None]:
    """Raise the errors of writing into *target* as CommandError."""
    try:
        yield
    except exc.CommandError:
        raise
    except Exception as fault:
        store = secrets.masked(target.connection_str)
        error = undeclared.as_store_error(fault, target.connection_str)
        raise exc.CommandError(f"cannot write into {store}: {error}") from None


@contextmanager
def _noting(counted: _Counted, where: str | None) -> Iterator[None]:
    """Print how many traces were written into *where*, also if it ends early.

    None: standard output. Then it is printed only if it ends early.
    """
    written = f"written into {where or 'standard output'}"
    try:
        yield
    except (KeyboardInterrupt, StoreError, exc.CommandError):
        if counted.count:
            print(f"osprofiler: only {wording.counted(counted.count, 'trace')} {written}", file=sys.stderr)
        raise
    if where is not None:
        print(f"osprofiler: {wording.counted(counted.count, 'trace')} {written}", file=sys.stderr)
