# SPDX-License-Identifier: Apache-2.0
"""The steps of a set of traces: spans with the same operations and services from the root down are one step.

Ids and times differ between traces. Steps are what the traces of a set have in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from osprofiler.reports import wording
from osprofiler.reports.model import SpanNode, Trace


class Step:
    """One calling context: the operation of a service, under the step *above*. Equal only to itself."""

    __slots__ = ("above", "below", "number", "operation", "place")

    def __init__(self, place: str, operation: str, above: Step | None, number: int) -> None:
        self.place = place  # the service; "" if unknown
        self.operation = operation
        self.above = above  # None: a root
        self.number = number  # in ``Steps.all``; larger than that of the step above
        self.below: dict[tuple[str, str], Step] = {}

    def upwards(self) -> Iterator[Step]:
        """This step, the step above it, and so on up to the root."""
        at: Step | None = self
        while at is not None:
            yield at
            at = at.above

    def path(self) -> list[Step]:
        """The steps from the root to this one."""
        return list(self.upwards())[::-1]


class Steps:
    """All steps of a set, each once."""

    def __init__(self) -> None:
        self.all: list[Step] = []
        self._roots: dict[tuple[str, str], Step] = {}

    def step(self, place: str, operation: str, above: Step | None = None) -> Step:
        """The step of *operation* of the service *place*, under *above*."""
        known = self._roots if above is None else above.below
        step = known.get((place, operation))
        if step is None:
            step = known[place, operation] = Step(place, operation, above, len(self.all))
            self.all.append(step)
        return step

    def of(self, trace: Trace) -> dict[str, Step]:
        """The step of each span of *trace*, by the span's id. A parent comes before its children."""
        steps: dict[str, Step] = {}
        waiting: list[tuple[SpanNode, Step | None]] = [(root, None) for root in reversed(trace.roots)]
        while waiting:
            span, above = waiting.pop()
            steps[span.trace_id] = step = self.step(wording.place(span), span.operation, above)
            if span.children:
                waiting += [(child, step) for child in reversed(span.children)]
        return steps


def positions(shown: Iterable[Step]) -> dict[Step, int]:
    """The positions of the steps *shown* and of all steps above them; a step comes after the one above it."""
    known: set[Step] = set()
    for step in shown:
        for each in step.upwards():
            if each in known:  # so are the steps above it
                break
            known.add(each)
    return {step: i for i, step in enumerate(sorted(known, key=lambda step: step.number))}
