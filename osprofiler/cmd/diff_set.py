# SPDX-License-Identifier: Apache-2.0
"""The output of ``osprofiler trace diff`` for sets of traces."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from osprofiler.cmd import output, set_work, sets, sources
from osprofiler.cmd.critical_path_set import context, contexts, label
from osprofiler.reports import wording
from osprofiler.reports.analysis import set_comparison
from osprofiler.reports.analysis.calling_context import Step, Steps, positions
from osprofiler.reports.analysis.set_comparison import StepChange
from osprofiler.reports.analysis.statistics import percentile
from osprofiler.reports.analysis.trace_profile import TraceProfile
from osprofiler.reports.model import Trace
from osprofiler.reports.views import folded, set_html

_COLUMNS = ("change", "before", "after", "traces", "failed", "slower in", "p", "step")


class _Set:
    """One of the sets, with its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.profiles: list[TraceProfile] = []
        self.first_us: float = float("inf")

    def add_all(self, profiles: Iterable[TraceProfile]) -> None:
        for profile in profiles:
            self.add(profile)

    def add(self, profile: TraceProfile) -> None:
        self.profiles.append(profile)
        self.first_us = min(self.first_us, profile.start_us)


def run(args: argparse.Namespace) -> int:
    """Read the sets that *args* choose, and write how they differ. Returns the exit status."""
    set_comparison.check_library()
    steps = Steps()
    known: dict[str, _Set] = {}
    status = 0
    if args.group_by or args.before_us is not None or args.after_us is not None:
        sides = _Sides(steps, args.group_by, args.before_us, args.after_us)

        def take(part: list[tuple[str, TraceProfile]]) -> None:
            for name, profile in part:
                known.setdefault(name, _Set(name)).add(profile)

        parts = _LeftOut(set_work.parts(args, args.traces, sides))
        status = sets.gather(parts, take)
        if args.group_by and parts.left_out and known:
            left_out = f"{wording.counted(parts.left_out, 'trace')} without the tag {args.group_by!r}"
            print(f"osprofiler: left out: {left_out}", file=sys.stderr)
        ordered = sorted(known.values(), key=lambda each: each.first_us)
    else:
        ordered = [_Set("before"), _Set("after")]
        for name, each in zip(args.traces, ordered, strict=True):
            of_name = set_work.parts(args, [name], set_work.Profiles(steps, path=False))
            status = status or sets.gather(of_name, each.add_all, f"reading {name}")
    if len(ordered) < 2:
        raise sources.BadInput(_why_one(args, known))
    output.write(_pieces(args, ordered), args.file_name)
    return status


def _why_one(args: argparse.Namespace, known: Iterable[str]) -> str:
    """Why there is nothing to compare. *known*: the name of the only set, if there is one."""
    name = next(iter(known), None)
    if not args.group_by:
        return f"there is only one set to compare: {name or 'no traces'}"
    if name is None:
        return f"no trace has the tag {args.group_by!r}: there is nothing to compare"
    return f"the tag {args.group_by!r} has only the value {name!r}: there is nothing to compare"


class _LeftOut:
    """Iterates over the parts of the sets, and counts the traces that are in none of the sets."""

    def __init__(self, parts: Iterable[tuple[int, list[tuple[str, TraceProfile]]]]) -> None:
        self._parts = parts
        self.left_out = 0

    def __iter__(self) -> Iterator[tuple[int, list[tuple[str, TraceProfile]]]]:
        for count, part in self._parts:
            self.left_out += count - len(part)
            yield count, part


class _Sides(set_work.Work[list[tuple[str, TraceProfile]]]):
    """The profile of each trace, with the name of its set: by a tag, or by times."""

    def __init__(self, steps: Steps, group_by: str | None, before_us: int | None, after_us: int | None) -> None:
        self._profiles = set_work.Profiles(steps, path=False)
        self._group_by = group_by
        self._times_us = before_us, after_us

    def part(self, traces: Iterable[Trace]) -> list[tuple[str, TraceProfile]]:
        profiles = []
        for trace in traces:
            name = self._name(trace)
            if name is not None:
                profiles += [(name, profile) for profile in self._profiles.part([trace])]
        return profiles

    def _name(self, trace: Trace) -> str | None:
        return _value(trace, self._group_by) if self._group_by else _side(trace, *self._times_us)

    def packed(self, part: list[tuple[str, TraceProfile]]) -> Any:
        return [name for name, _ in part], self._profiles.packed([profile for _, profile in part])

    def unpacked(self, data: Any) -> list[tuple[str, TraceProfile]]:
        names, profiles = data
        return list(zip(names, self._profiles.unpacked(profiles), strict=True))


def _value(trace: Trace, tag: str) -> str | None:
    """The value of *tag* in the first span that has it, as a tag of the span or its process; or of the field host."""
    for _, span in trace.walk():
        value = span.host if tag == "host" else wording.tag(span, tag)
        value = value if value is not None else span.process.get(tag)
        if value is not None:
            return str(value)
    return None


def _side(trace: Trace, before_us: int | None, after_us: int | None) -> str | None:
    if trace.start_us < (after_us if before_us is None else before_us):  # type: ignore[operator]
        return "before"
    return "after" if trace.start_us >= (before_us if after_us is None else after_us) else None  # type: ignore[operator]


def _pieces(args: argparse.Namespace, ordered: Sequence[_Set]) -> Iterator[str]:
    first, *others = ordered
    pairs = ((first, other, _compared(first, other, args)) for other in others)
    if args.use_html or args.use_folded:
        if len(others) > 1:
            listed = ", ".join(each.name for each in ordered)
            raise sources.BadInput(f"--html and --folded compare two sets, and there are {len(ordered)}: {listed}")
        _, other, changes = next(iter(pairs))
        if args.use_html:
            names = first.name, other.name
            return set_html.of_change(changes, first.profiles, other.profiles, names, sets.link(args))
        return folded.lines((each.step, (each.before_mean_us, each.after_mean_us)) for each in changes)
    if args.use_json:
        return _json(pairs)
    return itertools.chain.from_iterable(_lines(*pair, args) for pair in pairs)


def _compared(before: _Set, after: _Set, args: argparse.Namespace) -> list[StepChange]:
    changes = set_comparison.compare(before.profiles, after.profiles)
    return [each for each in changes if abs(each.change_us) >= args.min_change_us]


def _lines(before: _Set, after: _Set, changes: Sequence[StepChange], args: argparse.Namespace) -> Iterator[str]:
    for each in before, after:
        lengths = sorted(profile.duration_us for profile in each.profiles)
        median = wording.duration(percentile(lengths, 50))
        yield from output.text(f"{each.name}  {wording.counted(len(lengths), 'trace')}  median {median}")
    sure = [change for change in changes if change.kind != "same"]
    if not sure:
        none = set_comparison.none_sure(len(before.profiles), len(after.profiles))
        yield from output.text(f"{none[0].upper()}{none[1:]}.")
        yield "\n"
        return
    yield from output.columns(_COLUMNS, [_row(change) for change in sure[: args.rows]])
    yield from output.left_out(len(sure), args.rows, "step")
    yield "\n"


def _row(change: StepChange) -> tuple[str, ...]:
    errors = change.after_errors - change.before_errors
    return (
        f"{change.kind} {wording.signed(round(change.change_us))}",
        wording.duration(change.before_us) if change.before_traces else "",
        wording.duration(change.after_us) if change.after_traces else "",
        f"{change.before_traces} -> {change.after_traces}",
        f"{errors:+d}" if errors else "",
        f"{100 * change.slower_share:.0f} %" if change.before_traces and change.after_traces else "",
        f"{change.p:.1g}",
        label(change.step),
    )


def _json(pairs: Iterable[tuple[_Set, _Set, Sequence[StepChange]]]) -> Iterator[str]:
    return output.json_list(_pair(*pair) for pair in pairs)


def _pair(before: _Set, after: _Set, changes: Sequence[StepChange]) -> dict[str, object]:
    position = positions(change.step for change in changes)
    return {
        "before": {"name": before.name, "traces": len(before.profiles)},
        "after": {"name": after.name, "traces": len(after.profiles)},
        "contexts": list(contexts(position)),
        "steps": [_change(change, position) for change in changes],
    }


def _change(change: StepChange, position: Mapping[Step, int]) -> dict[str, object]:
    return {
        **context(change.step, position),
        "kind": change.kind,
        "change_us": round(change.change_us, 1),
        "before": {
            "traces": change.before_traces,
            "median_us": change.before_us,
            "mean_us": round(change.before_mean_us, 1),
            "errors": change.before_errors,
        },
        "after": {
            "traces": change.after_traces,
            "median_us": change.after_us,
            "mean_us": round(change.after_mean_us, 1),
            "errors": change.after_errors,
        },
        "slower_share": round(change.slower_share, 4),
        "p": change.p,
    }
