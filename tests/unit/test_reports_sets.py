# SPDX-License-Identifier: Apache-2.0
"""Sets of traces: profiles, groups, comparison, statistics, service maps."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osprofiler import reports
from osprofiler.reports import model
from osprofiler.reports.analysis import histogram, path_set, service_map, set_comparison, trace_profile
from osprofiler.reports.analysis.calling_context import Step, Steps
from osprofiler.reports.analysis.trace_profile import TraceProfile
from osprofiler.reports.views import blocks, folded, map_views
from tests.unit import boots
from tests.unit.reports_kit import Made, made, traces
from tests.unit.test_reports_views import troubled


def profiled(trace: model.Trace, steps: Steps, base_id: str = "") -> TraceProfile:
    trace.base_id = base_id or trace.base_id
    return trace_profile.of(trace, steps)


def named(steps: Steps) -> dict[str, Step]:
    return {step.operation: step for step in steps.all}


def test_a_profile_adds_up_the_spans_of_a_step() -> None:
    steps = Steps()
    trace = made(
        Made("a", None, 0, 100), Made("b", "a", 10, 40), Made("c", "b", 20, 30), Made("b2", "a", 50, 90)
    )  # fmt: skip
    for span in trace.spans.values():
        span.operation = span.operation.rstrip("2")
    profile = trace_profile.of(trace, steps)
    a, b, c = (profile.steps[named(steps)[name]] for name in "abc")
    assert (b.spans, b.own_us, b.path_spans, b.exclusive_us, b.inclusive_us) == (2, 60, 2, 60, 70)
    assert (a.exclusive_us, a.inclusive_us, c.exclusive_us) == (30, 100, 10)
    assert (a.saved_us, b.saved_us, b.saved_by_half_us, b.slack_us) == (30, 60, 30, 0)


@given(traces())
@settings(max_examples=100, deadline=None)
def test_the_parts_of_a_profile_add_up(trace: model.Trace) -> None:
    steps = Steps()
    profile = trace_profile.of(trace, steps)
    shares = reports.find_critical_path(trace).shares()
    assert sum(times.exclusive_us for times in profile.steps.values()) == profile.duration_us
    assert sum(times.inclusive_us for step, times in profile.steps.items() if step.above is None) == profile.duration_us
    assert sum(times.path_spans for times in profile.steps.values()) == len(shares)
    assert sum(times.spans for times in profile.steps.values()) == len(trace.spans)
    other = Steps()
    other.step("svc", "already there")
    (again,) = trace_profile.unpacked(trace_profile.packed([profile], steps), other)
    paths = [
        {tuple((each.place, each.operation) for each in step.path()): times for step, times in some.steps.items()}
        for some in (profile, again)
    ]
    assert paths[0] == paths[1]


def test_groups_are_the_fastest_shares_the_slowest_and_the_failed() -> None:
    steps = Steps()
    profiles = [profiled(made(Made("a", None, 0, 10 * i)), steps, str(i)) for i in range(40, 0, -1)]
    failing = profiled(troubled(), steps, "failed")
    groups = {group.name: group for group in path_set.groups([*profiles, failing])}
    assert list(groups) == ["p50", "p90", "p95", "p99", "all", "slowest", "failed"]
    assert [len(group.profiles) for group in groups.values()] == [21, 37, 39, 41, 41, 2, 1]
    assert groups["p50"].profiles[-1].duration_us <= groups["slowest"].profiles[0].duration_us
    only = path_set.groups(profiles[:1])
    assert [len(group.profiles) for group in only] == [1] * 6
    assert path_set.groups([]) == []


def test_a_group_is_the_mean_of_its_traces() -> None:
    steps = Steps()
    with_b = made(Made("a", None, 0, 100), Made("b", "a", 10, 90))
    without = made(Made("a", None, 0, 40))
    (summary_a, summary_b) = sorted(
        path_set.summaries([profiled(with_b, steps), profiled(without, steps)]), key=lambda each: each.step.operation
    )
    assert (summary_b.exclusive_us, summary_b.traces, summary_b.on_path) == (40, 1, 1)
    assert (summary_a.exclusive_us, summary_a.inclusive_us, summary_a.saved_us) == (30, 70, 30)
    lines = folded.lines((each.step, (each.exclusive_us,)) for each in (summary_a, summary_b))
    assert list(lines) == ["a [svc] 30\n", "a [svc];b [svc] 40\n"]


def test_names_cannot_break_a_stack() -> None:
    step = Steps().step("s;1", "a;b\nc")
    assert list(folded.lines([(step, (1, 0))])) == ["a,b c [s,1] 1 0\n"]


def test_errors_are_followed_from_where_they_began() -> None:
    steps = Steps()
    trace = made(Made("a", None, 0, 100), Made("b", "a", 10, 90), Made("c", "b", 20, 30), Made("d", "a", 91, 92))
    for span in trace.spans.values():
        span.error = {"a": "E", "b": "E", "c": "E", "d": "F"}[span.operation]
    kinds = {
        each.kind: each for each in path_set.error_paths([profiled(trace, steps, "x"), profiled(trace, steps, "y")])
    }
    assert (kinds["E"].step.operation, kinds["E"].levels, kinds["E"].reached_root, kinds["E"].traces) == ("c", 2, 2, 2)
    assert (kinds["F"].levels, kinds["F"].examples) == (1, ["x", "y"])


def compared(before: range, after: range, **changed: Any) -> list[set_comparison.StepChange]:
    steps = Steps()
    sides = [
        [trace_profile.of(boots.boot(seed, **more), steps, path=False) for seed in seeds]
        for seeds, more in ((before, {}), (after, changed))
    ]
    return set_comparison.compare(*sides)


@pytest.mark.parametrize("step", ["verify_checksum", "db SELECT"])
def test_a_planted_regression_is_the_first_line(step: str) -> None:
    """One step is 20 % slower in half of 400 boots."""
    first, *others = compared(range(200), range(200, 400), slower={step: 1.2})
    assert (first.step.operation, first.kind) == (step, "slower")
    assert first.change_us / first.before_mean_us == pytest.approx(0.2, abs=0.05)
    assert [change.step.operation for change in others if change.kind != "same"] == []


def alarms(runs: range, boots_a_side: int) -> int:
    starts = [1_000 + 2 * boots_a_side * run for run in runs]
    return sum(
        any(
            change.kind != "same"
            for change in compared(range(at, at + boots_a_side), range(at + boots_a_side, at + 2 * boots_a_side))
        )
        for at in starts
    )


def test_without_a_regression_there_is_no_alarm() -> None:
    assert alarms(range(3), 60) == 0


@pytest.mark.slow
def test_twenty_runs_without_a_regression_raise_at_most_one_alarm() -> None:
    assert alarms(range(20), 200) <= 1


def test_steps_that_appeared_and_vanished() -> None:
    steps = Steps()
    old = [profiled(made(Made("a", None, 0, 100 + i), Made("old", "a", 10, 20)), steps, str(i)) for i in range(12)]
    new = [profiled(made(Made("a", None, 0, 100 + i), Made("new", "a", 10, 20)), steps, str(i)) for i in range(12)]
    kinds = {change.step.operation: change.kind for change in set_comparison.compare(old, new)}
    assert kinds == {"a": "same", "old": "vanished", "new": "appeared"}


def test_a_few_traces_are_never_sure() -> None:
    steps = Steps()
    some = [profiled(made(Made("a", None, 0, length)), steps) for length in (1, 1_000, 2)]
    assert [change.kind for change in set_comparison.compare(some[:2], some[2:])] == ["same"]


@given(st.lists(st.integers(0, 10**7), max_size=40), st.lists(st.integers(0, 10**7), max_size=40))
def test_every_value_is_in_the_bucket_that_holds_it(one: list[int], other: list[int]) -> None:
    edges, counts = histogram.of(one, other)
    assert [sum(each) for each in counts] == [len(one), len(other)]
    assert len(edges) <= histogram.BUCKETS + 1
    for i, (low, high) in enumerate(itertools.pairwise(edges)):
        last = i == len(edges) - 2
        inside = [value for value in one if low <= value < high or (last and value == high)]
        assert counts[0][i] == len(inside)


def test_blocks_show_every_bucket_with_a_value() -> None:
    assert blocks.line([0, 1, 50, 100]) == " ▂▅█"
    assert blocks.line([0, 1, 100], unicode=False) == " :@"
    assert blocks.line([]) == ""


def test_a_service_map_counts_calls_between_services() -> None:
    services = service_map.of([boots.boot(1), boots.boot(2, error_in="wsgi HEAD")])
    assert services.calls["demo-client", "demo-api"].count == 4
    assert services.calls["demo-api", "demo-image"].errors == 1
    assert services.levels()[:2] == [["demo-client"], ["demo-api"]]
    answer = json.loads("".join(map_views.dependencies(services)))
    assert {"parent": "demo-client", "child": "demo-api", "callCount": 4} in answer["data"]
    own = {"parent": "demo-client", "child": "demo-client", "callCount": services.inner["demo-client"]}
    assert own in answer["data"]
    page = map_views.html_text(services)
    assert page.count("<rect") == 6
    assert "<script" not in page
    assert "".join(map_views.dot_text(services)).count("->") == len(services.calls)


def test_a_service_map_of_a_loop_and_of_hostile_names() -> None:
    trace = made(
        Made("a", None, 0, 9, service="<b>"), Made("b", "a", 1, 8, service="y"), Made("c", "b", 2, 7, service="<b>")
    )
    for span, service in zip(trace.spans.values(), ("<b>", 'y"', "<b>"), strict=True):
        span.service = service
    services = service_map.of([trace])
    assert sorted(itertools.chain.from_iterable(services.levels())) == ["<b>", 'y"']
    assert "<b>" not in map_views.html_text(services)
