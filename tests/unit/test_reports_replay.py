# SPDX-License-Identifier: Apache-2.0
"""What a faster step would save, and slack: cases worked out by hand, and any trace against a slow, obvious version."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osprofiler.reports import model
from osprofiler.reports.analysis import critical_path, replay, statistics, timeline
from tests.unit.reports_kit import Made, made, traces


def replayed(trace: model.Trace) -> replay.Replay:
    return replay.Replay(trace, critical_path.find(trace))


def length(trace: model.Trace) -> int:
    path = critical_path.find(trace)
    return path.to_us - path.from_us


def saved(trace: model.Trace, operation: str, factor: float = 0.0) -> int:
    again = replayed(trace)
    return again.saved_us([again.numbers[i] for i, span in trace.spans.items() if span.operation == operation], factor)


def slack(trace: model.Trace, operation: str) -> int | None:
    again = replayed(trace)
    (number,) = (again.numbers[i] for i, span in trace.spans.items() if span.operation == operation)
    return again.slack_us()[number]


SERIAL = made(Made("a", None, 0, 100), Made("b", "a", 10, 40), Made("c", "a", 50, 90))
PARALLEL = made(Made("a", None, 0, 100), Made("quick", "a", 10, 50), Made("slow", "a", 20, 80))


def test_of_work_in_turn_all_of_it_is_saved() -> None:
    assert [saved(SERIAL, name) for name in "abc"] == [30, 30, 40]
    assert [saved(SERIAL, name, 0.5) for name in "abc"] == [15, 15, 20]
    assert [slack(SERIAL, name) for name in "abc"] == [0, 0, 0]


def test_of_work_side_by_side_the_other_branch_is_the_limit() -> None:
    assert (saved(PARALLEL, "slow"), saved(PARALLEL, "slow", 0.5)) == (30, 30)  # quick still ends at 50
    assert (saved(PARALLEL, "quick"), slack(PARALLEL, "quick")) == (0, 30)


def test_branches_of_one_step_become_faster_together() -> None:
    branches = [Made(f"branch{i}", "a", 10, 60 + i) for i in range(3)]
    trace = made(Made("a", None, 0, 100), *branches)
    for span in trace.spans.values():
        span.operation = span.operation.rstrip("012")
    assert saved(trace, "branch") == 52
    again = replayed(trace)
    assert again.saved_us([again.numbers[list(trace.spans)[-1]]], 0.0) == 1


def test_a_join_in_another_span_waits_for_its_branch() -> None:
    trace = made(
        Made("request", None, 0, 100),
        Made("branch", "request", 5, 85),
        Made("finish", "request", 60, 100),
        Made("join", "finish", 86, 86, joins=["branch"]),
        Made("write", "finish", 90, 100),
    )
    assert saved(trace, "branch") == 25  # then the work of "finish" from 60 on is the limit
    assert saved(trace, "write") == 10


def test_nobody_waits_for_a_detached_span() -> None:
    trace = made(Made("a", None, 0, 100), Made("cast", "a", 10, 90, follows=True))
    assert (saved(trace, "cast"), slack(trace, "cast"), saved(trace, "a")) == (0, None, 100)


def test_the_requests_of_a_client_are_in_turn() -> None:
    trace = made(Made("one", None, 0, 40), Made("two", None, 60, 100))
    again = replayed(trace)
    assert saved(trace, "two") == 40
    assert again.saved_us([timeline.CLIENT], 0.0) == 20


@pytest.mark.parametrize("overlap", [1, 4])
def test_siblings_that_overlap_a_little_are_in_turn(overlap: int) -> None:
    trace = made(Made("a", None, 0, 1_000), Made("b", "a", 10, 500 + overlap), Made("c", "a", 500, 990))
    assert saved(trace, "b") == 490


@dataclass(eq=False)
class Node:
    """A span with the times that the definition gives it."""

    span: model.SpanNode | None
    start: int
    end: int
    waited: bool
    children: "list[Node]" = field(default_factory=list)


def built(trace: model.Trace) -> Node:
    path = critical_path.find(trace)
    top = Node(None, path.from_us, path.to_us, False)

    def end(span: model.SpanNode) -> int:
        return span.end_us if span.finished else trace.end_us

    def add(parent: Node, spans: list[model.SpanNode]) -> None:
        for span in spans:
            until = end(span)
            last_hundredth = until - max(1, (until - span.start_us) // 100)
            after = spans[spans.index(span) + 1 :]
            other = next((each for each in after if each.start_us >= last_hundredth), None)
            if other is not None and span.start_us < other.start_us < until:
                overlap = until - other.start_us
                if overlap <= max(1, min(until - span.start_us, end(other) - other.start_us) / 100):
                    until = other.start_us
            above = parent.span
            waits = above is None or (not span.detached and (span.finished or not above.finished))
            begin = max(span.start_us, parent.start)
            waits = waits and begin < parent.end and until > parent.start
            node = Node(span, begin, max(begin, min(until, parent.end)), waits)
            parent.children.append(node)
            add(node, span.children)

    add(top, list(path.of))
    return top


def total(trace: model.Trace, faster: set[str], less: float, later: dict[str, int]) -> float:
    """The length of the request if the own work of *faster* takes *less* of its time; *later*: spans that end later."""
    top = built(trace)

    def again(node: Node, start: float) -> float:
        """The new end of *node*, which now begins at *start*."""
        chosen = node.span is not None and node.span.trace_id in faster
        ends: list[tuple[Node, float]] = []

        def at(time: int) -> float:
            ended = [(child, new) for child, new in ends if child.waited and child.end <= time]
            known = max([node.start, *(child.end for child, _ in ended)])
            ready = max([start, *(new for _, new in ended)])
            alone = 0
            if chosen:
                busy = [(child.start, child.end) for child in node.children if child.waited]
                alone = sum(not any(begin <= i < until for begin, until in busy) for i in range(known, time))
            return ready + (time - known) - less * alone

        for child in sorted(node.children, key=lambda each: (each.start, each.end)):
            ends.append((child, again(child, at(child.start))))
        extra = later.get(node.span.trace_id, 0) if node.span else 0
        return at(node.end) + extra

    return again(top, top.start) - top.start


def without_joins(trace: model.Trace) -> model.Trace:
    for span in trace.spans.values():
        span.links = []
    return trace


@given(traces().map(without_joins), st.data())
@settings(max_examples=120, deadline=None)
def test_any_trace_against_the_slow_version(trace: model.Trace, data: st.DataObject) -> None:
    again = replayed(trace)
    chosen = data.draw(st.sets(st.sampled_from(sorted(again.numbers)))) if again.numbers else set()
    factor = data.draw(st.sampled_from([0.0, 0.5]))
    shorter = length(trace) - total(trace, chosen, 1 - factor, {})
    assert abs(again.saved_us([again.numbers[i] for i in chosen], factor) - shorter) <= 0.5


@given(traces().map(without_joins))
@settings(max_examples=80, deadline=None)
def test_slack_is_what_a_span_could_take_longer(trace: model.Trace) -> None:
    again = replayed(trace)
    free = again.slack_us()
    for trace_id, number in again.numbers.items():
        slack_us = free[number]
        if slack_us is not None:
            assert total(trace, set(), 0.0, {trace_id: slack_us}) == length(trace)
            assert total(trace, set(), 0.0, {trace_id: slack_us + 1}) == length(trace) + 1


class EveryWait(timeline.Timeline):
    """All waits for branches, also those that change nothing."""

    def _waits_anyway(self, number: int, branch: int) -> bool:
        return False

    def _awaited(self, waits: Any) -> set[int]:
        return set(range(len(self.parents)))


@given(traces(), st.data())
@settings(max_examples=150, deadline=None)
def test_any_trace_with_joins_against_a_replay_of_every_event(trace: model.Trace, data: st.DataObject) -> None:
    quick = replayed(trace)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "Timeline", EveryWait)
        slow = replayed(trace)
    assert quick.slack_us() == slow.slack_us()
    chosen = data.draw(st.sets(st.sampled_from(sorted(slow.numbers.values())))) if slow.numbers else set()
    less = data.draw(st.sampled_from([1.0, 0.5]))
    assert quick.saved_us(chosen, 1 - less) == max(round(slow._replayed(chosen, less)), 0)


@pytest.mark.parametrize("follows", [False, True])
def test_the_usual_join_needs_no_replay_of_the_request(follows: bool) -> None:
    """The join begins after its branches; in work that the request waits for, or in that of a cast."""
    trace = made(
        Made("request", None, 0, 100),
        Made("work", "request", 5, 95, follows=follows),
        Made("one", "work", 10, 50),
        Made("other", "work", 12, 70),
        Made("join", "work", 71, 72, joins=["one", "other"]),
    )
    assert replayed(trace)._waiters == {}
    assert saved(trace, "other") == (0 if follows else 20)


@given(traces(), st.data())
@settings(max_examples=80, deadline=None)
def test_what_is_always_true(trace: model.Trace, data: st.DataObject) -> None:
    again = replayed(trace)
    numbers = data.draw(st.sets(st.sampled_from(sorted(again.numbers.values())))) if again.numbers else set()
    assert again.saved_us(numbers, 1.0) == 0
    assert 0 <= again.saved_us(numbers, 0.5) <= again.saved_us(numbers, 0.0) <= length(trace)
    if not any(span.links for span in trace.spans.values()):
        own = sum(statistics.self_us(span) for i, span in trace.spans.items() if again.numbers.get(i) in numbers)
        finished = all(span.finished for span in trace.spans.values())
        assert again.saved_us(numbers, 0.0) <= own or not finished
