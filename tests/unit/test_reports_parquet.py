# SPDX-License-Identifier: Apache-2.0
"""Traces as a table: what is in the files is the trace, and the shipped SQL says what the commands say."""

from __future__ import annotations

import datetime
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from pyarrow import parquet

from osprofiler import reports
from osprofiler.cmd import shell
from osprofiler.drivers import base
from osprofiler.reports import files, model, wording
from osprofiler.reports.analysis import critical_path, path_set, skew, statistics, trace_profile
from osprofiler.reports.analysis.calling_context import Steps
from osprofiler.reports.analysis.statistics import percentile, self_us
from osprofiler.reports.model import SpanNode, Trace
from osprofiler.reports.views import folded, parquet_files, span_rows
from osprofiler.reports.views.parquet_files import ParquetWriter
from osprofiler.testing.records import HOSTILE, OTHER, TRACE, point
from tests.unit import boots
from tests.unit.reports_kit import Made, made, traces

SQL = Path(reports.__file__).parent / "sql"
HOUR_US = 3_600_000_000


def write(target: Path, some: Iterable[Trace]) -> None:
    rows = span_rows.Rows()
    with ParquetWriter(target) as writer:
        for trace in some:
            writer.add(rows.of(skew.correct(trace)))


def ask(place: object, query: str) -> list[dict[str, Any]]:
    """The rows of the answer to *query* about the view ``spans``, as DuckDB gives it."""
    duckdb.execute(f"CREATE OR REPLACE VIEW spans AS SELECT * FROM '{place}'")
    answer = duckdb.execute(query)
    names = [column[0] for column in answer.description]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def read(file: Path) -> list[dict[str, Any]]:
    """The rows of *file*, as pyarrow gives them, with dictionaries for maps."""
    rows = parquet.read_table(file).to_pylist()
    for row in rows:
        row["tags"], row["process"] = dict(row["tags"]), dict(row["process"])
        row["logs"] = [{**log, "fields": dict(log["fields"])} for log in row["logs"]]
    return rows


def shipped(place: object, name: str) -> list[dict[str, Any]]:
    return ask(place, (SQL / f"{name}.sql").read_text())


@pytest.fixture(scope="module")
def monday() -> list[Trace]:
    """40 boots, a quarter of an hour apart; some failed, and in the second half a step is slower."""
    some = []
    for seed in range(40):
        slower = {"verify_checksum": 1.4} if seed >= 20 else {}
        records = boots.records(seed, slower, "rpc build" if seed % 10 == 3 else "", number=seed)
        trace = model.from_records(records)
        for span in trace.spans.values():
            span.start_us += seed * HOUR_US // 4
        some.append(skew.correct(model.linked(trace)))
    return some


@pytest.fixture(scope="module")
def table(monday: list[Trace], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("parquet") / "monday.parquet"
    write(file, monday)
    return file


# What the files hold


def as_it_is(trace: Trace, span: SpanNode, on_path: Counter[str]) -> dict[str, Any]:
    """The columns of *span* that follow from it in the simplest way."""
    return {
        "trace_id": trace.base_id,
        "span_id": span.trace_id,
        "parent_id": span.parent_id if span.trace_id not in {root.trace_id for root in trace.roots} else None,
        "reference": span.reference,
        "service": wording.place(span) or None,
        "host": span.host,
        "operation": span.operation,
        "name": span.name,
        "started": datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=span.start_us),
        "start_us": span.start_us,
        "duration_us": span.duration_us,
        "self_us": self_us(span),
        "path_us": on_path[span.trace_id],
        "error": span.error,
        "links": [{"kind": kind, "trace_id": one, "span_id": other} for kind, one, other in span.links],
    }


@given(traces())
@settings(max_examples=30, deadline=None)
def test_any_trace_comes_back_from_both_readers(tmp_path_factory: pytest.TempPathFactory, trace: Trace) -> None:
    file = tmp_path_factory.mktemp("any") / "spans.parquet"
    write(file, [trace])
    on_path: Counter[str] = Counter()
    for section in critical_path.find(trace).sections:
        on_path[section.span.trace_id] += section.duration_us
    wanted = {trace_id: as_it_is(trace, span, on_path) for trace_id, span in trace.spans.items()}
    for rows in read(file), ask(file, "FROM spans"):
        assert {row["span_id"]: {key: row[key] for key in wanted[row["span_id"]]} for row in rows} == wanted
        assert len(rows) == len(wanted)
    statistics_are_the_same(file, [trace])


def test_tags_logs_and_links_of_a_span(tmp_path: Path) -> None:
    trace = made(
        Made("a", None, 0, 100, joins=["b"]), Made("b", "a", 10, 40, info={"request": {"path": "/v3", "n": 1}})
    )
    first, second = trace.spans.values()
    first.tags |= {"ok": True, "n": 7, "share": 0.5, "list": [1, "x"], "none": None, "half": "\ud800", **HOSTILE}
    first.logs = [model.Log(first.start_us + 5, {"event": "error", "deep": {"a": 1}})]
    first.process, first.pid, second.pid = {"version": "1.0"}, 17, 1 << 70
    first.links = [model.Link("follows_from", OTHER, point(9))]
    file = tmp_path / "spans.parquet"
    write(file, [trace])
    one, other = read(file)
    assert one["tags"].items() >= {
        "ok": "true", "n": "7", "share": "0.5", "list": '[1, "x"]', "none": None, "half": "\\ud800",
        "text": HOSTILE["text"], "$key": json.dumps(HOSTILE["$key"]), "large": str(2**62),
    }.items()  # fmt: skip
    assert one["logs"] == [{"at_us": first.start_us + 5, "fields": {"event": "error", "deep": '{"a": 1}'}}]
    assert one["links"] == [{"kind": "follows_from", "trace_id": OTHER, "span_id": point(9)}]
    assert (one["process"], one["pid"], other["pid"]) == ({"version": "1.0"}, 17, None)
    assert other["tags"]["start.request.path"] == "/v3"
    assert other["kind"] == other["tags"]["span.kind"] == "server"
    assert ask(file, "SELECT tags['n'] AS n FROM spans WHERE tags['ok'] = 'true'") == [{"n": "7"}]


def test_the_schema_is_the_documented_one(table: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "doc" / "source" / "scale.rst").read_text()
    begin, end = page.index(".. The columns."), page.index(".. The end of the columns.")
    documented = re.findall(r"\* - ``(\w+)``\n     - ``(.+)``\n", page[begin:end])
    rows = ask(table, "SELECT column_name, column_type FROM (DESCRIBE spans)")
    assert [tuple(row.values()) for row in rows] == documented


def test_a_chain_of_any_depth_has_texts_of_bounded_length() -> None:
    spans = [Made(str(i), str(i - 1) if i else None, i, 1_000 - i) for i in range(300)]
    rows = list(span_rows.Rows().of(made(*spans)))
    assert [row.depth for row in rows] == list(range(300))
    assert rows[99].step == ";".join(f"{i} [svc]" for i in range(100))
    assert {row.step for row in rows[100:]} == {f"{rows[99].step};..."}


def test_row_groups_and_files_are_bounded(
    monday: list[Trace], table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_files, "GROUP_ROWS", 50)
    monkeypatch.setattr(parquet_files, "FILE_ROWS", 200)
    folder = tmp_path / "spans"
    write(folder, monday)
    written = sorted(folder.iterdir())
    assert [file.name for file in written] == [f"spans-{number:05d}.parquet" for number in range(1, len(written) + 1)]
    assert len(written) > 2
    groups = [parquet.ParquetFile(file).metadata for file in written]
    assert max(each.row_group(i).num_rows for each in groups for i in range(each.num_row_groups)) <= 50
    assert max(each.num_rows for each in groups) <= 200 + max(len(trace.spans) for trace in monday)
    assert ask(f"{folder}/*.parquet", "FROM spans") == ask(table, "FROM spans")


def test_a_fault_in_the_middle_leaves_a_table_of_what_was_read(monday: list[Trace], tmp_path: Path) -> None:
    file = tmp_path / "some.parquet"

    def interrupted() -> Iterator[Trace]:
        yield monday[0]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(file, interrupted())
    assert len(ask(file, "FROM spans")) == len(monday[0].spans)
    assert [each.name for each in tmp_path.iterdir()] == ["some.parquet"]


# What the shipped SQL says


def statistics_are_the_same(place: object, some: list[Trace]) -> None:
    rows = [tuple(row.values()) for row in shipped(place, "operations")]
    assert rows == [
        (each.place or None, each.operation, each.count, each.total_us, each.self_us, each.p50_us, each.p95_us,
         each.p99_us, each.max_us, each.errors, each.unfinished)
        for each in statistics.of(some)
    ]  # fmt: skip


def test_operations_are_those_of_stats(monday: list[Trace], table: Path) -> None:
    statistics_are_the_same(table, monday)


def test_hours_are_those_of_stats_by_hour(monday: list[Trace], table: Path) -> None:
    wanted = {
        (datetime.datetime(1970, 1, 1) + datetime.timedelta(hours=hour), each.place or None, each.operation): (
            each.count, each.p50_us, each.p95_us, each.p99_us, each.errors
        )
        for hour in {trace.start_us // HOUR_US for trace in monday}
        for each in statistics.of(trace for trace in monday if trace.start_us // HOUR_US == hour)
    }  # fmt: skip
    rows = [tuple(row.values()) for row in shipped(table, "hours")]
    assert {row[:3]: row[3:] for row in rows} == wanted
    assert len({row[0] for row in rows}) > 8


def test_steps_are_those_of_the_critical_path(monday: list[Trace], table: Path) -> None:
    steps = Steps()
    profiles = [trace_profile.of(trace, steps) for trace in monday]
    wanted = {
        ";".join(map(folded.frame, each.step.path())): (each.traces, each.on_path, each.exclusive_us, each.waiting_us)
        for each in path_set.summaries(profiles)
    }
    columns = ("traces", "on_path", "path_us", "waiting_us")
    rows = {row["step"]: tuple(row[column] for column in columns) for row in shipped(table, "steps")}
    assert rows == {step: pytest.approx(numbers) for step, numbers in wanted.items()}


def test_errors_by_operation_and_kind(monday: list[Trace], table: Path) -> None:
    spans = [
        (wording.place(span) or None, span.operation, span.error) for trace in monday for span in trace.spans.values()
    ]
    every, failed = Counter(each[:2] for each in spans), Counter(each for each in spans if each[2])
    rows = shipped(table, "errors")
    assert {(row["service"], row["operation"], row["error"]): (row["failed"], row["rate"]) for row in rows} == {
        each: (count, pytest.approx(count / every[each[:2]])) for each, count in failed.items()
    }
    assert rows


def test_changes_name_the_step_that_got_slower_first(monday: list[Trace], table: Path) -> None:
    first = shipped(table, "changes")[0]
    assert first["step"].endswith("verify_checksum [demo-image]")
    assert (first["traces_before"], first["traces_after"]) == (20, 20)
    for column, some in ("before_us", monday[:20]), ("after_us", monday[20:]):
        own = [self_us(span) for trace in some for span in trace.spans.values() if span.operation == "verify_checksum"]
        assert first[column] == percentile(sorted(own), 50)


def test_the_slowest_traces_come_first(monday: list[Trace], table: Path) -> None:
    wanted = sorted(
        ((trace.end_us - trace.start_us, trace.base_id) for trace in monday), key=lambda one: (-one[0], one[1])
    )
    rows = shipped(table, "traces")
    assert [(row["duration_us"], row["trace_id"]) for row in rows] == wanted
    assert {row["operation"] for row in rows} == {"boot"}


# The command


def test_a_store_and_a_file_make_the_same_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, lines = f"sqlite:///{tmp_path}/traces.db", tmp_path / "traces.jsonl"
    records = [record for seed in range(5) for record in boots.records(seed, number=seed)]
    lines.write_text("".join(files.lines(records)))
    driver = base.get_driver(store)
    driver.write(records)
    driver.close()
    assert shell.main(["trace", "export", "--connection-string", store, "--parquet", f"{tmp_path}/spans"]) == 0
    assert shell.main(["trace", "export", str(lines), "--parquet", f"{tmp_path}/all.parquet"]) == 0
    told = capsys.readouterr().err
    spans = len(records) // 2
    assert f"{spans} spans of 5 traces in {tmp_path}/all.parquet; SQL for them is in {SQL}" in told
    ordered = "FROM spans ORDER BY trace_id, start_us, span_id"
    assert ask(f"{tmp_path}/spans/*.parquet", ordered) == ask(f"{tmp_path}/all.parquet", ordered)
    assert shell.main(["trace", "export", str(lines), "--sample", "2", "--parquet", f"{tmp_path}/two.parquet"]) == 0
    assert ask(f"{tmp_path}/two.parquet", "SELECT COUNT(DISTINCT trace_id) AS n FROM spans") == [{"n": 2}]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--parquet", "{full}"], "cannot write {full}: {full} is not empty"),
        (["--parquet", "{full}/x.parquet", "--out", "x.jsonl"], "choose one of --out, --to and --parquet"),
        (["--sample", "3"], "--sample needs --parquet"),
        (["{full}/nothing.jsonl", "--parquet", "{full}/new.parquet"], "cannot read"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    words: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a file").touch()
    assert shell.main(["trace", "export", *(word.format(full=tmp_path) for word in words)]) != 0
    (line,) = capsys.readouterr().err.splitlines()
    assert text.format(full=tmp_path) in line
    assert [each.name for each in tmp_path.iterdir()] == ["a file"]


def test_without_pyarrow_one_line_says_what_to_install(tmp_path: Path) -> None:
    blocked = "import sys; sys.modules['pyarrow'] = None; from osprofiler.cmd.shell import main; sys.exit(main())"
    command = [sys.executable, "-c", blocked, "trace", "export", TRACE, "--parquet", str(tmp_path / "spans.parquet")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'osprofiler[parquet]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
