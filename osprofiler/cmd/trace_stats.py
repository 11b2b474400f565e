# SPDX-License-Identifier: Apache-2.0
"""``osprofiler trace stats``: count and time the spans of each operation."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from osprofiler.cmd import cliutils, output, sources
from osprofiler.cmd.progress import Progress
from osprofiler.drivers import search
from osprofiler.reports import wording
from osprofiler.reports.analysis import skew, statistics
from osprofiler.reports.model import Trace


class StatsCommand:
    """Part of the group ``trace``."""

    @cliutils.examples(
        "osprofiler trace stats 6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11",
        "osprofiler trace stats --since 1d --service 'nova-*'",
        "osprofiler trace stats monday.jsonl tuesday.jsonl --json",
    )
    @cliutils.arg(
        "traces",
        nargs="*",
        metavar="trace",
        help="ids or files of traces; without any: the traces that the options choose",
    )
    @sources.store
    @sources.filters
    @cliutils.ROWS
    @cliutils.USE_JSON
    def stats(self, args: argparse.Namespace) -> None:
        """Count and time the spans of each operation, in one trace or over many traces.

        `osprofiler trace diff BEFORE AFTER` compares two traces.
        """
        with Progress("reading traces") as progress:
            operations = statistics.of(skew.correct(trace) for trace in progress.over(_chosen(args)))
        if args.use_json:
            output.write(output.json_list(map(dataclasses.asdict, operations)))
            return
        rows = [
            (
                str(stats.count),
                wording.duration(stats.total_us),
                wording.duration(stats.self_us),
                wording.duration(stats.p50_us),
                wording.duration(stats.p95_us),
                wording.duration(stats.p99_us),
                str(stats.errors),
                str(stats.unfinished),
                output.named(stats.operation, stats.place),
            )
            for stats in operations[: args.rows]
        ]
        columns = ("count", "total", "self", "p50", "p95", "p99", "errors", "unfinished", "operation")
        output.write(output.columns(columns, rows))
        output.write(output.left_out(len(operations), args.rows, "operation"))


def _chosen(args: argparse.Namespace) -> Iterator[Trace]:
    if args.traces:
        for given in args.traces:
            if sources.is_file(given) and "#" not in given:
                yield from sources.loaded(Path(given))
            else:
                yield sources.trace(args, given)
        return
    driver = sources.driver(args)
    empty = True
    for trace in search.traces(driver, sources.wanted(args)):
        empty = False
        yield trace
    if empty:
        sources.name_empty(args, driver)
    sources.name_default(args, driver)
