# SPDX-License-Identifier: Apache-2.0
"""``osprofiler trace stats``: count and time the spans of each operation."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

from osprofiler.cmd import cliutils, output, set_work, sets, sources
from osprofiler.records.record import timestamp
from osprofiler.reports import wording
from osprofiler.reports.analysis import skew
from osprofiler.reports.analysis.statistics import OperationStats, Statistics
from osprofiler.reports.model import Trace
from osprofiler.reports.views import blocks, set_html

_WHOLE = "all"
#: How much of a time stamp names the period.
_PERIODS = {"hour": len("2026-11-20T21"), "day": len("2026-11-20")}


class StatsCommand:
    """Part of the group ``trace``."""

    @cliutils.examples(
        "osprofiler trace stats 6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11",
        "osprofiler trace stats --since 1d --service 'nova-*'",
        "osprofiler trace stats monday.jsonl tuesday.jsonl --json",
        "osprofiler trace stats --since 2d --by hour --html --out two-days.html",
    )
    @cliutils.arg("traces", nargs="*", metavar="TRACE", help=sets.SET_HELP)
    @sets.options
    @cliutils.arg("--by", choices=sorted(_PERIODS), help="also the statistics of each hour or day (UTC), by start")
    @cliutils.USE_HTML
    @cliutils.ROWS
    @cliutils.USE_JSON
    @cliutils.OUT
    def stats(self, args: argparse.Namespace) -> int:
        """Count and time the spans of each operation, in one trace or over many traces.

        `osprofiler trace diff BEFORE AFTER` compares two traces or two sets.
        """
        sources.only_one(json=args.use_json, html=args.use_html)
        periods = {_WHOLE: Statistics()}

        def take(part: dict[str, Statistics]) -> None:
            for name, statistics in part.items():
                periods.setdefault(name, Statistics()).merge(statistics)

        status = sets.gather(set_work.parts(args, args.traces, _Periods(args.by)), take)
        ordered = {name: periods[name] for name in (_WHOLE, *sorted(periods.keys() - {_WHOLE}))}
        operations = {name: statistics.operations() for name, statistics in ordered.items()}
        counts = {name: statistics.traces for name, statistics in ordered.items()}
        if args.use_html:
            output.write(set_html.of_statistics(operations, counts), args.file_name)
        elif args.use_json:
            output.write(_json(operations, counts, bool(args.by)), args.file_name)
        else:
            output.write(_lines(operations, counts, args.rows), args.file_name)
        return status


class _Periods(set_work.Work[dict[str, Statistics]]):
    """The statistics of all traces, and of each period: *by* hour, day, or None."""

    def __init__(self, by: str | None) -> None:
        self._by = by

    def part(self, traces: Iterable[Trace]) -> dict[str, Statistics]:
        periods: dict[str, Statistics] = {}
        for trace in traces:
            skew.correct(trace)
            for name in (_WHOLE, _period(trace, self._by)) if self._by else (_WHOLE,):
                periods.setdefault(name, Statistics()).add(trace)
        return periods


def _period(trace: Trace, by: str) -> str:
    text = timestamp(trace.start_us)[: _PERIODS[by]].replace("T", " ")
    return f"{text}:00" if by == "hour" else text


def _json(
    operations: Mapping[str, Sequence[OperationStats]], counts: Mapping[str, int], by_period: bool
) -> Iterator[str]:
    rows = {name: [dataclasses.asdict(stats) for stats in some] for name, some in operations.items()}
    if not by_period:
        return output.json_list(rows[_WHOLE])
    return output.json_list({"period": name, "traces": counts[name], "operations": some} for name, some in rows.items())


def _lines(operations: Mapping[str, Sequence[OperationStats]], counts: Mapping[str, int], rows: int) -> Iterator[str]:
    for name, some in operations.items():
        if name != _WHOLE:
            yield f"\n{name} UTC, {wording.counted(counts[name], 'trace')}\n"
        lines = [
            (
                *set_html.statistics_cells(stats),
                blocks.line(stats.counts, output.shows_unicode()),
                output.named(stats.operation, stats.place),
            )
            for stats in some[:rows]
        ]
        yield from output.columns((*set_html.STATISTICS_HEADS, "spread", "operation"), lines)
        yield from output.left_out(len(some), rows, "operation")
