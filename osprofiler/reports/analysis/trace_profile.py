# SPDX-License-Identifier: Apache-2.0
"""What one trace tells of each of its steps: times, errors, and its part in the critical path.

A set of traces is the sum of such profiles. A profile is small: it grows with the number of different steps, not with
the number of spans. So the traces themselves can be forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from osprofiler.reports.analysis import critical_path, replay, timeline
from osprofiler.reports.analysis.calling_context import Step, Steps
from osprofiler.reports.analysis.statistics import self_us
from osprofiler.reports.model import SpanNode, Trace

#: What would be saved is found for steps that hold at least 1/REPLAYED of the path's time. So the work stays linear.
REPLAYED = 100


@dataclass(slots=True)
class StepTimes:
    """The spans of one step in one trace; times in microseconds."""

    spans: int = 0
    own_us: int = 0  # without the time in which it waited for children
    total_us: int = 0
    errors: int = 0
    unfinished: int = 0
    path_spans: int = 0  # how many of the spans are on the critical path
    exclusive_us: int = 0  # its time on the path, with the time before its spans began (``waiting_us``)
    waiting_us: int = 0
    inclusive_us: int = 0  # exclusive_us of this step and of all steps below
    slack_us: int | None = None  # how much later any of its spans could have ended for free; None: nobody waited
    saved_us: int = 0  # if its own work took no time
    saved_by_half_us: int = 0


class Origin(NamedTuple):
    """A span in which an error began: no span below it failed."""

    step: Step
    kind: str
    levels: int  # how many spans above it failed too, without a gap
    reached_root: bool  # the request failed because of it


@dataclass(slots=True)
class TraceProfile:
    """The profile of one trace."""

    base_id: str
    start_us: int  # since the epoch
    duration_us: int  # of the request: the length of its critical path
    spans: int
    steps: dict[Step, StepTimes] = field(default_factory=dict)
    origins: list[Origin] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return bool(self.origins)


def of(trace: Trace, steps: Steps, *, path: bool = True) -> TraceProfile:
    """The profile of *trace*; its steps come from *steps*. Without *path*, all fields of the path stay 0."""
    step_of = steps.of(trace)
    profile = TraceProfile(trace.base_id, trace.start_us, trace.end_us - trace.start_us, len(trace.spans))
    for trace_id, span in trace.spans.items():
        step = step_of[trace_id]
        times = profile.steps.get(step)
        if times is None:
            times = profile.steps[step] = StepTimes()
        times.spans += 1
        times.own_us += self_us(span)
        times.total_us += span.duration_us or 0
        times.errors += span.error is not None
        times.unfinished += not span.finished
        if span.error is not None and not any(child.error is not None for child in span.children):
            profile.origins.append(_origin(trace, span, step))
    if path:
        _add_path(profile, trace, steps, step_of)
    return profile


def _origin(trace: Trace, span: SpanNode, step: Step) -> Origin:
    levels, at = 0, span
    while True:
        above = trace.spans.get(at.parent_id)
        if above is None or above.error is None or levels > len(trace.spans):
            return Origin(step, span.error or "", levels, above is None)
        at, levels = above, levels + 1


def _add_path(profile: TraceProfile, trace: Trace, steps: Steps, step_of: dict[str, Step]) -> None:
    path = critical_path.find(trace)
    profile.duration_us = path.to_us - path.from_us
    client = steps.step("", critical_path.CLIENT.operation)
    on_path: set[str] = set()
    for section in path.sections:
        trace_id = section.span.trace_id
        step = step_of.get(trace_id, client)
        times = profile.steps.get(step) or profile.steps.setdefault(step, StepTimes())
        if trace_id not in on_path:
            on_path.add(trace_id)
            times.path_spans += 1
        length_us = section.to_us - section.from_us
        times.exclusive_us += length_us
        times.waiting_us += length_us if section.waiting else 0
    # A step has a larger number than the step above it, so this goes from the leaves up.
    for step in sorted(profile.steps, key=lambda each: -each.number):
        times = profile.steps[step]
        times.inclusive_us += times.exclusive_us
        if step.above is not None:
            profile.steps[step.above].inclusive_us += times.inclusive_us
    _add_replays(profile, replay.Replay(trace, path), step_of)


def _add_replays(profile: TraceProfile, replayed: replay.Replay, step_of: dict[str, Step]) -> None:
    numbers: dict[Step, list[int]] = {}
    slack = replayed.slack_us()
    for trace_id, number in replayed.numbers.items():
        step = step_of[trace_id]
        numbers.setdefault(step, []).append(number)
        free_us, times = slack[number], profile.steps[step]
        if free_us is not None and (times.slack_us is None or free_us < times.slack_us):
            times.slack_us = free_us
    for step, times in profile.steps.items():
        if times.exclusive_us * REPLAYED >= profile.duration_us > 0:
            chosen = numbers.get(step, [timeline.CLIENT])
            times.saved_us = replayed.saved_us(chosen, 0.0)
            times.saved_by_half_us = replayed.saved_us(chosen, 0.5)


#: Steps and profiles without references to one another, for another process.
Packed = tuple[list[tuple[int, str, str]], list[tuple[Any, ...]]]


def packed(profiles: Iterable[TraceProfile], steps: Steps) -> Packed:
    """*profiles*, whose steps are of *steps*, in a form that can be pickled however deep a trace is."""
    table = [(-1 if step.above is None else step.above.number, step.place, step.operation) for step in steps.all]
    rows = [
        (
            (profile.base_id, profile.start_us, profile.duration_us, profile.spans),
            [(step.number, times) for step, times in profile.steps.items()],
            [(origin.step.number, *origin[1:]) for origin in profile.origins],
        )
        for profile in profiles
    ]
    return table, rows


def unpacked(data: Packed, steps: Steps) -> Iterator[TraceProfile]:
    """The profiles in *data*, with the steps of *steps*."""
    table, rows = data
    known: list[Step] = []
    for above, place, operation in table:
        known.append(steps.step(place, operation, known[above] if above >= 0 else None))
    for fields, times, origins in rows:
        profile = TraceProfile(*fields)
        profile.steps = {known[number]: each for number, each in times}
        profile.origins = [Origin(known[number], *rest) for number, *rest in origins]
        yield profile
