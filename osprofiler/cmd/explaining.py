# SPDX-License-Identifier: Apache-2.0
"""The commands that say where the time went: critical-path, stats."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from osprofiler import exc
from osprofiler.cmd import cliutils, output, sources
from osprofiler.cmd.progress import Progress
from osprofiler.cmd.showing import TRACE_HELP
from osprofiler.drivers import lookup, search
from osprofiler.reports import wording
from osprofiler.reports.analysis import critical_path, skew, statistics
from osprofiler.reports.model import SpanNode, Trace


class ExplainingCommands:
    """Part of the group ``trace``."""

    @cliutils.examples(
        "osprofiler trace critical-path 6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11",
        "osprofiler trace critical-path trace.json --sections",
        "osprofiler trace critical-path trace.json --whole --json",
    )
    @cliutils.arg("trace", help=TRACE_HELP)
    @sources.store
    @cliutils.arg("--span", metavar="ID", help="of this span (its id, its beginning, or Jaeger's), not of the requests")
    @cliutils.arg(
        "--whole",
        action="store_true",
        help="to the end of the whole trace, through work that nobody waited for (RPC casts, detached branches)",
    )
    @cliutils.arg("--sections", action="store_true", help="the path itself, by time, not what each span adds to it")
    @cliutils.ROWS
    @cliutils.USE_JSON
    def critical_path(self, args: argparse.Namespace) -> None:
        """Show which spans made a request slow: at each moment the one that all later ones had to wait for."""
        if args.span and args.whole:
            raise sources.BadInput("choose one of --span and --whole")
        trace = skew.correct(sources.trace(args, args.trace))
        span = lookup.span(trace, args.span) if args.span else None
        if args.span and span is None:
            raise exc.CommandError(f"no span {args.span} in this trace")
        with Progress("looking for the critical path"):
            path = critical_path.find(trace, span, whole=args.whole)
        output.write(_path_json(trace, path) if args.use_json else _path_lines(trace, path, args))

    @cliutils.examples(
        "osprofiler trace stats 6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11",
        "osprofiler trace stats --since 1d --service 'nova-*'",
        "osprofiler trace stats monday.jsonl tuesday.jsonl --json",
    )
    @cliutils.arg("traces", nargs="*", metavar="trace", help="ids and files; none: the traces that the options choose")
    @sources.store
    @sources.filters
    @cliutils.ROWS
    @cliutils.USE_JSON
    def stats(self, args: argparse.Namespace) -> None:
        """Count and time the spans of each operation, in one trace or in many taken together.

        `osprofiler trace diff BEFORE AFTER` compares two traces.
        """
        with Progress("reading traces") as progress:
            found = statistics.of(skew.correct(trace) for trace in progress.over(_chosen(args)))
        if args.use_json:
            output.write(output.json_list(dataclasses.asdict(stats) for stats in found))
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
            for stats in found[: args.rows]
        ]
        columns = ("count", "total", "self", "p50", "p95", "p99", "errors", "unfinished", "operation")
        output.write(output.columns(columns, rows))
        output.write(output.left_out(len(found), args.rows, "operation"))


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


# The critical path


def _path_lines(trace: Trace, path: critical_path.CriticalPath, args: argparse.Namespace) -> Iterator[str]:
    total_us, shares = path.to_us - path.from_us, path.shares()
    spans = sum(share.span is not critical_path.CLIENT for share in shares)
    about = _about(path.of[0]) if len(path.of) == 1 else f"{len(path.of)} requests of one client"
    about = "the whole trace" if args.whole else about
    through = output.counted(spans, "span")
    yield from output.text(f"Critical path of {about}: {wording.duration(total_us)} through {through}")
    after_us = trace.end_us - path.to_us
    if after_us > 0 and not args.span:
        after = wording.duration(after_us)
        yield from output.text(f"The trace goes on for {after} after that, unwaited for: see --whole")
    if trace.skews:
        yield from output.text(wording.clocks(trace))
    yield "\n"
    if args.sections:
        rows = [
            (
                f"+{wording.duration(part.from_us - path.from_us)}",
                wording.duration(part.duration_us),
                _share(part.duration_us, total_us),
                ("waiting for " if part.waiting else "") + _about(part.span),
            )
            for part in path.sections[: args.rows]
        ]
        yield from output.columns(("at", "time", "share", "span"), rows)
        yield from output.left_out(len(path.sections), args.rows, "section")
        return
    lines = [
        (
            _share(share.self_us + share.waiting_us, total_us),
            wording.duration(share.self_us),
            wording.duration(share.waiting_us) if share.waiting_us else "",
            _took(share.span),
            _about(share.span),
        )
        for share in shares[: args.rows]
    ]
    yield from output.columns(("share", "self", "awaited", "span took", "span"), lines)
    yield from output.left_out(len(shares), args.rows, "span")


def _path_json(trace: Trace, path: critical_path.CriticalPath) -> Iterator[str]:
    yield f'{{"base_id": {json.dumps(trace.base_id)}, "duration_us": {path.to_us - path.from_us}, "spans": '
    shares = (
        {**_identity(share.span), "self_us": share.self_us, "waiting_us": share.waiting_us} for share in path.shares()
    )
    yield "".join(output.json_list(shares)).rstrip()
    yield ', "sections": '
    sections = (
        {
            "trace_id": part.span.trace_id or None,
            "from_us": part.from_us - path.from_us,
            "to_us": part.to_us - path.from_us,
            "waiting": part.waiting,
        }
        for part in path.sections
    )
    yield "".join(output.json_list(sections)).rstrip()
    yield "}\n"


# Words


def _identity(span: SpanNode) -> dict[str, Any]:
    return {"trace_id": span.trace_id or None, "operation": span.operation, "service": wording.place(span)}


def _about(span: SpanNode) -> str:
    marks = "".join(f" ({mark})" for mark in wording.marks(span))
    detail = wording.detail(span)
    return output.named(span.operation, wording.place(span)) + marks + (f" {detail[:80]}" if detail else "")


def _took(span: SpanNode) -> str:
    if span is critical_path.CLIENT:
        return ""
    return wording.duration(span.duration_us) if span.duration_us is not None else "unfinished"


def _share(part_us: int, total_us: int) -> str:
    return f"{100 * part_us / max(total_us, 1):.1f} %"
