# SPDX-License-Identifier: Apache-2.0
"""The trace model: whatever is stored, every span is in the tree exactly once and says what is known of it."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osprofiler.records import deep_json
from osprofiler.records.error_kind import error_kind
from osprofiler.records.record import timestamp
from osprofiler.reports import model
from osprofiler.reports.analysis import skew, statistics
from osprofiler.reports.views import jaeger_json, json_report, tree
from osprofiler.testing.records import T0_US, TRACE, point, record, two_spans


def test_spans_have_their_times_and_places() -> None:
    trace = model.from_records(two_spans())
    (parent,) = trace.roots
    (child,) = parent.children
    assert (trace.base_id, trace.start_us, trace.end_us) == (TRACE, T0_US, T0_US + 1_000)
    assert (parent.name, parent.start_us, parent.duration_us, parent.reference) == ("neutron-api", T0_US, 1_000, None)
    assert (child.start_us, child.duration_us, child.reference) == (T0_US + 100, 400, "child_of")
    assert (child.error, parent.error) == ("ValueError", None)


@pytest.mark.parametrize("seed", range(8))
def test_the_order_of_records_and_doubles_do_not_matter(seed: int) -> None:
    shuffled = two_spans() * 2
    random.Random(seed).shuffle(shuffled)
    assert json_report.report(model.from_records(shuffled))["children"] == _sorted_report(two_spans())["children"]


def _sorted_report(records: list[dict[str, object]]) -> dict[str, object]:
    return json_report.report(model.from_records(records))


def test_what_two_stock_records_cannot_say() -> None:
    start = record(2, "start", 0, parent=1, osprofiler={"operation": "rpc boot", "parent": "follows_from", "pid": 7})
    extra = {
        "tags": {"span.kind": "server"},
        "logs": [[T0_US + 5, {"event": "x"}]],
        "links": [["child_of", TRACE, "p"]],
    }
    trace = model.from_records([record(1, "start", 0), start, record(2, "stop", 9, parent=1, osprofiler=extra)])
    span = trace.spans[point(2)]
    assert (span.operation, span.detached, span.pid, span.name) == ("rpc boot", True, 7, "neutron-api")
    assert (span.tags, span.logs) == ({"span.kind": "server"}, [model.Log(T0_US + 5, {"event": "x"})])
    assert span.links == [model.Link("child_of", TRACE, "p")]
    assert "osprofiler" not in span.start_info
    assert "osprofiler" not in span.stop_info


def test_what_is_missing_is_said() -> None:
    trace = model.from_records(
        [record(1, "start", 0), record(2, "stop", 5, parent=1), record(3, "start", 7, parent=99)]
    )
    unfinished, startless, orphan = trace.spans.values()
    assert (unfinished.finished, unfinished.has_start, unfinished.parent_missing) == (False, True, False)
    assert (startless.finished, startless.has_start) == (True, False)
    assert orphan.parent_missing
    assert [root.trace_id for root in trace.roots] == [point(1), point(3)]


@pytest.mark.parametrize(
    "broken", [{}, {"timestamp": "yesterday"}, {"timestamp": None}, {"name": None}, {"trace_id": None}]
)
def test_what_is_no_record_is_passed_over_and_counted(broken: dict[str, object]) -> None:
    bad = {**record(5, "start", 0), **broken} if broken else {}
    if broken.get("name", "") is None or broken.get("trace_id", "") is None:
        bad.pop(next(iter(broken)))
    trace = model.from_records([*two_spans(), bad])
    assert (len(trace.spans), trace.unreadable) == (2, 1)


@pytest.mark.parametrize("stamp", ["2026-11-20T21:46:23.000123", "2026-11-20T21:46:23.12", "2026-11-20T21:46:23"])
def test_time_stamps_of_every_length(stamp: str) -> None:
    assert model.time_us(stamp) % 1_000_000 == {"3": 123, "2": 120_000, "": 0}[stamp.partition(".")[2][-1:]]


@pytest.mark.parametrize(
    ("flag", "kind"),
    [
        (True, "error"),
        ("true", "error"),
        (False, None),
        ("false", None),
        (None, None),
        (1, None),
        ("", None),
        ("No", None),
        ("timed out", "timed out"),
        ("two\nlines", "two"),
        ("x" * 500, "x" * 200),
    ],
)
def test_an_error_tag_is_an_error(flag: object, kind: str | None) -> None:
    assert error_kind({"osprofiler": {"tags": {"error": flag}}}) == kind


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 20), st.integers(0, 2)), max_size=12))
def test_every_span_is_in_the_tree_once(parents: list[tuple[int, int, int]]) -> None:
    """Parents at random: loops, spans that are their own parent, parents that are not there."""
    records = []
    for i, (parent, at_us, records_kept) in enumerate(parents, 1):
        phases = (["start"], ["stop"], ["start", "stop"])[records_kept]
        records += [record(i, phase, at_us + (phase == "stop"), parent=parent) for phase in phases]
    trace = model.from_records(records)
    walked = [span.trace_id for _, span in trace.walk()]
    assert sorted(walked) == sorted(point(i) for i in range(1, len(parents) + 1))
    report = json_report.report(trace)
    assert json_report.report(json_report.from_report(report)) == report
    assert json.loads("".join(json_report.text(report))) == report


def chain(depth: int) -> list[dict[str, object]]:
    """A trace in which every span is the child of the one before."""
    starts = [record(i, "start", i, parent=i - 1) for i in range(1, depth + 1)]
    return starts + [record(i, "stop", 2 * depth - i, parent=i - 1) for i in range(1, depth + 1)]


def test_a_deep_trace_survives_every_way_through() -> None:
    trace = model.from_records(chain(10_000))
    assert max(depth for depth, _ in trace.walk()) == 9_999
    text = "".join(json_report.text(json_report.report(trace)))
    again = json_report.from_report(deep_json.loads(text))
    assert [(span.trace_id, span.duration_us) for _, span in again.walk()] == [
        (span.trace_id, span.duration_us) for _, span in trace.walk()
    ]


def test_a_wide_trace_keeps_the_order_of_its_starts() -> None:
    records = [record(1, "start", 0)] + [record(i, "start", 30_000 - i, parent=1) for i in range(2, 20_002)]
    children = model.from_records(records).roots[0].children
    assert [child.trace_id for child in children] == [point(i) for i in range(20_001, 1, -1)]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_deep_json_reads_what_json_reads(value: object) -> None:
    text = json.dumps(value, indent=1)
    assert deep_json._Reader(text).value() == value


@pytest.mark.parametrize(
    "text",
    ["", "[", "[1", "[1,]", "{", '{"a"}', '{"a":}', '{"a":1,}', "[1 2]", "[1]]", "{1:2}", "tru", "[}", '"a', "[,1]"],
)
def test_deep_json_refuses_what_json_refuses(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        deep_json._Reader(text).value()


def test_a_report_of_stock_without_whole_records() -> None:
    """4.4.0's SQL driver keeps only ``info``: milliseconds are all there is."""
    payloads = {
        "meta.raw_payload.db-start": {"info": {"db": {"statement": "x"}}},
        "meta.raw_payload.db-stop": {"info": {}},
    }
    info = {"name": "db", "project": "p", "service": "s", "host": "h", "started": 3, "finished": 8, "exception": "None"}
    node = {"info": {**info, **payloads}, "trace_id": "t", "parent_id": TRACE, "children": []}
    report = {"info": {"name": "total", "started": 0, "finished": 8}, "children": [node], "stats": {}}
    (span,) = json_report.from_report(report).roots
    assert (span.name, span.start_us, span.duration_us, span.host) == ("db", 3_000, 5_000, "h")
    assert span.start_info == {"db": {"statement": "x"}}


@pytest.mark.parametrize("bad", [{}, {"info": {}}, {"info": {}, "children": {}}, {"info": [], "children": []}])
def test_what_is_no_report_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a trace"):
        json_report.from_report(bad)


def test_the_json_is_in_the_shape_of_4_4_0() -> None:
    report = json_report.report(model.from_records(two_spans()))
    assert {key: report["info"][key] for key in ("name", "started", "finished", "last_trace_started")} == {
        "name": "total",
        "started": 0,
        "finished": 1,
        "last_trace_started": 0,
    }
    (parent,) = report["children"]
    assert set(parent) == {"info", "trace_id", "parent_id", "children"}
    info = parent["info"]
    stock = ("name", "project", "service", "host", "started", "finished", "exception")
    assert {key: info[key] for key in stock} == {
        "name": "neutron-api",
        "project": None,
        "service": None,
        "host": "kit",
        "started": 0,
        "finished": 1,
        "exception": "None",
    }
    assert info["meta.raw_payload.neutron-api-start"] == two_spans()[0]
    assert report["stats"]["neutron-api"] == {"count": 2, "duration": 1, "duration_us": 1_400}
    assert report["info"]["started_at"] == timestamp(T0_US)


def test_an_empty_report_is_4_4_0s() -> None:
    top = {"name": "total", "started": 0, "finished": None, "last_trace_started": None}
    assert json_report.report(model.from_records([])) == {"info": top, "children": [], "stats": {}}


@pytest.mark.parametrize(
    "nonsense",
    [
        {"service": {"a": 1}},
        {"project": 7, "service": "api"},
        {"host": [1]},
        {"info": {"osprofiler": {"logs": [[float("inf"), {}]]}}},
    ],
)
def test_one_record_of_nonsense_costs_no_report(nonsense: dict[str, object]) -> None:
    spans = two_spans()
    spans[0] = {**spans[0], "host": "another"}
    spans[1:3] = ({**each, **nonsense} for each in spans[1:3])
    trace = skew.correct(model.from_records(spans))
    assert len(trace.spans) == 2
    assert list(tree.lines(trace, tree.Style()))
    assert statistics.of([trace])
    assert json.loads("".join(jaeger_json.text(trace)))


def test_a_report_with_durations_of_nonsense() -> None:
    report = json_report.report(model.from_records(two_spans()))
    for wrong in "x", [1], -5, 1e999:
        report["children"][0]["info"]["duration_us"] = wrong
        assert list(tree.lines(json_report.from_report(report), tree.Style()))
