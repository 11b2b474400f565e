# SPDX-License-Identifier: Apache-2.0
"""``osprofiler trace delete`` and ``osprofiler trace purge``: remove traces from a store."""

from __future__ import annotations

import argparse
import sys
import time

from osprofiler.cmd import argument_types, cliutils, sources
from osprofiler.cmd.progress import Progress
from osprofiler.connection import secrets
from osprofiler.drivers import base, lookup, search
from osprofiler.records.record import timestamp
from osprofiler.reports import wording


class DeleteCommands:
    """Part of the group ``trace``."""

    @cliutils.examples(
        "osprofiler trace delete 6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11",
        "osprofiler trace delete --connection-string redis://localhost ID ID",
    )
    @cliutils.arg("traces", nargs="+", metavar="ID", help="the id of a trace, in any form that `show` takes")
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
        removed = wording.counted(len(args.traces) - len(absent), "trace")
        _note(f"{removed} removed from {secrets.masked(driver.connection_str)}")
        if absent:
            raise sources.NoTrace(driver, *absent)

    @cliutils.examples(
        "osprofiler trace purge --older-than 7d",
        "osprofiler trace purge --older-than 2026-11-01 --dry-run",
    )
    @cliutils.arg(
        "--older-than",
        dest="before_us",
        type=argument_types.moment_us,
        required=True,
        metavar="TIME",
        help="remove traces that began before: 2026-11-01, or 7d (ago)",
    )
    @cliutils.arg("--dry-run", dest="dry_run", action="store_true", help="only print how many traces would be removed")
    @sources.store
    def purge(self, args: argparse.Namespace) -> None:
        """Remove old traces from a store."""
        driver = sources.driver(args)
        before_us = min(args.before_us, time.time_ns() // 1000)
        where = f"that began before {timestamp(before_us).replace('T', ' ')[:19]} UTC"
        _require(base.Can.PURGE, driver)
        with Progress("removing old traces"):
            if args.dry_run:
                count = sum(1 for _ in search.identified(driver, search.Wanted(until_us=before_us)))
            else:
                count = driver.purge(before_us)
        would = "would be removed" if args.dry_run else "removed"
        _note(f"{wording.counted(count, 'trace')} {where} {would} from {secrets.masked(driver.connection_str)}")


def _require(ability: base.Can, driver: base.Driver) -> None:
    """Raise Unsupported, before the store is searched, if *driver* does not have the *ability*."""
    if ability not in driver.can:
        raise base.Unsupported(f"{secrets.masked(driver.connection_str)} cannot {ability.value}")


def _note(text: str) -> None:
    print(f"osprofiler: {text}", file=sys.stderr)
