# SPDX-License-Identifier: Apache-2.0
"""``osprofiler trace diff``: compare two traces."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator

from osprofiler.cmd import argument_types, cliutils, diff_set, output, sets, sources
from osprofiler.cmd.progress import Progress
from osprofiler.reports import wording
from osprofiler.reports.analysis import comparison, skew
from osprofiler.reports.model import Trace
from osprofiler.reports.views import pair_html


class DiffCommand:
    """Part of the group ``trace``."""

    @cliutils.examples(
        "osprofiler trace diff BEFORE_ID AFTER_ID",
        "osprofiler trace diff good.json 6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11 --min-change 1ms",
        "osprofiler trace diff BEFORE_ID AFTER_ID --html --out change.html",
        "osprofiler trace diff monday.jsonl tuesday.jsonl",
        "osprofiler trace diff --operation boot --since 2d --before 2026-11-20T21:46 --html --out upgrade.html",
        "osprofiler trace diff --since 1d --group-by host --min-change 1ms",
    )
    @cliutils.arg(
        "traces",
        nargs="*",
        metavar="TRACE",
        help="two traces, or two sets of traces: a file with traces or a folder of such files. With --before, --after "
        "or --group-by: " + sets.SET_HELP,
    )
    @sets.options
    @cliutils.arg(
        "--before",
        dest="before_us",
        type=argument_types.moment_us,
        metavar="TIME",
        help="compare the traces that began before this time with those after it (or after --after)",
    )
    @cliutils.arg(
        "--after",
        dest="after_us",
        type=argument_types.moment_us,
        metavar="TIME",
        help="compare the traces that began before this time (or before --before) with those after it",
    )
    @cliutils.arg(
        "--group-by",
        dest="group_by",
        metavar="TAG",
        help="compare the traces by the first value of this tag in them, of a span or of a process (host: the host of "
        "the first span); the value that was seen first is compared with each of the others",
    )
    @cliutils.arg(
        "--min-change",
        dest="min_change_us",
        type=argument_types.length_us,
        default=0,
        metavar="DURATION",
        help="leave out steps whose own time changed by less than this: 1ms",
    )
    @cliutils.arg(
        "--folded",
        dest="use_folded",
        action="store_true",
        help="two sets: print folded stacks with two columns, for differential flame graphs",
    )
    @cliutils.USE_HTML
    @sets.LINK
    @cliutils.ROWS
    @cliutils.USE_JSON
    @cliutils.OUT
    def diff(self, args: argparse.Namespace) -> int:
        """Compare two traces, or two sets of traces: show which steps became slower or faster, appeared or vanished.

        Sets are compared by a rank test of each step, corrected for the number of steps; only changes that are sure are
        shown. This needs SciPy (pip install 'osprofiler[analysis]').
        """
        sources.only_one(json=args.use_json, html=args.use_html, folded=args.use_folded)
        if args.group_by and (args.before_us is not None or args.after_us is not None):
            raise sources.BadInput("choose one of --group-by, and --before and --after")
        if args.before_us is not None and args.after_us is not None and args.before_us > args.after_us:
            raise sources.BadInput("--before is later than --after: the sets would have traces in common")
        by_option = args.group_by or args.before_us is not None or args.after_us is not None
        if not by_option and len(args.traces) != 2:
            raise sources.BadInput("name two traces or two sets; or choose --before, --after or --group-by")
        pair = [] if by_option else [sets.single(args, [name]) for name in args.traces]
        if not pair or None in pair or args.use_folded:
            return diff_set.run(args)
        before, after = (skew.correct(trace) for trace in pair if trace is not None)
        with Progress("comparing"):
            all_steps = comparison.compare(before, after)
        if args.use_html:
            output.write(pair_html.text(before, after, all_steps, args.min_change_us), args.file_name)
            return 0
        steps = [
            step
            for step in all_steps
            if step.kind in ("appeared", "vanished") or abs(step.self_change_us) >= args.min_change_us
        ]
        pieces = _diff_json(before, after, steps) if args.use_json else _diff_lines(before, after, steps, args)
        output.write(pieces, args.file_name)
        return 0


_KINDS = ("appeared", "vanished", "slower", "faster")


def _diff_lines(before: Trace, after: Trace, steps: list[comparison.Step], args: argparse.Namespace) -> Iterator[str]:
    lengths = [trace.end_us - trace.start_us for trace in (before, after)]
    for name, trace, length_us in zip(("before", "after"), (before, after), lengths, strict=True):
        yield from output.text(f"{name}  {trace.base_id}  {wording.duration(length_us)}  {wording.summary(trace)}")
    yield f"change  {wording.signed(lengths[1] - lengths[0])}\n"
    changed = sorted((step for step in steps if step.kind != "same"), key=lambda step: -abs(step.self_change_us))
    failing = [step for step in steps if step.failure_change and step.kind == "same"]
    if not changed and not failing:
        yield "\nNo difference: the same steps, in the same time.\n"
    for kind in _KINDS:
        of_kind = [step for step in changed if step.kind == kind]
        if of_kind:
            yield f"\n{kind}\n"
            yield from output.columns(_DIFF_COLUMNS, [_diff_row(step) for step in of_kind[: args.rows]])
            yield from output.left_out(len(of_kind), args.rows, "step")
    if failing:
        yield "\nsame time, but more or fewer failures\n"
        yield from output.columns(_DIFF_COLUMNS, [_diff_row(step) for step in failing[: args.rows]])
        yield from output.left_out(len(failing), args.rows, "step")


_DIFF_COLUMNS = ("self", "total", "spans", "failed", "step")


def _diff_row(step: comparison.Step) -> tuple[str, ...]:
    count = f"{step.before.count} -> {step.after.count}" if step.before.count != step.after.count else ""
    above = next((upper for upper in step.path() if upper is not step), None)
    under = f" under {wording.one_line(above.operation)}" if above is not None else ""
    return (
        wording.signed(step.self_change_us),
        wording.signed(step.total_change_us),
        count or str(step.after.count),
        f"{step.failure_change:+d}" if step.failure_change else "",
        output.named(step.operation, step.place) + under,
    )


def _diff_json(before: Trace, after: Trace, steps: list[comparison.Step]) -> Iterator[str]:
    numbers = {id(step): i for i, step in enumerate(steps)}
    rows = (
        {
            "kind": step.kind,
            "service": step.place,
            "operation": step.operation,
            "above": numbers.get(id(step.above)),
            "before": dataclasses.asdict(step.before),
            "after": dataclasses.asdict(step.after),
        }
        for step in steps
    )
    return output.json_object({"before": before.base_id, "after": after.base_id}, steps=rows)
