# SPDX-License-Identifier: Apache-2.0
"""The comparison of two traces as one HTML file: their steps as a tree, which appeared, vanished, or took another time.

The page is that of sets of traces; ``set_html`` describes its data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from osprofiler.reports import wording
from osprofiler.reports.analysis.comparison import Step
from osprofiler.reports.model import Trace
from osprofiler.reports.views import set_html

_HEADS = (
    "change",
    "self before",
    "self after",
    "total before",
    "total after",
    "spans before",
    "spans after",
    "failures",
)


def text(before: Trace, after: Trace, steps: Sequence[Step], min_change_us: int = 0) -> Iterator[str]:
    """The page, in pieces. *steps* of ``comparison.compare``; changes below *min_change_us* do not count."""
    position = {id(step): i for i, step in enumerate(steps)}
    kinds = [_kind(step, min_change_us) for step in steps]
    order = sorted(range(len(steps)), key=lambda i: (kinds[i] == "same", -abs(steps[i].self_change_us), i))
    rows = [[i, _cells(steps[i], kinds[i])] for i in order]
    tones = [_tone(step, kind) for step, kind in zip(steps, kinds, strict=True)]
    # A step of no time of its own still has a place in the picture of both.
    weights = {
        "both": [max(step.before.self_us, step.after.self_us, 1) for step in steps],
        "before": [step.before.self_us for step in steps],
        "after": [step.after.self_us for step in steps],
    }
    facts = {"before": _facts(before), "after": _facts(after)}
    facts["both"] = f"before: {facts['before']}; after: {facts['after']}"
    change_us = (after.end_us - after.start_us) - (before.end_us - before.start_us)
    changed = sum(kind != "same" for kind in kinds)
    data = {
        "title": f"{_name(after)}: {wording.signed(change_us)}, "
        + (f"{wording.counted(changed, 'step')} changed" if changed else "no step changed"),
        "step": "step",
        "heads": _HEADS,
        "marks": ["before", "after"],
        "first": "both",
        "tree": True,
        "errors": [],
        "link": "",
        "steps": [[step.place, wording.one_line(step.operation), position.get(id(step.above), -1)] for step in steps],
        "views": [
            {
                "name": name,
                "facts": facts[name],
                "note": _NOTES[name],
                "weights": weights[name],
                "tones": tones,
                "rows": rows,
            }
            for name in weights
        ],
        "spread": [[[], []] for _ in steps],
        "traces": [],
        "of": 0,
    }
    return set_html.text(data)


_NOTES = {
    "both": f"Width: own time of the step, in the trace in which it took longer. {set_html.COLOURS}; grey: the same.",
    "before": f"Width: own time of the step before. {set_html.COLOURS}; grey: the same.",
    "after": f"Width: own time of the step after. {set_html.COLOURS}; grey: the same.",
}


def _kind(step: Step, min_change_us: int) -> str:
    small = step.before.count and step.after.count and abs(step.self_change_us) < min_change_us
    return "same" if small else step.kind


def _name(trace: Trace) -> str:
    return wording.one_line(trace.roots[0].operation) if trace.roots else "empty trace"


def _facts(trace: Trace) -> str:
    took = wording.duration(trace.end_us - trace.start_us)
    return f"{wording.one_line(trace.base_id)}, {took}, {wording.summary(trace)}"


def _cells(step: Step, kind: str) -> list[str]:
    sums = (step.before, step.after)
    failures = step.failure_change
    return [
        kind if kind == "same" else f"{kind} {wording.signed(step.self_change_us)}",
        *(wording.duration(each.self_us) if each.count else "" for each in sums),
        *(wording.duration(each.total_us) if each.count else "" for each in sums),
        *(str(each.count or "") for each in sums),
        f"{failures:+d}" if failures else "",
    ]


def _tone(step: Step, kind: str) -> float:
    """The colour: from -1, all of the step is gone, to 1, all is new. 0: the same."""
    if kind in ("appeared", "vanished"):
        return 1.0 if kind == "appeared" else -1.0
    most = max(step.before.self_us, step.after.self_us)
    return 0.0 if kind == "same" or not most else step.self_change_us / most
