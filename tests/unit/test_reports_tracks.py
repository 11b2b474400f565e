# SPDX-License-Identifier: Apache-2.0
"""Traces on tracks, and the files for Perfetto and speedscope, against what their formats require."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given

from osprofiler.reports import model
from osprofiler.reports.views import perfetto, speedscope, tracks
from tests.unit.reports_kit import Made, made, traces
from tests.unit.test_reports_views import hostile, troubled


def parsed(view: Any, trace: model.Trace) -> dict[str, Any]:
    def refused(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    found: dict[str, Any] = json.loads("".join(view.text(trace)), parse_constant=refused)
    return found


def layout(trace: model.Trace) -> list[list[str]]:
    """The operations on each track, in the order of their begins."""
    return [[event.span.operation for event in track.events if event.opens] for track in tracks.of(trace)]


def test_calls_in_turn_share_the_track_of_their_parent() -> None:
    trace = made(
        Made("all", None, 0, 100),
        Made("one", "all", 10, 40),
        Made("in one", "one", 15, 20),
        Made("two", "all", 40, 100),
    )
    assert layout(trace) == [["all", "one", "in one", "two"]]


def test_what_runs_at_the_same_time_or_outlasts_its_parent_has_another_track() -> None:
    trace = made(
        Made("all", None, 0, 100),
        Made("one", "all", 10, 40),
        Made("beside", "all", 20, 50),
        Made("in beside", "beside", 30, 50),
        Made("late", "all", 60, 300, follows=True),
        Made("after late", "all", 301, 310, follows=True),
    )
    assert layout(trace) == [["all", "one", "after late"], ["beside", "in beside", "late"]]


def test_another_process_has_tracks_of_its_own() -> None:
    trace = made(Made("call", None, 0, 100), Made("answer", "call", 10, 90, host="far"), Made("back", "answer", 20, 30))
    assert layout(trace) == [["call"], ["back"], ["answer"]]
    assert [str(track.process) for track in tracks.of(trace)] == ["svc (kit)", "svc (kit)", "svc (far)"]


def branches() -> model.Trace:
    trace = made(
        Made("all", None, 0, 100),
        Made("a", "all", 10, 40),
        Made("b", "all", 50, 60),
        Made("join", "all", 70, 71, joins=["a", "b"]),
    )
    for span in trace.spans.values():
        if span.operation in "ab":
            span.tags["osprofiler.fork"] = "fetch"
    return trace


def test_branches_of_a_fork_lie_apart_even_if_they_ran_in_turn() -> None:
    assert layout(branches()) == [["all", "join"], ["a", "b"]]
    assert str(tracks.of(branches())[1]) == "track 2, branches of fetch"


@given(traces())
def test_on_a_track_spans_only_follow_or_contain_each_other(trace: model.Trace) -> None:
    found = tracks.of(trace)
    assert sorted(name for track in layout(trace) for name in track) == sorted(
        span.operation for span in trace.spans.values()
    )
    for track in found:
        open_: list[model.SpanNode] = []
        assert [a.at_us <= b.at_us for a, b in pairwise(track.events)] == [True] * (len(track.events) - 1)
        for event in track.events:
            if not event.opens:
                assert open_.pop() is event.span
                continue
            assert not open_ or open_[-1].trace_id == event.span.parent_id
            open_.append(event.span)
        assert not open_


@given(traces())
def test_speedscopes_events_are_balanced_and_in_order(trace: model.Trace) -> None:
    """What file-format-schema.json and its comments require of an evented profile."""
    file = parsed(speedscope, trace)
    assert file["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    assert 0 <= file["activeProfileIndex"] < len(file["profiles"])
    opened = 0
    for profile in file["profiles"]:
        assert (profile["type"], profile["unit"]) == ("evented", "microseconds")
        assert profile.keys() == {"type", "name", "unit", "startValue", "endValue", "events"}
        last, stack = profile["startValue"], []
        for event in profile["events"]:
            assert last <= event["at"] <= profile["endValue"]
            last = event["at"]
            if event["type"] == "O":
                assert file["shared"]["frames"][event["frame"]].keys() == {"name"}
                stack.append(event["frame"])
                opened += 1
            else:
                assert (event["type"], stack.pop()) == ("C", event["frame"])
        assert not stack
    assert opened == len(trace.spans)


@given(traces())
def test_perfettos_slices_nest_and_arrows_begin_and_end_in_slices(trace: model.Trace) -> None:
    events = parsed(perfetto, trace)["traceEvents"]
    slices = [event for event in events if event["ph"] in "XB"]
    assert len(slices) == len(trace.spans)
    named = {(event["pid"], event["tid"]) for event in events if event["name"] == "thread_name"}
    ends = {id(each): each["ts"] + each["dur"] if each["ph"] == "X" else trace.end_us for each in slices}
    for each in slices:
        assert (each["pid"], each["tid"]) in named
        for other in slices:
            if (each["pid"], each["tid"]) == (other["pid"], other["tid"]) and each["ts"] < other["ts"] < ends[id(each)]:
                assert ends[id(other)] <= ends[id(each)]


def arrows(trace: model.Trace) -> list[tuple[str, str, str]]:
    """The name of each flow, and the ids of the spans that it leads from and to, as Perfetto reads the file.

    It sorts events by time, and keeps the order of the file for equal times. A flow belongs to the slice that began
    last on its track, even if that has ended. An id is a number.
    """
    top: dict[tuple[int, int], str] = {}
    begun: dict[tuple[str, str, int], str] = {}
    found = []
    for event in sorted(parsed(perfetto, trace)["traceEvents"], key=lambda event: event.get("ts", 0)):
        track = event["pid"], event["tid"]
        if event["ph"] in "XB":
            top[track] = event["args"]["span id"]
        elif event["ph"] in "sf":
            assert type(event["id"]) is int
            flow = event["cat"], event["name"], event["id"]
            if event["ph"] == "s":
                assert begun.setdefault(flow, top[track]) == top[track]
            else:
                assert event["bp"] == "e"
                found.append((event["name"], begun.pop(flow), top[track]))
    assert not begun
    return found


@given(traces())
def test_perfettos_arrows_lead_from_parents_and_branches_to_other_tracks(trace: model.Trace) -> None:
    track_of = {
        event.span.trace_id: number
        for number, track in enumerate(tracks.of(trace))
        for event in track.events
        if event.opens
    }
    expected = []
    for span in trace.spans.values():
        for name, source in [("starts", span.parent_id), *(("joins", link.trace_id) for link in span.links)]:
            other = trace.spans.get(source)
            if other and other.start_us < span.start_us and track_of[source] != track_of[span.trace_id]:
                expected.append((name, source, span.trace_id))
    assert sorted(arrows(trace)) == sorted(expected)


def test_an_arrow_begins_at_the_parent_and_not_at_a_call_that_has_ended() -> None:
    trace = made(
        Made("all", None, 0, 100),
        Made("first", "all", 10, 20),
        Made("beside", "all", 30, 60),
        Made("late", "all", 40, 50, host="far"),
    )
    ids = {span.operation: span.trace_id for span in trace.spans.values()}
    assert arrows(trace) == [("starts", ids["all"], ids["late"])]


def test_perfetto_shows_errors_unfinished_spans_and_joins() -> None:
    events = parsed(perfetto, troubled())["traceEvents"]
    assert [event["name"] for event in events if event["ph"] == "B"] == [
        span.operation for span in troubled().spans.values() if not span.finished
    ]
    (failed,) = (event for event in events if event.get("cname"))
    assert (failed["cat"], failed["args"]["marks"]) == ("span,error", "error ValueError")
    joins = [event for event in parsed(perfetto, branches())["traceEvents"] if event["name"] == "joins"]
    assert [event["ph"] for event in joins] == ["s", "s", "f", "f"]


@pytest.mark.parametrize("view", [perfetto, speedscope])
def test_hostile_names_and_numbers_are_valid_json(view: Any) -> None:
    trace = hostile()
    for span in trace.spans.values():
        span.tags["number"] = float("nan")
    text = "".join(view.text(trace))
    assert text.encode("utf-8")
    assert parsed(view, trace)
    assert parsed(view, model.Trace("x"))


@pytest.mark.parametrize("shape", ["wide", "deep"])
def test_many_spans(shape: str) -> None:
    count = 5_000
    spans = [Made("0", None, 0, 4 * count)]
    for i in range(1, count):
        spans.append(Made(str(i), str(i - 1) if shape == "deep" else "0", i, 4 * count - i))
    trace = made(*spans)
    assert len(tracks.of(trace)) == (1 if shape == "deep" else count - 1)
    assert parsed(speedscope, trace)
    assert parsed(perfetto, trace)
