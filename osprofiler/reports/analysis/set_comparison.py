# SPDX-License-Identifier: Apache-2.0
"""Compare two sets of traces: which steps became slower or faster, appeared or vanished, and how sure that is.

A step is compared by its own time in each trace: so the step to look at is named, and not the steps above it. Times are
skewed and have outliers, so their ranks are compared (the Mann-Whitney U test), and not their means. How many traces
have the step is compared with Fisher's exact test. Both make hundreds of tests, of which some would look like a change
by chance: the p-values are corrected together by the method of Benjamini and Hochberg.

The tests need SciPy (the extra ``analysis``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from osprofiler import exc
from osprofiler.reports.analysis.calling_context import Step
from osprofiler.reports.analysis.statistics import percentile

if TYPE_CHECKING:
    from osprofiler.reports.analysis.trace_profile import TraceProfile

#: A change counts if its corrected p-value is below this: of 100 named changes, one is expected to be chance.
SURE = 0.01

#: With fewer values on one side the ranks cannot show a change.
_FEWEST = 4


@dataclass(slots=True)
class StepChange:
    """One step in two sets. Times are the step's own time in a trace that has the step, in microseconds."""

    step: Step
    before_traces: int
    after_traces: int
    before_us: int  # medians
    after_us: int
    before_mean_us: float  # a trace of the set: traces without the step count as 0
    after_mean_us: float
    before_errors: int
    after_errors: int
    kind: str = "same"  # "slower", "faster", "appeared", "vanished" (in whole or for some traces), or "same"
    slower_share: float = 0.5  # how often a value of after is larger than one of before; 0.5: no difference
    p: float = 1.0  # corrected

    @property
    def change_us(self) -> float:
        """The change of its own time, a trace."""
        return self.after_mean_us - self.before_mean_us


def compare(before: Sequence[TraceProfile], after: Sequence[TraceProfile]) -> list[StepChange]:
    """All steps; the sure changes first, the largest at the top.

    Raises CommandError if SciPy is missing.
    """
    stats = _scipy_stats()
    changes: list[StepChange] = []
    tests: list[tuple[StepChange, str, float]] = []
    sides = [_own_times(profiles) for profiles in (before, after)]
    counts = len(before), len(after)
    for step in sorted(sides[0].keys() | sides[1].keys(), key=lambda each: each.number):
        values = [sorted(side.get(step, ())) for side in sides]
        change = StepChange(
            step,
            before_traces=len(values[0]),
            after_traces=len(values[1]),
            before_us=percentile(values[0], 50),
            after_us=percentile(values[1], 50),
            before_mean_us=sum(values[0]) / max(counts[0], 1),
            after_mean_us=sum(values[1]) / max(counts[1], 1),
            before_errors=_errors(before, step),
            after_errors=_errors(after, step),
        )
        changes.append(change)
        if min(counts) >= _FEWEST and change.before_traces * counts[1] != change.after_traces * counts[0]:
            table = [[len(side), count - len(side)] for side, count in zip(values, counts, strict=True)]
            more = change.after_traces * counts[0] > change.before_traces * counts[1]
            tests.append((change, "appeared" if more else "vanished", stats.fisher_exact(table).pvalue))
        if min(map(len, values)) >= _FEWEST and values[0] != values[1]:
            test = stats.mannwhitneyu(values[1], values[0], alternative="two-sided", method="asymptotic")
            change.slower_share = float(test.statistic) / (len(values[0]) * len(values[1]))
            tests.append((change, "slower" if change.slower_share > 0.5 else "faster", test.pvalue))
    corrected = stats.false_discovery_control([p for _, _, p in tests]) if tests else []
    for (change, kind, _), p in zip(tests, corrected, strict=True):
        if p < SURE and (change.kind == "same" or p < change.p):
            change.kind = kind
        change.p = min(change.p, float(p))
    return sorted(changes, key=lambda change: (change.kind == "same", -abs(change.change_us), change.step.number))


def none_sure(before: int, after: int) -> str:
    """The result for sets of *before* and *after* traces in which no step changed for sure."""
    why = f": a set of fewer than {_FEWEST} traces cannot show a change" if min(before, after) < _FEWEST else ""
    return f"no step changed for sure{why}"


def _own_times(profiles: Sequence[TraceProfile]) -> dict[Step, list[int]]:
    values: dict[Step, list[int]] = {}
    for profile in profiles:
        for step, times in profile.steps.items():
            if times.spans:
                values.setdefault(step, []).append(times.own_us)
    return values


def _errors(profiles: Sequence[TraceProfile], step: Step) -> int:
    return sum(times.errors for profile in profiles if (times := profile.steps.get(step)) is not None)


def check_library() -> None:
    """Raise CommandError if SciPy is missing: better before the traces are read than after."""
    _scipy_stats()


def _scipy_stats() -> Any:
    try:
        from scipy import stats
    except ImportError:
        raise exc.CommandError("comparing sets of traces needs SciPy: pip install 'osprofiler[analysis]'") from None
    return stats
