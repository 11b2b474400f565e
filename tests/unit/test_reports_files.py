# SPDX-License-Identifier: Apache-2.0
"""Traces in files and on their way between stores: whatever form they went through, the trace is the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osprofiler import reports
from osprofiler.records import ids
from osprofiler.reports import files, model, to_records, wording
from osprofiler.reports.views import jaeger_json, json_report
from osprofiler.testing.records import HOSTILE, OTHER, T0_US, TRACE, point, record, two_spans
from tests.unit.test_reports_views import HOSTILE_NAMES, hostile, troubled


def essence(trace: model.Trace) -> list[Any]:
    """What is known of every span, in the tree's order."""
    return [
        (depth, span.trace_id, span.parent_id, span.name, span.operation, span.start_us, span.duration_us,
         span.has_start, span.reference, span.parent_missing, span.project, span.service, span.host, span.pid,
         span.start_info, span.stop_info, span.tags, span.logs, span.links, span.error)
        for depth, span in trace.walk()
    ]  # fmt: skip


def rich() -> model.Trace:
    """One of each thing that a record can say, ids that are no UUIDs among them."""
    start = {
        "osprofiler": {"operation": "rpc boot", "parent": "follows_from", "pid": 7},
        "request": {"path": "/v2", "method": "GET"},
    }
    stop = {
        "osprofiler": {
            "tags": {
                "component": "kit",
                "span.kind": "server",
                "http.method": "GET",
                "http.url": "/v2",
                "error": True,
                "n": 2,
                "share": 0.5,
                "osprofiler.join": "f",
            },
            "logs": [[T0_US + 5, {"event": "x", "n": 1}], [T0_US + 6, {"event": "y"}]],
            "links": [["child_of", OTHER, f"{OTHER[:18]}-0000-{9:012x}"], ["follows_from", TRACE, point(4)]],
        },
        "etype": "ValueError",
        "function": {"result": "None"},
    }
    odd = {**record(3, "start", 7, parent=2), "trace_id": "no uuid", "project": "nova", "service": "api"}
    return model.from_records(
        [
            record(1, "start", 0, osprofiler={"operation": "boot"}),
            record(2, "start", 1, parent=1, **start),
            record(2, "stop", 90, parent=1, **stop),
            {**odd, "info": {"host": "kit", **{key: value for key, value in HOSTILE.items() if key != "text"}}},
            {
                **odd,
                "name": "neutron-api-stop",
                "timestamp": record(3, "stop", 9)["timestamp"],
                "info": {"host": "kit"},
            },
            record(1, "stop", 100),
        ]
    )


@pytest.mark.parametrize("trace", [rich, troubled, hostile])
@pytest.mark.parametrize("form", ["records", "rebuilt records", "report", "jaeger"])
def test_a_trace_survives_every_form(form: str, trace: Any, tmp_path: Path) -> None:
    given, file = trace(), tmp_path / "trace"
    if form == "records":
        text = files.lines(to_records.records(given))
    elif form == "rebuilt records":
        for span in given.spans.values():
            span.payloads = {}
        text = files.lines(to_records.records(given))
    elif form == "report":
        text = json_report.text(json_report.report(given))
    else:
        text = jaeger_json.text(given)
    file.write_text("".join(text), "utf-8")
    (loaded,) = files.load(file)
    assert loaded.base_id == given.base_id
    assert loaded.unreadable == 0
    wanted = essence(trace())
    if form == "jaeger":
        wanted, found = map(_without_what_jaeger_adds, (wanted, essence(loaded)))
        assert found == wanted
    else:
        assert essence(loaded) == wanted


def _without_what_jaeger_adds(spans: list[Any]) -> list[Any]:
    """Every span there has a service, an end, and an error tag if it failed; one without a start has a moment's."""
    kept = []
    for span in spans:
        fields = list(span)
        fields[11] = None if fields[11] == "unknown" else fields[11]
        fields[16] = {key: value for key, value in fields[16].items() if key != "error"}
        kept.append(fields)
    return kept


def test_the_file_for_jaegers_ui() -> None:
    """The shape that the UI checks and reads: its own "download results" has it."""
    text = "".join(jaeger_json.text(rich()))
    found = json.loads(text)
    assert set(found) == {"data", "total", "limit", "offset", "errors"}
    (trace,) = found["data"]
    assert trace["traceID"] == TRACE.replace("-", "")
    boot, rpc, _ = trace["spans"]
    assert (boot["spanID"], boot["operationName"], boot["startTime"], boot["duration"]) == (
        f"{1:016x}",
        "boot",
        T0_US,
        100,
    )
    assert boot["references"] == []
    parent = {"refType": "FOLLOWS_FROM", "traceID": trace["traceID"], "spanID": f"{1:016x}"}
    assert rpc["references"][0] == parent
    assert {"refType": "CHILD_OF", "traceID": OTHER.replace("-", ""), "spanID": f"{9:016x}"} in rpc["references"]
    tags = {tag["key"]: (tag["type"], tag["value"]) for tag in rpc["tags"]}
    assert tags["error"] == ("bool", True)
    assert tags["n"] == ("int64", 2)
    assert tags["share"] == ("float64", 0.5)
    assert tags["http.url"] == ("string", "/v2")
    assert rpc["logs"][0]["timestamp"] == T0_US + 5
    assert {span["processID"] for span in trace["spans"]} == set(trace["processes"])
    assert all(process["serviceName"] for process in trace["processes"].values())


def _in_the_ui(trace: dict[str, Any]) -> tuple[dict[str, str | None], int]:
    """What Jaeger's UI makes of a trace: each span's parent, and how many parents it misses.

    It takes what it is given: a span without process ends it, one that begins at 0 or has another's id is not shown as
    it is, and repeated tags are warned of. Written after its transformation of traces, in both its forms: of 1.x,
    where the first reference is the parent, and of 2.x, where it is the first CHILD_OF of the trace, else its first
    FOLLOWS_FROM.
    """
    parents: dict[str, str | None] = {}
    assert isinstance(trace["traceID"], str)
    assert trace["traceID"] == trace["traceID"].lower()
    for span in trace["spans"]:
        assert trace["processes"][span["processID"]]["serviceName"]
        assert span["startTime"] > 0
        assert span["duration"] >= 0
        assert span["spanID"] not in parents
        assert all(isinstance(each, str) for each in span["warnings"] or [])
        tags = [(tag["key"], json.dumps(tag["value"])) for tag in span["tags"]]
        assert len(tags) == len(set(tags))
        fields = [field for log in span["logs"] for field in log["fields"]]
        for tag in [*span["tags"], *fields, *trace["processes"][span["processID"]]["tags"]]:
            assert set(tag) == {"key", "type", "value"}
            assert tag["type"] in ("string", "bool", "int64", "float64")
            assert not isinstance(tag["value"], int) or abs(tag["value"]) < 1 << 53
        within = [each for each in span["references"] if each["traceID"] == trace["traceID"]]
        assert all(each["refType"] in ("CHILD_OF", "FOLLOWS_FROM") for each in span["references"])
        ordered = sorted(within, key=lambda each: each["refType"] == "FOLLOWS_FROM")
        parents[span["spanID"]] = ordered[0]["spanID"] if ordered else None
        if ordered and span["references"][0]["refType"] == "CHILD_OF":
            assert ordered[0] == span["references"][0]  # the same span, to either form
    for span_id in parents:
        seen: set[str] = set()
        at: str | None = span_id
        while at is not None and at in parents:
            assert at not in seen, "what is in a loop is not shown"
            seen.add(at)
            at = parents[at]
    return parents, sum(parent is not None and parent not in parents for parent in parents.values())


@pytest.mark.parametrize("made", [rich, hostile, troubled, lambda: model.from_records(two_spans("no uuid"))])
def test_jaegers_ui_shows_every_span_of_the_file(made: Callable[[], model.Trace]) -> None:
    given = made()
    (trace,) = json.loads("".join(jaeger_json.text(given)))["data"]
    parents, missing = _in_the_ui(trace)
    number = {span.trace_id: f"{ids.span_id_of(span.trace_id):016x}" for span in given.spans.values()}
    assert parents.keys() == set(number.values())
    assert missing == sum(span.parent_missing for span in given.spans.values())
    for span in given.spans.values():
        if span.reference is not None:
            assert parents[number[span.trace_id]] == f"{ids.span_id_of(span.parent_id):016x}"


def test_an_integer_that_javascript_would_round_is_text_and_comes_back(tmp_path: Path) -> None:
    given = model.from_records([record(1, "start", 0, large=2**62, small=7), record(1, "stop", 9)])
    file = tmp_path / "trace.json"
    file.write_text("".join(jaeger_json.text(given)))
    (trace,) = json.loads(file.read_text())["data"]
    values = {tag["key"]: tag["value"] for tag in trace["spans"][0]["tags"]}
    assert (values["start.large"], values["start.small"]) == (str(2**62), 7)
    (span,) = files.load(file)[0].spans.values()
    assert (span.start_info["large"], span.start_info["small"]) == (2**62, 7)


def test_warnings_are_what_is_missing_and_nothing_else() -> None:
    """A join and a reference say how a trace is made, and stand where Jaeger has such things."""
    (trace,) = json.loads("".join(jaeger_json.text(troubled())))["data"]
    warnings = {warning for span in trace["spans"] for warning in span["warnings"] or ()}
    assert warnings == {"unfinished", "start lost", "parent missing"}


def _by_key(tags: Any) -> list[dict[str, Any]]:
    return sorted(tags, key=lambda tag: str(tag["key"]))


def test_the_tags_of_a_process_keep_their_names(tmp_path: Path) -> None:
    process = {
        "serviceName": "shop",
        "tags": [
            {"key": "host.name", "type": "string", "value": "h1"},
            {"key": "process.pid", "type": "int64", "value": 7},
            {"key": "osprofiler.version", "type": "string", "value": "5.0.0"},
            {"key": "service", "type": "string", "value": "till"},
            {"key": "telemetry.sdk.name", "type": "string", "value": "x"},
        ],
    }
    span = {"traceID": "a", "spanID": "b", "operationName": "o", "startTime": 5, "duration": 7, "processID": "p1"}
    file, again = tmp_path / "given.json", tmp_path / "again.json"
    file.write_text(json.dumps({"spans": [span], "processes": {"p1": process}}))
    (trace,) = files.load(file)
    (only,) = trace.spans.values()
    assert (only.host, only.pid, only.service) == ("h1", 7, "till")
    for _ in range(2):
        again.write_text("".join(jaeger_json.text(trace)))
        (written,) = json.loads(again.read_text())["data"]
        assert _by_key(written["processes"]["p1"]["tags"]) == _by_key(process["tags"])
        assert [tag["key"] for tag in written["spans"][0]["tags"]] == ["osprofiler.name"]
        (trace,) = files.load(again)
    for only in trace.spans.values():
        only.payloads = {}
    assert model.from_records(to_records.records(trace)).spans[only.trace_id].process == only.process


@pytest.mark.parametrize("flag", ["timeout", "connection refused\nat host b"])
def test_an_error_tag_with_words_is_an_error_of_that_kind(flag: str, tmp_path: Path) -> None:
    span = {"traceID": "a", "spanID": "b", "operationName": "o", "startTime": 5, "duration": 7, "processID": "p1"}
    span["tags"] = [{"key": "error", "type": "string", "value": flag}]  # type: ignore[assignment]
    file = tmp_path / "trace.json"
    file.write_text(json.dumps({"spans": [span], "processes": {}}))
    (trace,) = files.load(file)
    (only,) = trace.spans.values()
    assert only.error == flag.partition("\n")[0]
    only.payloads = {}
    (again,) = model.from_records(to_records.records(trace)).spans.values()
    assert (again.error, again.tags, again.stop_info) == (only.error, {"error": flag}, {})
    (written,) = json.loads("".join(jaeger_json.text(trace)))["data"]
    assert {"key": "error", "type": "string", "value": flag} in written["spans"][0]["tags"]


def test_numbers_that_a_browser_cannot_read() -> None:
    text = "".join(jaeger_json.text(model.from_records([record(1, "start", 0, x=float("nan"))])))
    assert "NaN" not in text.replace('"NaN"', "")


def test_records_that_were_whole_stay_as_they_were() -> None:
    given = [{**each, "extra": [1]} for each in two_spans()]
    order = lambda each: (each["trace_id"], each["name"])  # noqa: E731
    assert sorted(to_records.records(model.from_records(given)), key=order) == sorted(given, key=order)


def test_a_file_with_several_traces(tmp_path: Path) -> None:
    file = tmp_path / "two.jsonl"
    file.write_text("".join(files.lines([*two_spans(), *two_spans(OTHER)])) + "\n")
    assert [(trace.base_id, len(trace.spans)) for trace in files.load(file)] == [(TRACE, 2), (OTHER, 2)]
    file.write_text(json.dumps([*two_spans(), *two_spans(OTHER)]))
    assert [trace.base_id for trace in files.load(file)] == [TRACE, OTHER]


def test_what_jaeger_saved_of_another_tracer(tmp_path: Path) -> None:
    span = {"traceID": "abc", "spanID": "1f", "operationName": "GET /", "references": [], "startTime": 5, "duration": 7}
    process = {"serviceName": "frontend", "tags": []}
    trace = {
        "traceID": "abc",
        "spans": [{**span, "tags": [], "logs": [], "processID": "p1"}],
        "processes": {"p1": process},
    }
    file = tmp_path / "trace.json"
    for saved in trace, {"data": [trace]}:
        file.write_text(json.dumps(saved))
        (loaded,) = files.load(file)
        (root,) = loaded.roots
        assert (root.operation, root.service, root.start_us, root.duration_us) == ("GET /", "frontend", 5, 7)


def test_what_older_and_other_writers_of_jaegers_form_leave_out_or_write_otherwise(tmp_path: Path) -> None:
    common = {"traceID": "abc", "startTime": 5, "duration": 7}
    frontend = {"serviceName": "frontend", "tags": {"ip": 3232235521}}
    status = [{"key": "http.status_code", "value": 404}]
    spans = [
        {**common, "spanID": "1", "parentSpanID": "0", "operationName": "GET /", "process": frontend, "tags": status},
        {**common, "spanID": "2", "parentSpanID": "1", "operationName": None, "processID": "p1", "tags": {"n": 1.5}},
        {**common, "spanID": "3", "references": [{"refType": "CHILD_OF", "spanID": "2"}], "operationName": 12},
    ]
    file = tmp_path / "trace.json"
    for processes in {}, {"processes": None}, {"processes": {"p1": {"serviceName": None}}}:
        file.write_text(json.dumps({"data": [{"spans": spans, **processes}]}))
        (loaded,) = files.load(file)
        found = [(depth, span.operation, span.service) for depth, span in loaded.walk()]
        assert found == [(0, "GET /", "frontend"), (1, "", None), (2, "12", None)]
        (root,) = loaded.roots
        assert wording.badges(root) == ["HTTP 404"]
        assert root.children[0].tags == {"n": 1.5}


@pytest.mark.parametrize(
    "text",
    ["", "[1]", "1",
     '"x"', "{}", '{"a": 1}', '[{"a": 1}]', '{"data": 1}', '{"data": [1]}', '{"data": [{}]}', "{", "x y",
     '{"base_id": "a"}\n{', '{"base_id": "a"}\n5'],
)  # fmt: skip
def test_what_is_no_trace_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    with pytest.raises(ValueError) as refused:
        files.load(file)
    assert "\n" not in str(refused.value)


def test_hostile_names_reach_a_file_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("".join(jaeger_json.text(hostile())), "utf-8")
    (loaded,) = files.load(file)
    assert [span.name for span in loaded.roots] == HOSTILE_NAMES


def test_a_report_of_4_4_0_knows_its_trace_by_its_roots(tmp_path: Path) -> None:
    report = json_report.report(model.from_records(two_spans()))
    stock = ("name", "started", "finished", "last_trace_started")
    report["info"] = {key: report["info"][key] for key in stock}
    for key in [key for key in report["children"][0]["info"] if key.startswith("meta.")]:
        report["children"][0]["info"][key] = {"info": {}}
    file = tmp_path / "stock.json"
    file.write_text(json.dumps(report))
    (records,) = files.records(file)
    assert {each["base_id"] for each in records} == {TRACE}
    assert not json_report.from_report(report).roots[0].parent_missing


def test_the_documentation_names_everything_public() -> None:
    pages = Path(__file__).parents[2] / "doc/source"
    text = "".join((pages / name).read_text("utf-8") for name in ("reports.rst", "sets.rst"))
    types = {"Log", "Link", "CriticalPath", "Section", "Share", "OperationStats", "Sums", "Style", "render_dot"}
    assert [name for name in reports.__all__ if name not in types and name not in text] == []
    assert all(hasattr(reports, name) for name in reports.__all__)


def test_a_report_of_4_4_0_cuts_names_that_its_records_have_whole() -> None:
    report = json_report.report(model.from_records(two_spans()))
    report["children"][0]["info"]["name"] = "neutron"
    for own in "operation", "started_us", "duration_us", "reference", "parent_missing":
        del report["children"][0]["info"][own]
    assert json_report.from_report(report).roots[0].operation == "neutron-api"


@pytest.mark.parametrize("place", [{}, {"project": "nova"}])
def test_a_service_that_no_record_names_is_not_made_up_on_the_way_through_jaegers_form(
    place: dict[str, str], tmp_path: Path
) -> None:
    trace = model.from_records([{**each, **place} for each in two_spans()])
    (tmp_path / "jaeger.json").write_text("".join(jaeger_json.text(trace)))
    (found,) = files.load(tmp_path / "jaeger.json")
    assert {(span.project, span.service) for span in found.spans.values()} == {(place.get("project"), None)}


def test_a_report_of_4_4_0_without_its_first_span_is_of_the_trace_that_its_records_name() -> None:
    report = json_report.report(model.from_records(two_spans()[1:3]))
    del report["info"]["base_id"]
    trace = json_report.from_report(report)
    assert trace.base_id == TRACE
    assert [span.parent_missing for span in trace.roots] == [True]
