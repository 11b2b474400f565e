# SPDX-License-Identifier: Apache-2.0
"""The commands that look over a store and keep it small: list, delete, purge."""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from osprofiler import exc
from osprofiler.cmd import cliutils, output, quantities, sources
from osprofiler.cmd.progress import Progress
from osprofiler.connection import secrets
from osprofiler.drivers import base, lookup, search
from osprofiler.records.record import timestamp
from osprofiler.reports import wording

_SHORT = ("base_id", "timestamp")
_LONG = ("base_id", "timestamp", "duration", "spans", "errors", "unfinished", "operation", "services")


class ListingCommands:
    """Part of the group ``trace``."""

    @cliutils.examples(
        "osprofiler trace list",
        "osprofiler trace list --connection-string mysql+pymysql://osprofiler:secret@db/osprofiler",
        "osprofiler trace list --error-trace --since 2h",
        "osprofiler trace list --service nova-api --min-duration 500ms --limit 10",
        "osprofiler trace list --operation 'rpc *' --json",
    )
    @sources.store
    @sources.filters
    @cliutils.arg("--long", dest="use_long", action="store_true", help="more of each trace, which is read for it")
    @cliutils.USE_JSON
    def list(self, args: argparse.Namespace) -> None:
        """List the traces in a store, oldest first."""
        driver = sources.driver(args)
        wanted = sources.wanted(args)
        if args.use_long or search.must_read(driver, wanted):
            with Progress("reading traces") as progress:
                found = [search.summary(trace) for trace in progress.over(search.traces(driver, wanted))]
            found.reverse()
            empty = not found
            if args.use_json:
                output.write(output.json_list(each._asdict() for each in found))
            else:
                output.write(output.table(_LONG if args.use_long else _SHORT, map(_row, found)))
        else:
            with Progress("listing traces"):
                traces = search.identified(driver, wanted)
            traces = traces[-wanted.limit :] if wanted.limit else traces
            empty = not traces
            output.write(output.json_list(traces) if args.use_json else output.table(_SHORT, traces))
        if empty:
            sources.name_empty(args, driver)
        sources.name_default(args, driver)

    @cliutils.examples(
        "osprofiler trace delete 6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11",
        "osprofiler trace delete --connection-string redis://localhost ID ID",
    )
    @cliutils.arg("traces", nargs="+", metavar="ID", help="the id of a trace, as `show` takes it")
    @sources.store
    def delete(self, args: argparse.Namespace) -> None:
        """Remove traces from a store."""
        driver = sources.driver(args)
        absent = []
        _require(base.Can.DELETE, driver)
        with Progress("deleting traces") as progress:
            for base_id in progress.over(args.traces, len(args.traces)):
                if lookup.find(driver, base_id, driver.delete) is None:
                    absent.append(base_id)
        _say(f"{_traces(len(args.traces) - len(absent))} removed from {secrets.masked(driver.connection_str)}")
        if absent:
            raise exc.CommandError(f"no trace {', '.join(absent)} there")

    @cliutils.examples(
        "osprofiler trace purge --older-than 7d",
        "osprofiler trace purge --older-than 2026-11-01 --dry-run",
    )
    @cliutils.arg(
        "--older-than",
        dest="before_us",
        type=quantities.moment_us,
        required=True,
        metavar="TIME",
        help="remove what began before: 7d (ago), 2026-11-01",
    )
    @cliutils.arg("--dry-run", dest="dry_run", action="store_true", help="only say how many traces that is")
    @sources.store
    def purge(self, args: argparse.Namespace) -> None:
        """Remove old traces from a store."""
        driver = sources.driver(args)
        before_us = min(args.before_us, time.time_ns() // 1000)
        where = f"that began before {timestamp(before_us).replace('T', ' ')[:19]} UTC"
        _require(base.Can.PURGE, driver)
        with Progress("removing old traces"):
            if args.dry_run:
                count = len(search.identified(driver, search.Wanted(until_us=before_us)))
            else:
                count = driver.purge(before_us)
        would = "would be removed" if args.dry_run else "removed"
        _say(f"{_traces(count)} {where} {would} from {secrets.masked(driver.connection_str)}")


def _require(ability: base.Can, driver: base.Driver) -> None:
    """Raise Unsupported, before anything is looked for, if *driver* does not have the *ability*."""
    if ability not in driver.can:
        raise base.Unsupported(f"{secrets.masked(driver.connection_str)} cannot {ability.value}")


def _row(summary: search.Summary) -> dict[str, Any]:
    return {
        **summary._asdict(),
        "duration": wording.duration(summary.duration_us),
        "services": ", ".join(summary.services),
    }


def _traces(count: int) -> str:
    return f"{count} trace{'' if count == 1 else 's'}"


def _say(text: str) -> None:
    print(f"osprofiler: {text}", file=sys.stderr)
