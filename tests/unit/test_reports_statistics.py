# SPDX-License-Identifier: Apache-2.0
"""Self times, statistics and comparisons: cases worked out by hand, and any trace against slow, obvious versions."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osprofiler.reports import model
from osprofiler.reports.analysis import comparison, statistics
from osprofiler.reports.analysis.statistics import self_us
from tests.unit.reports_kit import Made, made, traces


def test_self_time_is_what_no_awaited_child_covers() -> None:
    trace = made(
        Made("a", None, 0, 100),
        Made("b", "a", 10, 40),
        Made("within b", "a", 20, 30),
        Made("overlaps b", "a", 35, 50),
        Made("detached", "a", 60, 70, follows=True),
        Made("unfinished", "a", 75, None),
        Made("outlives a", "a", 90, 130),
    )
    assert self_us(trace.roots[0]) == 10 + 40
    assert [self_us(child) for child in trace.roots[0].children] == [30, 10, 15, 10, 0, 40]


@given(traces())
@settings(max_examples=200)
def test_self_time_against_counting_every_microsecond(trace: model.Trace) -> None:
    for span in trace.spans.values():
        awaited = [child for child in span.children if child.finished and not child.detached]
        alone = [
            at
            for at in range(span.start_us, span.end_us)
            if not any(child.start_us <= at < child.end_us for child in awaited)
        ]
        assert self_us(span) == (len(alone) if span.finished else 0)


@pytest.mark.parametrize(
    ("values", "percent", "found"),
    [([], 99, 0), ([7], 50, 7), ([1, 2, 3, 4], 50, 2), ([1, 2, 3, 4], 51, 3), (list(range(1, 101)), 95, 95),
     (list(range(1, 101)), 99, 99), (list(range(1, 202)), 99, 199), ([1, 2], 100, 2)],
)  # fmt: skip
def test_percentiles_by_nearest_rank(values: list[int], percent: int, found: int) -> None:
    assert statistics.percentile(values, percent) == found


@given(st.lists(st.integers(0, 50), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_smallest_value_that_enough_do_not_exceed(values: list[int], percent: int) -> None:
    enough = [value for value in sorted(values) if sum(v <= value for v in values) * 100 >= percent * len(values)]
    assert statistics.percentile(sorted(values), percent) == enough[0]


def test_statistics_over_several_traces() -> None:
    first = made(Made("get", None, 0, 100), Made("query", "get", 10, 30), Made("broken", "get", 40, None))
    second = made(Made("get", None, 0, 300, info={}), Made("query", "get", 100, 110))
    second.roots[0].error = "ValueError"
    found = {stats.operation: stats for stats in statistics.of([first, second])}
    assert list(found) == ["get", "query", "broken"]
    get = found["get"]
    assert (get.count, get.total_us, get.self_us, get.errors, get.unfinished) == (2, 400, 370, 1, 0)
    assert (get.p50_us, get.p95_us, get.p99_us, get.max_us) == (100, 300, 300, 300)
    broken = found["broken"]
    assert (broken.count, broken.total_us, broken.p50_us, broken.unfinished) == (1, 0, 0, 1)
    assert {stats.place for stats in found.values()} == {"svc"}


def kinds(before: model.Trace, after: model.Trace) -> dict[tuple[str, ...], tuple[Any, ...]]:
    """Path of operations, from the root, to (kind, change of self time, of total)."""
    return {
        tuple(reversed([upper.operation for upper in step.path()])): (
            step.kind,
            step.self_change_us,
            step.total_change_us,
        )
        for step in comparison.compare(before, after)
    }


def test_what_got_slower_appeared_and_vanished() -> None:
    before = made(
        Made("get", None, 0, 100),
        Made("query", "get", 10, 30),
        Made("cache", "get", 40, 50),
        Made("render", "get", 60, 90),
    )
    after = made(
        Made("get", None, 0, 200),
        Made("query", "get", 10, 30),
        Made("query 2", "get", 35, 36),
        Made("render", "get", 60, 160),
        Made("disk", "render", 70, 150),
    )
    assert kinds(before, after) == {
        ("get",): ("slower", 79 - 40, 100),
        ("get", "query"): ("same", 0, 0),
        ("get", "cache"): ("vanished", -10, -10),
        ("get", "render"): ("faster", 20 - 30, 70),
        ("get", "query 2"): ("appeared", 1, 1),
        ("get", "render", "disk"): ("appeared", 80, 80),
    }


def test_the_same_operation_in_two_places_is_two_steps() -> None:
    before = made(Made("a", None, 0, 100), Made("b", "a", 10, 50), Made("x", "b", 20, 30))
    after = made(Made("a", None, 0, 100), Made("b", "a", 10, 50), Made("x", "a", 60, 70))
    found = kinds(before, after)
    assert found["a", "b", "x"] == ("vanished", -10, -10)
    assert found["a", "x"] == ("appeared", 10, 10)


def test_failures_are_compared() -> None:
    before, after = made(Made("a", None, 0, 10)), made(Made("a", None, 0, 10))
    after.roots[0].error = "ValueError"
    (step,) = comparison.compare(before, after)
    assert (step.kind, step.failure_change) == ("same", 1)


def test_steps_come_after_those_above_them() -> None:
    before = made(Made("a", None, 0, 10), Made("b", "a", 1, 2))
    after = made(Made("z", None, 0, 10), Made("a", None, 1, 10), Made("c", "a", 1, 2))
    assert [step.operation for step in comparison.compare(before, after)] == ["a", "b", "z", "c"]


def renamed(trace: model.Trace) -> model.Trace:
    """With few operations, so that spans share steps."""
    for span in trace.spans.values():
        span.operation = f"op {int(span.operation) % 3}"
    return trace


def by_path(trace: model.Trace) -> dict[tuple[str, ...], Counter[str]]:
    """Each span's whole path written out."""
    found: dict[tuple[str, ...], Counter[str]] = {}

    def add(span: model.SpanNode, above: tuple[str, ...]) -> None:
        path = (*above, span.operation)
        sums = found.setdefault(path, Counter())
        sums["count"] += 1
        sums["total_us"] += span.duration_us or 0
        sums["self_us"] += self_us(span)
        sums["errors"] += span.error is not None
        sums["unfinished"] += not span.finished
        for child in span.children:
            add(child, path)

    for root in trace.roots:
        add(root, ())
    return found


@given(traces().map(renamed), traces().map(renamed))
@settings(max_examples=200)
def test_any_two_traces_against_the_slow_version(before: model.Trace, after: model.Trace) -> None:
    steps = comparison.compare(before, after)
    for side, trace in ("before", before), ("after", after):
        found = {}
        for step in steps:
            sums = getattr(step, side)
            if sums.count:
                path = tuple(reversed([upper.operation for upper in step.path()]))
                assert path not in found
                found[path] = Counter(
                    {name: getattr(sums, name) for name in ("count", "total_us", "self_us", "errors", "unfinished")}
                )
        assert found == by_path(trace)


@given(traces())
def test_a_trace_is_the_same_as_itself(trace: model.Trace) -> None:
    assert {step.kind for step in comparison.compare(trace, trace)} == {"same"}
