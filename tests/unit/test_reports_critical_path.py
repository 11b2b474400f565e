# SPDX-License-Identifier: Apache-2.0
"""The critical path: cases worked out by hand, and any trace at all against a version that is slow and obvious."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osprofiler.reports import model
from osprofiler.reports.analysis import critical_path
from osprofiler.testing.records import T0_US, point
from tests.unit import reports_kit
from tests.unit.reports_kit import Made, made, traces


def path(trace: model.Trace, **options: Any) -> list[tuple[Any, ...]]:
    """The sections as (operation, from, to), and a mark at those that wait."""
    return [
        (part.span.operation, part.from_us - T0_US, part.to_us - T0_US, *(["waiting"] if part.waiting else []))
        for part in critical_path.find(trace, **options).sections
    ]


def test_one_call_after_another() -> None:
    trace = made(Made("a", None, 0, 100), Made("b", "a", 10, 40), Made("c", "a", 50, 90), Made("d", "c", 60, 90))
    assert path(trace) == [("a", 0, 10), ("b", 10, 40), ("a", 40, 50), ("c", 50, 60), ("d", 60, 90), ("a", 90, 100)]


def test_of_work_side_by_side_the_last_to_end_counts() -> None:
    trace = made(
        Made("a", None, 0, 100), Made("quick", "a", 10, 30), Made("slow", "a", 12, 80), Made("other", "a", 11, 79)
    )
    assert path(trace) == [("a", 0, 12), ("slow", 12, 80), ("a", 80, 100)]


def test_what_ran_before_the_slowest_branch_was_made_counts_too() -> None:
    trace = made(Made("a", None, 0, 100), Made("first", "a", 10, 30), Made("slow", "a", 40, 100))
    assert path(trace) == [("a", 0, 10), ("first", 10, 30), ("a", 30, 40), ("slow", 40, 100)]


def test_a_sibling_that_ran_on_held_nobody_up() -> None:
    trace = made(Made("a", None, 0, 100), Made("early", "a", 10, 60), Made("late", "a", 50, 90))
    assert path(trace) == [("a", 0, 50), ("late", 50, 90), ("a", 90, 100)]


def test_of_two_that_end_together_it_is_the_longer() -> None:
    trace = made(Made("a", None, 0, 100), Made("short", "a", 90, 95), Made("long", "a", 5, 95))
    assert path(trace) == [("a", 0, 5), ("long", 5, 95), ("a", 95, 100)]


def test_a_branch_is_followed_to_where_it_was_forked() -> None:
    """Forked in "request" at 5, joined in "finish", which began much later."""
    trace = made(
        Made("request", None, 0, 100),
        Made("branch", "request", 5, 85),
        Made("finish", "request", 60, 100),
        Made("join", "finish", 86, 86, joins=["branch"]),
        Made("write", "finish", 90, 100),
    )
    assert path(trace) == [("request", 0, 5), ("branch", 5, 85), ("finish", 85, 90), ("write", 90, 100)]


def test_a_joined_branch_that_ended_long_before_is_not_to_blame() -> None:
    trace = made(
        Made("request", None, 0, 100),
        Made("branch", "request", 5, 20),
        Made("work", "request", 10, 95),
        Made("join", "request", 96, 96, joins=["branch"]),
    )
    assert path(trace) == [("request", 0, 10), ("work", 10, 95), ("request", 95, 100)]


def test_a_join_of_many_is_held_up_by_the_last() -> None:
    branches = [Made(f"branch {i}", "request", 5, 50 + i) for i in range(5)]
    join = Made("join", "request", 60, 61, joins=[branch.name for branch in branches])
    trace = made(Made("request", None, 0, 70), *branches, join)
    assert path(trace) == [("request", 0, 5), ("branch 4", 5, 54), ("request", 54, 60), ("join", 60, 61),
                           ("request", 61, 70)]  # fmt: skip


def test_a_detached_branch_counts_only_where_it_is_joined() -> None:
    spans = [Made("a", None, 0, 100), Made("b", "a", 10, 90, follows=True)]
    assert path(made(*spans)) == [("a", 0, 100)]
    joined = path(made(*spans, Made("join", "a", 91, 91, joins=["b"])))
    assert joined == [("a", 0, 10), ("b", 10, 90), ("a", 90, 100)]


def test_the_whole_trace_goes_on_through_what_nobody_waited_for() -> None:
    trace = made(
        Made("request", None, 0, 50),
        Made("cast", "request", 30, 40),
        Made("build", "cast", 70, 200, follows=True),
        Made("boot", "build", 80, 190),
    )
    assert path(trace) == [("request", 0, 30), ("cast", 30, 40), ("request", 40, 50)]
    assert path(trace, whole=True) == [
        ("request", 0, 30), ("cast", 30, 40), ("build", 40, 70, "waiting"), ("build", 70, 80), ("boot", 80, 190),
        ("build", 190, 200),
    ]  # fmt: skip


def test_a_child_still_running_when_its_parent_ended_held_it_up() -> None:
    """A server closes its span after it has answered."""
    trace = made(Made("client", None, 0, 100), Made("server", "client", 20, 105), Made("db", "server", 30, 90))
    assert path(trace) == [("client", 0, 20), ("server", 20, 30), ("db", 30, 90), ("server", 90, 100)]


def test_what_hangs_is_to_blame() -> None:
    trace = made(
        Made("request", None, 0, None), Made("quick", "request", 5, 10), Made("hangs", "request", 20, None),
        Made("beside", "request", 21, 300, follows=True),
    )  # fmt: skip
    assert path(trace) == [("request", 0, 5), ("quick", 5, 10), ("request", 10, 20), ("hangs", 20, 300)]


def test_an_end_that_was_lost_holds_nobody_up() -> None:
    trace = made(Made("request", None, 0, 100), Made("lost", "request", 20, None))
    assert path(trace) == [("request", 0, 100)]


def test_of_one_span() -> None:
    trace = made(Made("a", None, 0, 100), Made("b", "a", 10, 40), Made("c", "b", 20, 30))
    assert path(trace, span=trace.spans[point(2)]) == [("b", 10, 20), ("c", 20, 30), ("b", 30, 40)]


def test_a_branch_from_another_tree_ends_the_path_there_and_it_goes_on_in_the_request() -> None:
    trace = made(
        Made("request", None, 0, 100), Made("stray", None, 30, 80), Made("join", "request", 90, 90, joins=["stray"])
    )
    assert path(trace) == [("request", 0, 30), ("stray", 30, 80), ("request", 80, 100)]


@pytest.mark.parametrize("overlap", [0, 1, 4])
def test_siblings_whose_clocks_overlap_a_little_ran_one_after_the_other(overlap: int) -> None:
    """By a microsecond, or by a hundredth of the shorter one: of 400 us here."""
    trace = made(Made("a", None, 0, 2_000), Made("first", "a", 100, 500 + overlap), Made("second", "a", 500, 1_900))
    assert path(trace) == [("a", 0, 100), ("first", 100, 500), ("second", 500, 1_900), ("a", 1_900, 2_000)]


@pytest.mark.parametrize(("length", "overlap"), [(400, 5), (99, 2), (1, 1)])
def test_siblings_that_overlap_more_ran_side_by_side(length: int, overlap: int) -> None:
    """The last of them ended and began together with the other's end and beginning."""
    trace = made(
        Made("a", None, 0, 2_000),
        Made("first", "a", 500 + overlap - length, 500 + overlap),
        Made("second", "a", 500, 1_900),
    )
    assert path(trace) == [("a", 0, 500), ("second", 500, 1_900), ("a", 1_900, 2_000)]


def test_of_siblings_below_one_another_it_is_the_siblings_that_overlap() -> None:
    """The path comes from "deep", of which nothing of 1 us could overlap by 2; "second", above it, began then too."""
    trace = made(
        Made("a", None, 0, 2_000), Made("first", "a", 100, 502), Made("second", "a", 500, 1_900),
        Made("deep", "second", 500, 501),
    )  # fmt: skip
    assert path(trace) == [
        ("a", 0, 100), ("first", 100, 500), ("deep", 500, 501), ("second", 501, 1_900), ("a", 1_900, 2_000),
    ]  # fmt: skip


def test_the_requests_of_a_client_are_taken_in_turn_and_the_gaps_are_its_own() -> None:
    trace = made(
        Made("token", None, 0, 2), Made("image", None, 10, 30), Made("query", "image", 12, 20),
        Made("boot", None, 40, 60), Made("build", "boot", 50, 6_000, follows=True), Made("status", None, 6_040, 6_050),
    )  # fmt: skip
    gap = critical_path.CLIENT.operation
    in_turn = [
        ("token", 0, 2), (gap, 2, 10), ("image", 10, 12), ("query", 12, 20), ("image", 20, 30), (gap, 30, 40),
        ("boot", 40, 60), (gap, 60, 6_040), ("status", 6_040, 6_050),
    ]  # fmt: skip
    assert path(trace) == in_turn
    assert path(trace, whole=True) == in_turn
    found = critical_path.find(trace)
    assert [span.operation for span in found.of] == ["token", "image", "boot", "status"]
    assert found.shares()[0] == (critical_path.CLIENT, 5_998, 0)


def test_what_outlives_the_requests_of_a_client_is_on_the_path_of_the_whole() -> None:
    trace = made(
        Made("boot", None, 0, 20), Made("status", None, 100, 110), Made("build", "boot", 15, 200, follows=True)
    )
    gap = critical_path.CLIENT.operation
    assert path(trace) == [("boot", 0, 20), (gap, 20, 100), ("status", 100, 110)]
    assert path(trace, whole=True) == [("boot", 0, 15), ("build", 15, 200)]


def test_of_requests_side_by_side_the_last_to_end_counts() -> None:
    trace = made(Made("a", None, 0, 100), Made("b", None, 40, 90), Made("c", None, 80, 120))
    assert path(trace) == [("a", 0, 80), ("c", 80, 120)]


def test_a_request_whose_end_was_lost_counts_only_as_the_last() -> None:
    lost, sent, hangs = Made("lost", None, 0, None), Made("sent", None, 50, 60), Made("hangs", None, 70, None)
    gap = critical_path.CLIENT.operation
    assert path(made(lost, sent)) == [("sent", 50, 60)]
    assert path(made(lost, sent, hangs, Made("cast", "sent", 55, 90, follows=True))) == [
        ("sent", 50, 60), (gap, 60, 70), ("hangs", 70, 90),
    ]  # fmt: skip


def test_a_span_whose_parent_is_not_there_is_no_request_of_the_client() -> None:
    found = reports_kit.records(Made("boot", None, 0, 20), Made("call", "boot", 30, 40))
    orphan = [{**each, "parent_id": point(9)} if each["parent_id"] == point(1) else each for each in found]
    assert path(model.from_records(orphan)) == [("boot", 0, 20)]
    assert path(model.from_records(orphan), whole=True) == [("boot", 0, 20), ("call", 20, 30, "waiting"),
                                                            ("call", 30, 40)]  # fmt: skip
    # Of a trace that another tracer has begun, and of which only our part is here, all parents are missing.
    assert path(model.from_records(orphan[2:])) == [("call", 30, 40)]


def test_shares_add_up_and_the_largest_comes_first() -> None:
    trace = made(Made("a", None, 0, 100), Made("b", "a", 10, 40), Made("c", "a", 50, 90))
    shares = critical_path.find(trace).shares()
    assert [(share.span.operation, share.self_us, share.waiting_us) for share in shares] == [
        ("c", 40, 0),
        ("a", 30, 0),
        ("b", 30, 0),
    ]


def test_an_empty_trace_has_an_empty_path() -> None:
    assert critical_path.find(model.from_records([])).sections == []


def slow(trace: model.Trace, whole: bool) -> list[tuple[Any, ...]]:
    """The definition, step by step, looking at every span for each of them."""
    spans = list(trace.spans.values())

    def end(span: model.SpanNode) -> int:
        return span.end_us if span.finished else trace.end_us

    def parent(span: model.SpanNode) -> model.SpanNode | None:
        return next((each for each in spans if span in each.children), None)

    def may_hold(holder: model.SpanNode, span: model.SpanNode) -> bool:
        if holder is span or (span.finished and not holder.finished):
            return False
        linked = {link.trace_id for each in (span, *span.children) for link in each.links}
        return holder.trace_id in linked or (holder in span.children and not holder.detached)

    roots = [root for root in trace.roots if not root.parent_missing]
    roots = roots or [root for root in trace.roots if not root.detached] or trace.roots[:1]
    requests = [root for root in roots if root.finished or root is roots[-1]]
    begin = trace.start_us if whole else requests[0].start_us
    at = max(spans if whole else requests, key=lambda span: (end(span), -span.start_us))
    now = end(at)
    entered = True
    later: model.SpanNode | None = None
    passed: set[tuple[str, str]] = set()
    found: list[tuple[Any, ...]] = []

    def add(trace_id: str, from_us: int, waiting: bool) -> None:
        if max(from_us, begin) < now:
            found.append((trace_id, max(from_us, begin), now, waiting))

    def nearly_ended(earlier: model.SpanNode) -> bool:
        if later is None:
            return False
        shorter = min(end(earlier) - earlier.start_us, end(later) - later.start_us)
        return end(earlier) - now <= max(1, shorter / 100)

    while now > begin:
        able = [
            each
            for each in spans
            if may_hold(each, at) and end(each) > at.start_us and (at.trace_id, each.trace_id) not in passed
        ]
        fits = [
            each for each in able
            if end(each) <= now or (each.start_us < now and (entered or nearly_ended(each)))
        ]  # fmt: skip
        holder = max(fits, key=lambda each: (end(each), -each.start_us), default=None)
        passed |= {
            (at.trace_id, each.trace_id)
            for each in able
            if holder is None or (end(each), -each.start_us) >= (end(holder), -holder.start_us)
        }
        if holder is not None:
            add(at.trace_id, min(end(holder), now), False)
            at, now, entered, later = holder, min(end(holder), now), True, None
            continue
        add(at.trace_id, at.start_us, False)
        now = min(now, at.start_us)
        left, later, above = at, at, parent(at)
        while above is not None and above.start_us >= now:
            later, above = above, parent(above)
        gap: tuple[str, bool] = (left.trace_id, True)
        if above is None:
            gap = ("", False) if later in requests else gap
            sent = [each for each in requests if each.start_us < now]
            above = max(sent, key=lambda each: (end(each), -each.start_us), default=None)
        if above is None:
            add(left.trace_id, begin, True)
            break
        entered = end(above) < now
        if entered:
            add(gap[0], end(above), gap[1])
            now, later = end(above), None
        at = above
    merged: list[tuple[Any, ...]] = []
    for trace_id, from_us, to_us, waiting in reversed(found):
        if merged and (merged[-1][0], merged[-1][3]) == (trace_id, waiting):
            merged[-1] = (trace_id, merged[-1][1], to_us, waiting)
        else:
            merged.append((trace_id, from_us, to_us, waiting))
    return merged


@given(traces(), st.booleans())
@settings(max_examples=400)
def test_any_trace_against_the_slow_version(trace: model.Trace, whole: bool) -> None:
    path = critical_path.find(trace, whole=whole)
    assert [(part.span.trace_id, *part[1:]) for part in path.sections] == slow(trace, whole)
    edges = [edge for part in path.sections for edge in part[1:3]]
    assert edges == sorted(edges)
    assert edges[1:-1:2] == edges[2::2]
    assert not edges or (edges[0], edges[-1]) == (path.from_us, path.to_us)
    assert sum(share.self_us + share.waiting_us for share in path.shares()) == path.to_us - path.from_us


@st.composite
def nearly_in_turn(draw: st.DrawFn) -> model.Trace:
    """Calls one after the other, whose beginnings overlap the ends before them by up to a fiftieth."""
    spans, at = [Made("0", None, 0, 100_000)], 10
    for i in range(1, draw(st.integers(2, 6)) + 1):
        length = draw(st.sampled_from((5, 90, 400, 3_000)))
        under = draw(st.sampled_from(["0", "0", "0", str(i - 1)]))
        spans.append(Made(str(i), under, at, at + length))
        at += length - draw(st.integers(0, length // 50 + 1))
    return made(*spans)


@given(nearly_in_turn())
@settings(max_examples=150)
def test_calls_that_overlap_a_little_against_the_slow_version(trace: model.Trace) -> None:
    found = critical_path.find(trace)
    assert [(part.span.trace_id, *part[1:]) for part in found.sections] == slow(trace, False)


class CountedTimes(dict[str, Any]):
    """Counts look-ups, so that the work can be compared without a clock."""

    looked_up = 0

    def get(self, *args: Any) -> Any:
        self.looked_up += 1
        return super().get(*args)


@pytest.mark.parametrize("shape", ["deep", "wide", "joined at one instant"])
def test_twice_the_spans_are_twice_the_work(shape: str) -> None:
    def steps(count: int) -> int:
        spans = [Made("0", None, 0, 4 * count)]
        for i in range(1, count):
            if shape == "deep":
                spans.append(Made(str(i), str(i - 1), i, 4 * count - i))
            elif shape == "wide":
                spans.append(Made(str(i), "0", 2 * i, 2 * i + 1))
            else:  # a chain that begins at once, and joins of its deep end by spans without length
                spans.append(Made(str(i), str(i - 1), 0, 4 * count - i))
        if shape == "joined at one instant":
            deep = str(count - 1)
            spans += [Made(f"join {i}", "0", 2, 2, joins=[deep]) for i in range(count)]
        trace = made(*spans)
        walk = critical_path._Walk(trace, trace.roots)
        walk._parents = CountedTimes(walk._parents)
        walk._blockers = CountedTimes(walk._blockers)
        walk.back(trace.roots, None)
        return walk._parents.looked_up + walk._blockers.looked_up

    assert steps(4_000) <= 2.5 * steps(2_000)
