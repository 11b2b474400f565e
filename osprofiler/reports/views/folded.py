# SPDX-License-Identifier: Apache-2.0
"""Folded stacks, the text that flame-graph tools read: FlameGraph's flamegraph.pl, inferno, speedscope.

Each line has the steps from the root down, with semicolons between, and a number of microseconds. With two numbers,
before and after, it is what FlameGraph's ``difffolded.pl`` writes and ``flamegraph.pl`` draws in two colours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from osprofiler.reports import wording
from osprofiler.reports.analysis.calling_context import Step


def lines(rows: Iterable[tuple[Step, tuple[float, ...]]]) -> Iterator[str]:
    """One line for each row: a step, and its own microseconds. Rows whose numbers all round to 0 are left out."""
    for step, times_us in rows:
        rounded = [round(time_us) for time_us in times_us]
        if any(rounded):
            yield f"{';'.join(map(frame, step.path()))} {' '.join(map(str, rounded))}\n"


def frame(step: Step) -> str:
    """The name of a step in a stack. A semicolon in it becomes a comma: it would begin another frame."""
    name = wording.one_line(step.operation) + (f" [{step.place}]" if step.place else "")
    return name.replace(";", ",")
