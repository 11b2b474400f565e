# SPDX-License-Identifier: Apache-2.0
"""The output of ``osprofiler trace critical-path`` for a set of traces."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from osprofiler.cmd import output, set_work, sets
from osprofiler.reports import wording
from osprofiler.reports.analysis import path_set
from osprofiler.reports.analysis.calling_context import Step, Steps, positions
from osprofiler.reports.analysis.path_set import Group, StepSummary
from osprofiler.reports.analysis.trace_profile import TraceProfile
from osprofiler.reports.views import folded, set_html

GROUPS = (*(f"p{percent}" for percent in path_set.PERCENTILES), path_set.ALL, path_set.SLOWEST, path_set.FAILED)


def run(args: argparse.Namespace) -> int:
    """Read the set that *args* choose, and write its critical path. Returns the exit status."""
    profiles: list[TraceProfile] = []
    status = sets.gather(set_work.parts(args, args.traces, set_work.Profiles(Steps(), path=True)), profiles.extend)
    output.write(_pieces(args, profiles), args.file_name)
    return status


def _pieces(args: argparse.Namespace, profiles: list[TraceProfile]) -> Iterator[str]:
    groups = path_set.groups(profiles)
    if args.use_html:
        return set_html.of_paths(groups, sets.link(args))
    if args.use_json:
        return _json(groups, profiles)
    group = next((group for group in groups if group.name == args.group), None)
    if group is None:
        print("osprofiler: no trace of the set failed", file=sys.stderr)
        return iter(())
    if args.use_folded:
        count = len(group.profiles)
        return folded.lines((summary.step, (summary.exclusive_us * count,)) for summary in group.steps)
    return _lines(group, groups, profiles, args.rows)


def _lines(group: Group, groups: Sequence[Group], profiles: Sequence[TraceProfile], rows: int) -> Iterator[str]:
    lengths = [
        (
            str(len(each.profiles)),
            wording.duration(round(each.duration_us)),
            wording.duration(each.profiles[0].duration_us),
            wording.duration(each.profiles[-1].duration_us),
            each.name,
        )
        for each in groups
    ]
    yield from output.columns(("traces", "mean", "shortest", "longest", "group"), lengths)
    yield "\n"
    yield from output.text(
        f"Critical path of {wording.counted(len(group.profiles), 'trace')} ({group.name}): times a trace, on average"
    )
    on_path = [summary for summary in group.steps if summary.on_path]
    # Without the slack: it is of the traces in which the step was not on the path.
    heads = (*set_html.PATH_HEADS[:-1], "step")
    lines = [(*set_html.path_cells(summary, group)[:-1], label(summary.step)) for summary in on_path[:rows]]
    yield from output.columns(heads, lines)
    yield from output.left_out(len(on_path), rows, "step")
    off_path = sorted(
        (each for each in group.steps if not each.on_path and each.slack_us), key=lambda each: each.slack_us or 0
    )
    if off_path:
        yield "\nNot on the path; how much longer these could take (median)\n"
        yield from output.columns(
            ("slack", "step"), [(wording.duration(each.slack_us or 0), label(each.step)) for each in off_path[:rows]]
        )
        yield from output.left_out(len(off_path), rows, "step")
    errors = path_set.error_paths(profiles)
    if errors:
        yield "\nWhere errors began\n"
        began = [
            (
                str(error.traces),
                str(error.reached_root),
                str(error.levels),
                f"{wording.one_line(error.kind)} in {label(error.step)}, for example {error.examples[0]}",
            )
            for error in errors[:rows]
        ]
        yield from output.columns(("traces", "failed request", "levels up", "error"), began)
        yield from output.left_out(len(errors), rows, "error")


def label(step: Step) -> str:
    """A step in a table: its operation and service, and the operation above."""
    under = f" under {wording.one_line(step.above.operation)}" if step.above is not None else ""
    return output.named(step.operation, step.place) + under


def _json(groups: Sequence[Group], profiles: Sequence[TraceProfile]) -> Iterator[str]:
    failures = path_set.error_paths(profiles)
    position = positions(
        [*(each.step for group in groups for each in group.steps), *(error.step for error in failures)]
    )
    yield "".join(output.json_object({"traces": len(profiles)}, contexts=contexts(position))).rstrip()[:-1]
    yield ', "groups": {'
    for i, group in enumerate(groups):
        about = {"traces": len(group.profiles), "duration_us": round(group.duration_us, 1)}
        yield f"{',' if i else ''}\n{json.dumps(group.name)}: "
        yield "".join(output.json_object(about, steps=(_summary(each, position) for each in group.steps))).rstrip()
    yield '\n}, "errors": '
    errors = (
        {
            **context(error.step, position),
            "kind": error.kind,
            "traces": error.traces,
            "spans": error.spans,
            "failed_requests": error.reached_root,
            "levels": error.levels,
            "examples": error.examples,
        }
        for error in failures
    )
    yield "".join(output.json_list(errors)).rstrip() + "}\n"


def _summary(summary: StepSummary, position: Mapping[Step, int]) -> dict[str, Any]:
    return {
        **context(summary.step, position),
        "traces": summary.traces,
        "on_path": summary.on_path,
        "spans": summary.spans,
        "exclusive_us": round(summary.exclusive_us, 1),
        "waiting_us": round(summary.waiting_us, 1),
        "inclusive_us": round(summary.inclusive_us, 1),
        "saved_us": round(summary.saved_us, 1),
        "saved_by_half_us": round(summary.saved_by_half_us, 1),
        "slack_us": summary.slack_us,
        "errors": summary.errors,
    }


def contexts(position: Mapping[Step, int]) -> Iterator[dict[str, Any]]:
    """The calling contexts in JSON: each step, and the position of the step above it; None: a root."""
    for step in position:
        above = None if step.above is None else position[step.above]
        yield {"service": step.place, "operation": step.operation, "above": above}


def context(step: Step, position: Mapping[Step, int]) -> dict[str, Any]:
    """A step in JSON, with its position among :func:`contexts`."""
    return {"service": step.place, "operation": step.operation, "context": position[step]}
