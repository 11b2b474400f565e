# SPDX-License-Identifier: Apache-2.0
"""Reading loses nothing in silence: garbage is left out and reported, and no span hides another."""

import gzip
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osprofiler._runtime import guard
from osprofiler.cmd import shell
from osprofiler.drivers import base
from osprofiler.records import ids, jaeger_json, unreadable
from osprofiler.records.pairs import Pairs
from osprofiler.records.record import Unreadable, checked, loads
from osprofiler.reports import files, model
from osprofiler.reports.views import jaeger_json as writing
from osprofiler.reports.views import json_report
from osprofiler.testing.records import OTHER, T0_US, TRACE, no_records, point, record, span, two_spans


def read(work: Callable[[], Any]) -> tuple[Any, list[str]]:
    """The result of *work*, and the lines that it reported."""
    with unreadable.collected() as ledger:
        result = work()
    return result, list(ledger.lines())


# Records


@pytest.mark.parametrize("text", [*no_records(), b"\xff", None, b'"\xff"'])
def test_what_is_no_record_is_unreadable_for_a_reason(text: Any) -> None:
    with pytest.raises(Unreadable, match=r"^(it|its) "):
        loads(text)


def test_what_is_a_record_is_readable() -> None:
    for each in two_spans():
        assert checked(each) is each
        assert loads(json.dumps(each).encode()) == each


_KEYS = st.sampled_from(["name", "base_id", "trace_id", "timestamp", "info", "x"])
_LEAVES = st.none() | st.booleans() | st.integers() | st.text() | st.just("2026-11-20T21:46:23")


@given(st.recursive(_LEAVES, lambda each: st.lists(each) | st.dictionaries(_KEYS, each)))
def test_any_json_is_a_record_or_unreadable(value: Any) -> None:
    try:
        found = loads(json.dumps(value))
    except Unreadable:
        return
    assert model.from_records([found]).unreadable == 0


# What is told


def test_each_thing_is_told_once_and_only_the_first_by_name() -> None:
    with unreadable.collected() as outer, unreadable.collected() as inner:
        for i in [*range(8), *range(8)]:
            unreadable.skip("store", f"record {i}\x1b[31m", "it is not JSON")
        unreadable.note("store", "a note")
    for ledger in outer, inner:
        lines = list(ledger.lines())
        assert (ledger.skipped, len(lines), lines[-1]) == (8, unreadable.MOST_NAMED + 1, "and 4 more of this kind")
        assert lines[0] == "store: record 0 [31m is left out: it is not JSON"


def test_outside_of_all_the_log_has_it_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    guard._last_logged.pop("unreadable", None)
    before = guard.counters["unreadable"]
    with caplog.at_level(logging.WARNING):
        for i in range(100):
            unreadable.skip("store", f"record {i}", "it is not JSON")
    assert [entry.message for entry in caplog.records if "left out" in entry.message] == [
        "store: record 0 is left out: it is not JSON"
    ]
    assert guard.counters["unreadable"] == before + 100


@pytest.mark.parametrize(
    "command", [["stats"], ["list"], ["list", "--long"], ["list", "--error-trace"], ["show", TRACE], ["export"]]
)
def test_every_command_goes_on_and_names_what_it_left_out(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from osprofiler.drivers.sql_engine import DATA

    driver = base.get_driver(f"sqlite:///{tmp_path / 'traces.db'}")
    driver.write(two_spans())
    driver.write(span(7, 5, OTHER))
    bad = [
        {"timestamp": "etype", "base_id": TRACE, "trace_id": point(20 + i), "name": "x-start", "data": "{"}
        for i in range(10)
    ]
    with driver._database.begin() as connection:  # type: ignore[attr-defined]
        connection.execute(DATA.insert(), bad)
    assert shell.main(["trace", *command, "--connection-string", driver.connection_str]) == 0
    printed = capsys.readouterr()
    assert printed.out
    told = [line for line in printed.err.splitlines() if "is left out" in line or "more of this kind" in line]
    if command in (["list"], ["list", "--error-trace"]):
        assert told == []  # no row's JSON was looked at
        return
    assert len(told) == unreadable.MOST_NAMED + 1
    assert told[0].startswith(f"osprofiler: {driver.connection_str}: row ")
    assert told[-1].endswith("and 5 more of this kind")
    if command == ["show", TRACE]:
        assert "10 unreadable records" in printed.out


# Jaeger's ids


def jaeger_span(number: str, name: str = "work", **more: Any) -> dict[str, Any]:
    made = {
        "traceID": "abcg",
        "spanID": number,
        "operationName": name,
        "references": [],
        "startTime": T0_US,
        "duration": 7,
        "tags": [],
        "logs": [],
        "processID": "p1",
    }
    return {**made, **more}


def jaeger_trace(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"traceID": "abcg", "spans": list(spans), "processes": {"p1": {"serviceName": "shop", "tags": []}}}


def test_an_id_that_is_not_hexadecimal_is_kept_as_it_is(tmp_path: Path) -> None:
    below = {"refType": "CHILD_OF", "traceID": "abcg", "spanID": "span-1"}
    given = jaeger_trace(
        jaeger_span("span-1"), jaeger_span("1f", "hex", references=[below]), jaeger_span("0x1", references=[below]),
        jaeger_span("1" * 17, references=[below]),
    )  # fmt: skip
    file = tmp_path / "trace.json"
    file.write_text(json.dumps(given))
    (trace,), told = read(lambda: files.load(file))
    assert told == []
    assert trace.base_id == "abcg"
    prefix = ids.point_prefix(ids.trace_id_of("abcg"))
    assert set(trace.spans) == {"span-1", ids.point_uuid(prefix, 0x1F), "0x1", "1" * 17}
    assert [(root.trace_id, len(root.children)) for root in trace.roots] == [("span-1", 3)]
    # Written for Jaeger and read again it is the same: what Jaeger gets for an id is a number that stands for it.
    file.write_text("".join(writing.text(trace)))
    (again,) = files.load(file)
    assert (again.base_id, set(again.spans)) == (trace.base_id, set(trace.spans))
    assert [(root.trace_id, len(root.children)) for root in again.roots] == [("span-1", 3)]


def test_two_spans_of_one_id_are_both_kept_and_it_is_told() -> None:
    one, other = jaeger_span("1f", "client"), jaeger_span("1f", "server", startTime=T0_US + 1)
    records, told = read(lambda: jaeger_json.records(jaeger_trace(one, other, one), "file"))
    trace = model.from_records(records)
    assert [(each.name, each.duration_us) for each in trace.spans.values()] == [("client", 7), ("server", 7)]
    first, second = trace.spans
    assert second == f"{first}#2"
    assert told == [f"file: two spans have the id {first}; 'server' becomes {second}"]


def test_a_span_without_sense_is_named() -> None:
    bad = [1, jaeger_span("1", startTime="soon"), {**jaeger_span("2"), "tags": 5}]
    del bad[2]["operationName"]  # type: ignore[attr-defined]
    good = jaeger_span("3", tags=[{"key": "n", "type": "int64", "value": "many"}])
    records, told = read(lambda: jaeger_json.records(jaeger_trace(*bad, good), "file"))
    assert [each["name"] for each in records] == ["work-start", "work-stop"]
    assert [line.partition(" is left out")[0] for line in told] == ["file: span 1", "file: span 1", "file: span 2"]
    assert "it has no operationName" in told[2]


# Records of several spans under one id


def shared(order: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = list) -> list[dict[str, Any]]:
    """Spans of a client and a server with the same id, as some tracers make them, and a child of each."""
    server = [{**each, "name": each["name"].replace("neutron", "nova"), "service": "s"} for each in span(1, 10)]
    return order([*span(1, 0, client=True), *server, record(2, "start", 20, parent=1), record(2, "stop", 25, parent=1)])


@pytest.mark.parametrize("order", [list, lambda each: each[::-1], lambda each: each[::2] + each[1::2] + each[:3]])
def test_two_spans_with_one_trace_id_are_both_there(order: Any) -> None:
    trace, told = read(lambda: model.from_records(shared(order)))
    spans = {each.name: each for each in trace.spans.values()}
    assert len(trace.spans) == 3 or len(spans) == 2
    assert {(each.trace_id, each.name, each.duration_us) for each in trace.spans.values()} == {
        (point(1), "neutron-api", 50), (f"{point(1)}#2", "nova-api", 50), (point(2), "neutron-api", 5),
    }  # fmt: skip
    assert told == [f"trace {TRACE}: several spans have the id {point(1)}; 'nova-api' is shown as {point(1)}#2"]
    report = json_report.report(trace)
    assert set(json_report.from_report(report).spans) == set(trace.spans)


def test_calls_of_one_name_and_id_are_told_apart_by_time() -> None:
    records = [*span(1, 0), *span(1, 50), record(1, "start", 200), record(1, "start", 300), record(1, "stop", 350)]
    trace = model.from_records([*records, *records])
    assert [(each.start_us - T0_US, each.duration_us) for each in trace.spans.values()] == [
        (0, 50), (50, 50), (200, None), (300, 50),
    ]  # fmt: skip
    assert list(trace.spans) == [point(1), f"{point(1)}#2", f"{point(1)}#3", f"{point(1)}#4"]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(0, 20)), max_size=12), st.randoms())
def test_no_record_of_shared_ids_vanishes(calls: list[tuple[int, int, int]], random: Any) -> None:
    records = []
    for name, start, length in calls:
        for phase, at in ("start", start), ("stop", start + length):
            records.append({**record(1, phase, at), "name": f"call {name}-{phase}"})
    distinct = {(each["name"], each["timestamp"]) for each in records}
    random.shuffle(records)
    trace = model.from_records(records)
    shown = {
        (f"{each.name}-{phase}", payload["timestamp"])
        for each in trace.spans.values()
        for name, payload in each.payloads.items()
        for phase in [name.rpartition("-")[2]]
    }
    assert shown == distinct


def test_spans_of_one_id_go_to_jaeger_both() -> None:
    pairs = Pairs()
    spans = [pairs.add(each) for each in sorted(shared(), key=lambda each: each["name"].endswith("-stop"))]
    assert sorted(each.name for each in spans if each is not None) == ["neutron-api", "neutron-api", "nova-api"]
    assert list(pairs.unfinished()) == []


def test_a_report_of_4_4_0_put_two_spans_of_one_id_into_one_node() -> None:
    first, second = span(1, 0), [{**each, "name": each["name"].replace("neutron", "nova")} for each in span(1, 10)]
    info = {f"meta.raw_payload.{each['name']}": each for each in [*first, *second]}
    node = {"info": {"name": "neutron", "started": 0, "finished": 0, **info}, "trace_id": point(1), "children": []}
    trace, told = read(lambda: json_report.from_report({"info": {}, "children": [node]}))
    assert {each.name for each in trace.spans.values()} == {"neutron-api", "nova-api"}
    assert len(told) == 1


def test_what_is_below_a_node_without_sense_is_kept() -> None:
    report = json_report.report(model.from_records(two_spans()))
    report["children"][0]["info"] = 5
    trace, told = read(lambda: json_report.from_report(report, "file"))
    assert [each.trace_id for each in trace.spans.values()] == [point(2)]
    assert trace.unreadable == 1
    assert told[0].startswith("file: node 1 is left out")


# Files


def test_lines_that_are_no_records_are_named(tmp_path: Path) -> None:
    file = tmp_path / "traces.jsonl"
    good = [json.dumps(each) for each in two_spans()]
    file.write_text("\n".join([good[0], *no_records(), *good[1:]]))
    (trace,), told = read(lambda: files.load(file))
    assert len(trace.spans) == 2
    assert told[0].startswith(f"{file}: line 2 is left out: it is not JSON")
    assert told[-1] == f"and {len(no_records()) - unreadable.MOST_NAMED} more of this kind"


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress, lambda data: gzip.compress(gzip.compress(data))])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_with_a_mark_packed_and_from_standard_input(
    encoding: str, pack: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    data = pack("".join(files.lines(two_spans())).encode(encoding))
    file = tmp_path / "trace.jsonl.gz"
    file.write_bytes(data)
    (trace,) = files.load(file)
    assert len(trace.spans) == 2
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert shell.main(["trace", "show", "-"]) == 0
    assert f"Trace {TRACE}" in capsys.readouterr().out


def test_a_file_that_is_not_there_or_damaged_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = tmp_path / "damaged.gz"
    damaged.write_bytes(gzip.compress(b"x" * 1_000)[:-20])
    for name, why in (damaged, "it is damaged"), (tmp_path / "absent.json.gz", "No such file"):
        assert shell.main(["trace", "show", str(name)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert why in line


def test_bytes_that_are_not_utf_8_are_shown_and_told(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    file.write_bytes(json.dumps(two_spans()).encode().replace(b"neutron-api", b"neutr\xffn-api"))
    (trace,), told = read(lambda: files.load(file))
    assert {each.name for each in trace.spans.values()} == {"neutr\N{REPLACEMENT CHARACTER}n-api"}
    assert len(told) == 1
