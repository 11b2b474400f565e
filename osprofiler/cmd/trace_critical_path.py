# SPDX-License-Identifier: Apache-2.0
"""``osprofiler trace critical-path``: show which spans made a request slow."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from osprofiler import exc
from osprofiler.cmd import cliutils, critical_path_set, output, sets, sources
from osprofiler.cmd.progress import Progress
from osprofiler.drivers import lookup
from osprofiler.reports import wording
from osprofiler.reports.analysis import critical_path, path_set, skew
from osprofiler.reports.model import SpanNode, Trace


class CriticalPathCommand:
    """Part of the group ``trace``."""

    @cliutils.examples(
        "osprofiler trace critical-path 6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11",
        "osprofiler trace critical-path trace.json --sections",
        "osprofiler trace critical-path trace.json --whole --json",
        "osprofiler trace critical-path --since 1d --operation 'boot*' --html --out boots.html",
        "osprofiler trace critical-path folder-of-jaeger-json --group p95",
        "osprofiler trace critical-path traces.jsonl --group slowest --folded --out slowest.folded",
    )
    @cliutils.arg("traces", nargs="*", metavar="TRACE", help=sets.SET_HELP)
    @sets.options
    @cliutils.arg(
        "--span",
        metavar="ID",
        help="one trace: the path of this span, not of the requests; ID: its id, the beginning of its id, or its id in "
        "Jaeger",
    )
    @cliutils.arg(
        "--whole",
        action="store_true",
        help="one trace: the path to the end of the whole trace, also through work that no span waited for (RPC casts, "
        "detached branches)",
    )
    @cliutils.arg(
        "--sections",
        action="store_true",
        help="one trace: show the sections of the path in order of time, not the share of each span",
    )
    @cliutils.arg(
        "--group",
        choices=critical_path_set.GROUPS,
        default=path_set.ALL,
        help="several traces: which of them to show: the fastest 50, 90, 95 or 99 %% (p50 to p99), all (the "
        "default), the slowest 5 %%, or those that failed; --json and --html hold all groups",
    )
    @cliutils.arg(
        "--folded", dest="use_folded", action="store_true", help="several traces: print folded stacks, for flame graphs"
    )
    @cliutils.arg(
        "--html", dest="use_html", action="store_true", help="several traces: print one HTML page that needs no network"
    )
    @sets.LINK
    @cliutils.ROWS
    @cliutils.USE_JSON
    @cliutils.OUT
    def critical_path(self, args: argparse.Namespace) -> int:
        """Show which spans made a request slow, or which steps made a set of requests slow: the critical path.

        At each moment, one span is on the path: the span that all later spans had to wait for.

        Of several traces, spans with the same operations and services from the root down are one step.
        """
        sources.only_one(span=args.span, whole=args.whole)
        sources.only_one(json=args.use_json, html=args.use_html, folded=args.use_folded)
        trace = None if args.use_html or args.use_folded else sets.single(args, args.traces)
        if trace is None:
            if args.span or args.whole or args.sections:
                raise sources.BadInput("--span, --whole and --sections are for one trace")
            return critical_path_set.run(args)
        skew.correct(trace)
        span = lookup.span(trace, args.span) if args.span else None
        if args.span and span is None:
            raise exc.CommandError(
                f"no span {args.span} in this trace; `osprofiler trace show --json` has the ids of its spans"
            )
        with Progress("looking for the critical path"):
            path = critical_path.find(trace, span, whole=args.whole)
        output.write(_path_json(trace, path) if args.use_json else _path_lines(trace, path, args), args.file_name)
        return 0


def _path_lines(trace: Trace, path: critical_path.CriticalPath, args: argparse.Namespace) -> Iterator[str]:
    total_us, shares = path.to_us - path.from_us, path.shares()
    spans = wording.counted(sum(share.span is not critical_path.CLIENT for share in shares), "span")
    subject = _label(path.of[0]) if len(path.of) == 1 else f"{len(path.of)} requests of one client"
    subject = "the whole trace" if args.whole else subject
    yield from output.text(f"Critical path of {subject}: {wording.duration(total_us)} through {spans}")
    after_us = trace.end_us - path.to_us
    if after_us > 0 and not args.span:
        after = wording.duration(after_us)
        yield from output.text(f"The trace continues for {after} after that; no span waits for this part: see --whole")
    if trace.skews:
        yield from output.text(wording.clocks(trace))
    yield "\n"
    if args.sections:
        rows = [
            (
                f"+{wording.duration(part.from_us - path.from_us)}",
                wording.duration(part.duration_us),
                _percent(part.duration_us, total_us),
                ("waiting for " if part.waiting else "") + _label(part.span),
            )
            for part in path.sections[: args.rows]
        ]
        yield from output.columns(("at", "time", "share", "span"), rows)
        yield from output.left_out(len(path.sections), args.rows, "section")
        return
    lines = [
        (
            _percent(share.self_us + share.waiting_us, total_us),
            wording.duration(share.self_us),
            wording.duration(share.waiting_us) if share.waiting_us else "",
            _span_duration(share.span),
            _label(share.span),
        )
        for share in shares[: args.rows]
    ]
    yield from output.columns(("share", "self", "awaited", "span took", "span"), lines)
    yield from output.left_out(len(shares), args.rows, "span")


def _path_json(trace: Trace, path: critical_path.CriticalPath) -> Iterator[str]:
    shares = (
        {**_identity(share.span), "self_us": share.self_us, "waiting_us": share.waiting_us} for share in path.shares()
    )
    sections = (
        {
            "trace_id": part.span.trace_id or None,
            "from_us": part.from_us - path.from_us,
            "to_us": part.to_us - path.from_us,
            "waiting": part.waiting,
        }
        for part in path.sections
    )
    head = {"base_id": trace.base_id, "duration_us": path.to_us - path.from_us}
    return output.json_object(head, spans=shares, sections=sections)


def _identity(span: SpanNode) -> dict[str, Any]:
    return {"trace_id": span.trace_id or None, "operation": span.operation, "service": wording.place(span)}


def _label(span: SpanNode) -> str:
    badges = "".join(f" ({badge})" for badge in wording.badges(span))
    detail = wording.detail(span)
    return output.named(span.operation, wording.place(span)) + badges + (f" {detail[:80]}" if detail else "")


def _span_duration(span: SpanNode) -> str:
    if span is critical_path.CLIENT:
        return ""
    return wording.duration(span.duration_us) if span.duration_us is not None else "unfinished"


def _percent(part_us: int, total_us: int) -> str:
    return f"{100 * part_us / max(total_us, 1):.1f} %"
