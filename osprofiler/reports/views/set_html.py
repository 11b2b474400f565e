# SPDX-License-Identifier: Apache-2.0
"""A set of traces as one HTML file: flame graphs, tables, a heat map of traces and steps, distributions, examples.

One page serves the critical path of a set, the comparison of two, and statistics. Its data, in JSON: ``title`` and
``facts``; ``steps``, each with its service, its operation, and the position of the step above; ``views``, each with a
name, facts, a note on the flame graph, the microseconds of each step in it, its colours, and the rows of its table;
``tree``, whether the table begins as a tree; ``spread``, a histogram for each step; ``traces``, each with its id, its
start, its duration, a mark, and the microseconds of its steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from osprofiler.records.record import timestamp
from osprofiler.reports import wording
from osprofiler.reports.analysis import histogram, path_set
from osprofiler.reports.analysis.calling_context import Step, positions
from osprofiler.reports.analysis.path_set import Group, StepSummary
from osprofiler.reports.analysis.set_comparison import StepChange, none_sure
from osprofiler.reports.analysis.statistics import OperationStats
from osprofiler.reports.analysis.trace_profile import StepTimes, TraceProfile
from osprofiler.reports.views import html_page

_STYLES = ("theme.css", "flame.css", "figures.css", "set.css")
_SCRIPTS = ("common.js", "flame.js", "set.js")

#: The heat map and the examples show at most so many traces of each mark, from the whole range of durations.
MOST_TRACES = 500

#: What the colours of a comparison mean; grey has another meaning in each page.
COLOURS = "Red: slower or new; blue: faster or gone"

_ON_PATH = "time on the critical path in a trace"
_OWN = "own time of the step in a trace"

#: The heads of :func:`path_cells`.
PATH_HEADS = ("share", "self", "with below", "awaited", "on path", "saved", "by half", "slack")
_CHANGE_HEADS = ("change", "before", "after", "traces before", "traces after", "errors", "p", "slower")


def of_paths(groups: Sequence[Group], link: str = "", note: str = "") -> Iterator[str]:
    """The page of the critical path of a set. *link*: the address of a trace's page, with ``{id}``.

    *note*: what the title says of the set.
    """
    everything = next((group for group in groups if group.name == path_set.ALL), None)
    profiles = everything.profiles if everything else ()
    shown = [summary.step for summary in everything.steps if summary.exclusive_us] if everything else []
    position = positions(shown)
    views = [
        {
            "name": group.name,
            "facts": _facts(group.profiles),
            "note": _note(_ON_PATH),
            "weights": _weights(position, {each.step: each.exclusive_us for each in group.steps}),
            "rows": [
                [position[each.step], path_cells(each, group)]
                for each in group.steps
                if each.on_path and each.step in position
            ],
        }
        for group in groups
    ]
    marked = [(profile, int(profile.failed)) for profile in profiles]
    title = f"Critical path of {wording.counted(len(profiles), 'trace')}{f' ({note})' if note else ''}"
    errors = [
        [f"{error.kind} in {error.step.operation}", error.traces, error.reached_root, error.levels, error.examples]
        for error in path_set.error_paths(profiles)
    ]
    data = {
        "title": title,
        "measure": _ON_PATH,
        "heads": PATH_HEADS,
        "marks": ["", "failed"],
        "first": path_set.ALL,
        "errors": errors,
    }
    return _page(data, position, views, marked, link, lambda times: times.exclusive_us, split=False)


def of_change(
    changes: Sequence[StepChange],
    before: Sequence[TraceProfile],
    after: Sequence[TraceProfile],
    names: tuple[str, str] = ("before", "after"),
    link: str = "",
) -> Iterator[str]:
    """The page of the comparison of two sets, named *names*."""
    position = positions([change.step for change in changes])
    rows = [[position[change.step], _change_cells(change)] for change in changes]
    tones = {change.step: _tone(change) for change in changes}
    views = [
        {
            "name": name,
            "facts": _facts(profiles),
            "note": f"Width: {_OWN}, on average, {name}. {COLOURS}; grey: no change that is sure.",
            "weights": _weights(position, {each.step: getattr(each, field) for each in changes}),
            "tones": _weights(position, tones),
            "rows": rows,
        }
        for name, profiles, field in zip(names, (before, after), ("before_mean_us", "after_mean_us"), strict=True)
    ]
    marked = [(profile, i) for i, profiles in enumerate((before, after)) for profile in profiles]
    sure = sum(change.kind != "same" for change in changes)
    sizes = [f"{wording.counted(len(side), 'trace')} {name}" for name, side in zip(names, (before, after), strict=True)]
    data = {
        "title": f"{', '.join(sizes)}: "
        + (f"{wording.counted(sure, 'step')} changed" if sure else none_sure(len(before), len(after))),
        "measure": _OWN,
        "heads": _CHANGE_HEADS,
        "marks": list(names),
        "first": names[1],
        "errors": [],
    }
    return _page(data, position, views, marked, link, lambda times: times.own_us, split=True)


def _page(
    data: dict[str, Any],
    position: Mapping[Step, int],
    views: Sequence[Mapping[str, Any]],
    marked: Sequence[tuple[TraceProfile, int]],
    link: str,
    time_us: Callable[[StepTimes], int],
    split: bool,
) -> Iterator[str]:
    series: dict[int, list[list[int]]] = {i: [[] for _ in data["marks"]] for i in position.values()}
    for profile, mark in marked:
        for step, times in profile.steps.items():
            if step in position and times.spans:
                series[position[step]][mark if split else 0].append(time_us(times))
    data |= {
        "link": link,
        "step": "step",
        "steps": [[*_named(step), -1 if step.above is None else position[step.above]] for step in position],
        "views": views,
        "spread": [histogram.of(*(some if split else some[:1])) for some in series.values()],
        "traces": [_trace(*each, position, time_us) for each in _chosen(marked, len(data["marks"]))],
        "of": len(marked),
    }
    return text(data)


def text(data: Mapping[str, Any]) -> Iterator[str]:
    """The page of *data*, in pieces."""
    return html_page.text("set.html", _STYLES, _SCRIPTS, data["title"], [html_page.json_text(data)])


def _note(measure: str) -> str:
    return f"Width: {measure}. Click a step to choose it and to zoom."


def _named(step: Step) -> list[str]:
    return [wording.one_line(step.place), wording.one_line(step.operation)]


def of_statistics(periods: Mapping[str, Sequence[OperationStats]], counts: Mapping[str, int]) -> Iterator[str]:
    """The page of statistics. *periods*: the operations of each period, by its name; the first period is the whole set.

    *counts*: how many traces each period has.
    """
    first = next(iter(periods))
    position = {(stats.place, stats.operation): i for i, stats in enumerate(periods[first])}
    views = []
    for name, operations in periods.items():
        weights = [0] * len(position)
        for stats in operations:
            weights[position[stats.place, stats.operation]] = stats.self_us
        rows = [[position[stats.place, stats.operation], statistics_cells(stats)] for stats in operations]
        facts, note = wording.counted(counts[name], "trace"), _note("own time of the operation, in all traces together")
        views.append({"name": name, "facts": facts, "note": note, "weights": weights, "rows": rows})
    data = {
        "title": f"Statistics of {wording.counted(counts[first], 'trace')}",
        "step": "operation",
        "heads": STATISTICS_HEADS,
        "marks": [""],
        "first": first,
        "errors": [],
        "link": "",
        "steps": [[wording.one_line(place), wording.one_line(operation), -1] for place, operation in position],
        "views": views,
        "spread": [[stats.edges_us, [stats.counts]] for stats in periods[first]],
        "traces": [],
        "of": 0,
    }
    return text(data)


#: The heads of :func:`statistics_cells`.
STATISTICS_HEADS = ("count", "total", "self", "p50", "p95", "p99", "max", "errors", "unfinished")


def statistics_cells(stats: OperationStats) -> list[str]:
    """The figures of an operation, as the terminal and the page show them."""
    times = (stats.total_us, stats.self_us, stats.p50_us, stats.p95_us, stats.p99_us, stats.max_us)
    return [str(stats.count), *map(wording.duration, times), str(stats.errors), str(stats.unfinished)]


def _weights(position: Mapping[Step, int], values: Mapping[Step, float]) -> list[float]:
    return [round(values.get(step, 0), 3) for step in position]


def _facts(profiles: Sequence[TraceProfile]) -> str:
    lengths = [profile.duration_us for profile in profiles]
    if not lengths:
        return "no traces"
    least, most, mean = (wording.duration(each) for each in (min(lengths), max(lengths), sum(lengths) // len(lengths)))
    return f"{wording.counted(len(lengths), 'trace')}, {least} to {most}, mean {mean}"


def path_cells(summary: StepSummary, group: Group) -> list[str]:
    """The figures of a step of a critical path, as the terminal and the page show them."""
    times = (summary.exclusive_us, summary.inclusive_us, summary.waiting_us)
    saved = (summary.saved_us, summary.saved_by_half_us)
    return [
        f"{100 * summary.exclusive_us / max(group.duration_us, 1):.1f} %",
        *(_time(time) for time in times),
        f"{100 * summary.on_path / len(group.profiles):.0f} %",
        *(_time(time) for time in saved),
        "" if summary.slack_us is None else wording.duration(summary.slack_us),
    ]


def _change_cells(change: StepChange) -> list[str]:
    errors = change.after_errors - change.before_errors
    return [
        change.kind if change.kind == "same" else f"{change.kind} {wording.signed(round(change.change_us))}",
        wording.duration(change.before_us),
        wording.duration(change.after_us),
        str(change.before_traces),
        str(change.after_traces),
        f"{errors:+d}" if errors else "",
        f"{change.p:.2g}",
        f"{100 * change.slower_share:.0f} %",
    ]


def _tone(change: StepChange) -> float:
    """The colour of a step in the flame graph: from -1, all of its time is saved, to 1, all is new. 0: not sure."""
    most = max(change.before_mean_us, change.after_mean_us)
    return 0.0 if change.kind == "same" or not most else change.change_us / most


def _time(us: float) -> str:
    return wording.duration(round(us)) if us >= 1 else ""


def _chosen(marked: Sequence[tuple[TraceProfile, int]], marks: int) -> Iterator[tuple[TraceProfile, int]]:
    """At most ``MOST_TRACES`` of each mark, by duration, from the whole range; the slowest one is among them."""
    for mark in range(marks):
        some = sorted((each for each in marked if each[1] == mark), key=lambda each: each[0].duration_us)
        share = max(len(some) / MOST_TRACES, 1)
        yield from (some[min(round((i + 1) * share), len(some)) - 1] for i in range(min(len(some), MOST_TRACES)))


def _trace(
    profile: TraceProfile, mark: int, position: Mapping[Step, int], time_us: Callable[[StepTimes], int]
) -> list[Any]:
    times: dict[int, int] = {}
    for step, each in profile.steps.items():
        if step in position and time_us(each):
            times[position[step]] = time_us(each)
    started = timestamp(profile.start_us).replace("T", " ")[:19] + " UTC"
    return [profile.base_id, started, profile.duration_us, mark, times]
