# SPDX-License-Identifier: Apache-2.0
"""``osprofiler trace list``: list the traces in a store."""

from __future__ import annotations

import argparse
from typing import Any

from osprofiler.cmd import argument_types, cliutils, follow, output, sets, sources
from osprofiler.drivers import search
from osprofiler.reports import wording

_SHORT = ("base_id", "timestamp")
_LONG = ("base_id", "timestamp", "duration", "spans", "errors", "unfinished", "operation", "services")


class ListCommand:
    """Part of the group ``trace``."""

    @cliutils.examples(
        "osprofiler trace list",
        "osprofiler trace list --connection-string mysql+pymysql://osprofiler:secret@db/osprofiler",
        "osprofiler trace list --error-trace --since 2h",
        "osprofiler trace list --service nova-api --min-duration 500ms --limit 10",
        "osprofiler trace list --operation 'rpc *' --json",
        "osprofiler trace list --follow --service 'nova-*'",
    )
    @sources.store
    @sources.filters
    @cliutils.arg(
        "--long",
        dest="use_long",
        action="store_true",
        help="also show duration, spans, errors, operation and services; reads each trace",
    )
    @cliutils.arg(
        "--follow",
        action="store_true",
        help="print new traces as they come, with their spans that still run, until Ctrl-C; from now on, or from "
        "--since; with --json one object on each line",
    )
    @cliutils.arg(
        "--interval",
        dest="interval_us",
        type=argument_types.length_us,
        default=2_000_000,
        metavar="DURATION",
        help="with --follow: how often to ask the store (default: 2s)",
    )
    @cliutils.USE_JSON
    def list(self, args: argparse.Namespace) -> int:
        """List the traces in a store, oldest first."""
        if args.follow and (args.limit or args.use_long or not args.interval_us):
            raise sources.BadInput("--follow prints each trace as it comes: without --limit, --long or --interval 0s")
        driver = sources.driver(args)
        wanted = sources.wanted(args)
        if args.follow:
            follow.run(args, driver)
        if args.use_long or search.must_read(driver, wanted):
            summaries: list[search.Summary] = []
            matching = map(search.summary, search.traces(driver, wanted))
            status = sets.gather(sets.each(matching), summaries.append)
            listed = [summary._asdict() for summary in reversed(summaries)]
            columns, rows = (_LONG if args.use_long else _SHORT), [_row(summary) for summary in listed]
        else:
            marks: list[dict[str, Any]] = []
            status = sets.gather(sets.each(search.identified(driver, wanted)), marks.append, "listing traces")
            listed = marks[::-1]
            columns, rows = _SHORT, listed
        output.write(output.json_list(listed) if args.use_json else output.table(columns, rows))
        if not listed:
            sources.name_empty(args, driver)
        sources.name_default(args, driver)
        return status


def _row(summary: dict[str, Any]) -> dict[str, Any]:
    return {
        **summary,
        "duration": wording.duration(summary["duration_us"]),
        "services": ", ".join(summary["services"]),
    }
