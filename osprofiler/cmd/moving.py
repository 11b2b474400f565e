# SPDX-License-Identifier: Apache-2.0
"""The commands that carry traces between stores and files: export, import."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from osprofiler import exc
from osprofiler.cmd import cliutils, output, sources
from osprofiler.cmd.progress import Progress
from osprofiler.connection import secrets
from osprofiler.connection.fault_text import typed_fault_line
from osprofiler.drivers import base, lookup, search
from osprofiler.reports import files, to_records

_BATCH = 2000  # records to a write

Records = list[dict[str, Any]]


class MovingCommands:
    """Part of the group ``trace``."""

    @cliutils.examples(
        "osprofiler trace export --out traces.jsonl",
        "osprofiler trace export 6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11 --out trace.jsonl",
        "osprofiler trace export --since 1d --error-trace --to redis://localhost:6379",
    )
    @cliutils.arg(
        "traces", nargs="*", metavar="ID", help="traces, as `show` takes them; none: those that the options choose"
    )
    @sources.store
    @sources.filters
    @cliutils.arg("--out", dest="file_name", metavar="FILE", help="write into FILE instead of standard output")
    @cliutils.arg("--to", dest="target", metavar="STORE", help="write into this store instead: a connection string")
    def export(self, args: argparse.Namespace) -> None:
        """Write traces of a store, as they are stored, into a file or another store: a record a line, as JSON."""
        if args.target and args.file_name:
            raise sources.BadInput("choose one of --out and --to")
        driver = sources.driver(args)
        target = sources.driver(args, args.target) if args.target else None
        with Progress("exporting traces") as progress:
            found = progress.over(_exported(args, driver))
            if target is not None:
                _write(found, target)
            else:
                counted = _Counted(found)
                output.write(files.lines(record for trace in counted for record in trace), args.file_name)
                if args.file_name:
                    _say(counted.count, args.file_name)
                if not counted.count:
                    sources.name_empty(args, driver)
        sources.name_default(args, driver)

    @cliutils.examples(
        "osprofiler trace import traces.jsonl",
        "osprofiler trace import saved-by-jaeger.json --connection-string mysql+pymysql://osprofiler:secret@db/osprofiler",
    )
    @cliutils.arg("files", nargs="+", metavar="FILE", help="as export, `show --json` or Jaeger's UI write them")
    @sources.store
    def import_(self, args: argparse.Namespace) -> None:
        """Write the traces in files into a store; one that is there already is the same afterwards."""
        loaded = [trace for file in args.files for trace in sources.loaded(Path(file))]
        driver = sources.driver(args)
        with Progress("importing traces") as progress:
            _write(progress.over((list(to_records.records(trace)) for trace in loaded), len(loaded)), driver)
        sources.name_default(args, driver)


class _Counted:
    """What is iterated over, and how much it was."""

    def __init__(self, items: Iterable[Records]) -> None:
        self._items = items
        self.count = 0

    def __iter__(self) -> Iterator[Records]:
        for item in self._items:
            self.count += 1
            yield item


def _exported(args: argparse.Namespace, driver: base.Driver) -> Iterator[Records]:
    """The records of each trace; as stored, where the driver gives records."""
    if args.traces:
        for given in args.traces:
            found = lookup.find(driver, given, lambda one: _stored(driver, one))
            if found is None:
                raise exc.CommandError(f"no trace {given.strip()} in {secrets.masked(driver.connection_str)}")
            yield found
        return
    wanted = sources.wanted(args)
    if search.must_read(driver, wanted):
        ids = [trace.base_id for trace in search.traces(driver, wanted)]
    else:
        ids = [str(trace["base_id"]) for trace in search.identified(driver, wanted)]
        ids = ids[-wanted.limit :] if wanted.limit else ids
    for base_id in ids:
        yield _stored(driver, base_id)


def _stored(driver: base.Driver, base_id: str) -> Records:
    if base.overrides(type(driver), "read", "get_report"):
        return sorted(driver.read(base_id), key=_by_time)
    return list(to_records.records(search.read(driver, base_id)))


def _by_time(record: dict[str, Any]) -> tuple[str, str]:
    """By time, and a start before its stop."""
    return str(record.get("timestamp")), str(record.get("name"))


def _write(traces: Iterable[Records], target: base.Driver) -> None:
    counted = _Counted(traces)
    try:
        for records in counted:
            for at in range(0, len(records), _BATCH):
                target.write(records[at : at + _BATCH])
        target.close()  # may still have something to write
    except exc.CommandError:
        raise
    except Exception as fault:
        store = secrets.masked(target.connection_str)
        raise exc.CommandError(f"cannot write into {store}: {typed_fault_line(fault, target.connection_str)}") from None
    _say(counted.count, secrets.masked(target.connection_str))


def _say(count: int, where: str) -> None:
    print(f"osprofiler: {count} trace{'' if count == 1 else 's'} written into {where}", file=sys.stderr)
