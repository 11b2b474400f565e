# SPDX-License-Identifier: Apache-2.0
"""``osprofiler trace list``: list the traces in a store."""

from __future__ import annotations

import argparse
from typing import Any

from osprofiler.cmd import argument_types, cliutils, follow, output, sources
from osprofiler.cmd.progress import Progress
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
    @cliutils.arg("--long", dest="use_long", action="store_true", help="show more columns; reads each trace")
    @cliutils.arg(
        "--follow",
        action="store_true",
        help="print new traces as they come, and the spans in them that still run, until Ctrl-C; from now on, or from "
        "--since; --json prints an object a line",
    )
    @cliutils.arg(
        "--interval",
        dest="interval_us",
        type=argument_types.length_us,
        default=2_000_000,
        metavar="LENGTH",
        help="--follow: how long to wait before the store is asked again (default: 2s)",
    )
    @cliutils.USE_JSON
    def list(self, args: argparse.Namespace) -> None:
        """List the traces in a store, oldest first."""
        driver = sources.driver(args)
        wanted = sources.wanted(args)
        if args.follow:
            follow.run(args, driver)
        if args.use_long or search.must_read(driver, wanted):
            with Progress("reading traces") as progress:
                summaries = [search.summary(trace) for trace in progress.over(search.traces(driver, wanted))]
            summaries.reverse()
            empty = not summaries
            if args.use_json:
                output.write(output.json_list(summary._asdict() for summary in summaries))
            else:
                output.write(output.table(_LONG if args.use_long else _SHORT, map(_row, summaries)))
        else:
            with Progress("listing traces"):
                traces = list(search.identified(driver, wanted))[::-1]
            empty = not traces
            output.write(output.json_list(traces) if args.use_json else output.table(_SHORT, traces))
        if empty:
            sources.name_empty(args, driver)
        sources.name_default(args, driver)


def _row(summary: search.Summary) -> dict[str, Any]:
    return {
        **summary._asdict(),
        "duration": wording.duration(summary.duration_us),
        "services": ", ".join(summary.services),
    }
