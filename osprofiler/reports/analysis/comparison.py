# SPDX-License-Identifier: Apache-2.0
"""Compare two traces: which steps became slower or faster, appeared or vanished.

Ids and times of day always differ between two traces. So spans are matched by their place in the tree: spans with the
same operation and service, below the same operations and services, are one *step* of the request. Example: a request
runs the same query ten times in one trace and eleven times in the other; this is one step, with ten and eleven spans.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from osprofiler.reports import wording
from osprofiler.reports.analysis.statistics import self_us
from osprofiler.reports.model import Trace


@dataclass(slots=True)
class Sums:
    """The spans of one step in one trace; times in microseconds."""

    count: int = 0
    total_us: int = 0
    self_us: int = 0
    errors: int = 0
    unfinished: int = 0


@dataclass(slots=True, eq=False)
class Step:
    """One step of the request, in both traces."""

    place: str  # the service
    operation: str
    above: Step | None  # None for a root
    before: Sums = field(default_factory=Sums)
    after: Sums = field(default_factory=Sums)

    @property
    def kind(self) -> str:
        """``appeared``, ``vanished``, ``slower``, ``faster`` (by its own time, without the steps below) or ``same``."""
        if not self.before.count:
            return "appeared"
        if not self.after.count:
            return "vanished"
        return "slower" if self.self_change_us > 0 else "faster" if self.self_change_us < 0 else "same"

    @property
    def self_change_us(self) -> int:
        """How much its own time grew, in microseconds."""
        return self.after.self_us - self.before.self_us

    @property
    def total_change_us(self) -> int:
        """How much its time grew, with the steps below, in microseconds."""
        return self.after.total_us - self.before.total_us

    @property
    def failure_change(self) -> int:
        """How many more spans failed or did not end."""
        return self.after.errors + self.after.unfinished - self.before.errors - self.before.unfinished

    def path(self) -> Iterator[Step]:
        """This step, the step above it, and so on up to a root."""
        at: Step | None = self
        while at is not None:
            yield at
            at = at.above


def compare(before: Trace, after: Trace) -> list[Step]:
    """All steps of the two traces: the steps of *before* in its order, then the steps that appeared in *after*.

    Each step comes after the step above it.
    """
    steps: dict[tuple[int, str, str], Step] = {}
    for trace, is_after in (before, False), (after, True):
        above: list[Step] = []  # the steps of the spans above the current span
        for depth, span in trace.walk():
            del above[depth:]
            parent = above[-1] if above else None
            key = id(parent), wording.place(span), span.operation
            step = steps.get(key)
            if step is None:
                step = steps[key] = Step(key[1], key[2], parent)
            above.append(step)
            sums = step.after if is_after else step.before
            sums.count += 1
            sums.total_us += span.duration_us or 0
            sums.self_us += self_us(span)
            sums.errors += span.error is not None
            sums.unfinished += not span.finished
    return list(steps.values())
