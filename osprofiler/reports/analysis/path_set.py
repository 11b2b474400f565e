# SPDX-License-Identifier: Apache-2.0
"""The critical path of a set of traces: which steps hold the time, in the usual traces and in the slow ones.

The groups are those of CRISP (Zhang et al., USENIX ATC 2022): of the traces sorted by the length of their paths,
``p90`` is the fastest 90 %. So ``p99`` is nearly the whole set. Two more groups show what it hides: the slowest traces,
and those that failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from osprofiler.reports.analysis.calling_context import Step
from osprofiler.reports.analysis.statistics import percentile
from osprofiler.reports.analysis.trace_profile import StepTimes, TraceProfile

PERCENTILES = (50, 90, 95, 99)

#: The group of the traces slower than the 95th percentile; of a small set the slowest trace.
SLOWEST = "slowest"
FAILED = "failed"
ALL = "all"


@dataclass(slots=True)
class StepSummary:
    """One step in a group of traces. Times are microseconds a trace of the group, on average."""

    step: Step
    traces: int = 0  # in which it occurs
    on_path: int = 0  # traces in which it is on the critical path
    spans: int = 0  # on the path, in all traces
    exclusive_us: float = 0.0
    waiting_us: float = 0.0  # the part of exclusive_us before its spans began
    inclusive_us: float = 0.0
    saved_us: float = 0.0  # if its own work took no time
    saved_by_half_us: float = 0.0
    slack_us: int | None = None  # median of the traces in which something waited for it
    errors: int = 0
    slacks_us: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Group:
    """Some traces of a set; ``steps`` with the most exclusive time first."""

    name: str
    profiles: Sequence[TraceProfile]  # by duration
    steps: list[StepSummary]

    @property
    def duration_us(self) -> float:
        """The mean length of their paths."""
        return sum(profile.duration_us for profile in self.profiles) / max(len(self.profiles), 1)


@dataclass(slots=True)
class ErrorPath:
    """Errors of one kind that began in one step."""

    step: Step
    kind: str
    traces: int = 0
    spans: int = 0
    levels: int = 0  # the most spans above that failed with it
    reached_root: int = 0  # traces whose request failed because of it
    examples: list[str] = field(default_factory=list)  # ids of traces


_MOST_EXAMPLES = 5


def groups(profiles: Iterable[TraceProfile]) -> list[Group]:
    """The groups of a set that are not empty: the percentiles, then all, the slowest, and the failed traces."""
    ordered = sorted(profiles, key=lambda profile: profile.duration_us)
    count = len(ordered)
    chosen = {f"p{percent}": ordered[: _rank(count, percent)] for percent in PERCENTILES}
    chosen[ALL] = ordered
    chosen[SLOWEST] = ordered[min(_rank(count, 95), count - 1) :] if count else []
    chosen[FAILED] = [profile for profile in ordered if profile.failed]
    return [Group(name, some, summaries(some)) for name, some in chosen.items() if some]


def _rank(count: int, percent: int) -> int:
    return -(-count * percent // 100)


def summaries(profiles: Sequence[TraceProfile]) -> list[StepSummary]:
    """The steps of *profiles*; the one with the most exclusive time comes first."""
    by_step: dict[Step, StepSummary] = {}
    for profile in profiles:
        for step, times in profile.steps.items():
            summary = by_step.get(step)
            if summary is None:
                summary = by_step[step] = StepSummary(step)
            _add(summary, times)
    for summary in by_step.values():
        for name in ("exclusive_us", "waiting_us", "inclusive_us", "saved_us", "saved_by_half_us"):
            setattr(summary, name, getattr(summary, name) / len(profiles))
        summary.slack_us = percentile(sorted(summary.slacks_us), 50) if summary.slacks_us else None
    return sorted(
        by_step.values(), key=lambda summary: (-summary.exclusive_us, -summary.inclusive_us, summary.step.number)
    )


def _add(summary: StepSummary, times: StepTimes) -> None:
    summary.traces += times.spans > 0
    summary.on_path += times.path_spans > 0
    summary.spans += times.path_spans
    summary.exclusive_us += times.exclusive_us
    summary.waiting_us += times.waiting_us
    summary.inclusive_us += times.inclusive_us
    summary.saved_us += times.saved_us
    summary.saved_by_half_us += times.saved_by_half_us
    summary.errors += times.errors
    if times.slack_us is not None:
        summary.slacks_us.append(times.slack_us)


def error_paths(profiles: Iterable[TraceProfile]) -> list[ErrorPath]:
    """Where errors began, and how far up they went. What failed the most requests comes first."""
    paths: dict[tuple[Step, str], ErrorPath] = {}
    for profile in profiles:
        seen: dict[tuple[Step, str], bool] = {}
        for origin in profile.origins:
            key = origin.step, origin.kind
            path = paths.setdefault(key, ErrorPath(*key))
            path.spans += 1
            path.levels = max(path.levels, origin.levels)
            seen[key] = seen.get(key, False) or origin.reached_root
        for key, reached_root in seen.items():
            path = paths[key]
            path.traces += 1
            path.reached_root += reached_root
            if len(path.examples) < _MOST_EXAMPLES:
                path.examples.append(profile.base_id)
    return sorted(paths.values(), key=lambda path: (-path.reached_root, -path.traces, path.step.number, path.kind))
