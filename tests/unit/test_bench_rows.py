# SPDX-License-Identifier: Apache-2.0
"""The benchmarks' own rows, each run once on this project: a row that only ``make bench`` runs is a row that rots."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import collect, sets, stores
from benchmarks.child import traces
from benchmarks.child.contenders import OPERATIONS, TEXT
from benchmarks.environments import Contender
from benchmarks.figures import Figures
from benchmarks.sink import Sink
from osprofiler.drivers import base
from osprofiler.reports import model

ROOT = Path(__file__).resolve().parents[2]
CHILD = ROOT / "benchmarks" / "child"


def run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=CHILD,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def child(script: str, **order: Any) -> list[dict[str, Any]]:
    order = {"module": "osprofiler5", "service": "bench", **order}
    return [json.loads(line) for line in run(script, json.dumps(order)).splitlines()]


def work(operation: str, flow: str = "loop", flows: int = 1) -> dict[str, Any]:
    return dict(name=f"{operation} {flow}", operation=operation, flow=flow, flows=flows, bursts=2, calls=16)


@pytest.mark.parametrize(
    ("works", "eventlet"),
    [
        ([work(operation) for operation in OPERATIONS], False),
        ([work("two_tags", "threads", 8), work("two_tags", "tasks", 8)], False),
        ([work("two_tags", "green", 8)], True),
    ],
    ids=["operations", "flows", "eventlet"],
)
def test_every_span_that_a_row_makes_is_delivered(works: list[dict[str, Any]], eventlet: bool) -> None:
    with Sink() as sink:
        target = f"jaeger+{sink.url}"
        *results, last = child("spans.py", target=target, work=works, eventlet=eventlet)
        bodies = b"".join(body for _, body in sink.bodies)
    assert [result["name"] for result in results] == [one["name"] for one in works]
    for one, result in zip(works, results, strict=True):
        made = last["made"][one["operation"]]
        assert made % OPERATIONS[one["operation"]] == 0
        assert all(len(values) == 2 and min(values) > 0 for values in result["figures"].values())
    assert set(last["counts"]) == {"queued", "delivered"}
    assert last["counts"]["delivered"] == last["counts"]["queued"] > sum(last["made"].values())  # with the roots
    if not eventlet and "ten_tags" in last["made"]:
        plain = sum(last["made"][name] for name in ("two_tags", "ten_tags", "with_log", "nested", "traced"))
        assert bodies.count(TEXT.encode()) >= plain - last["made"]["traced"]


def test_every_single_call_that_is_measured_can_be_made() -> None:
    code = "import json, micro; print(json.dumps({name: run(3) for name, run in micro.rows('osprofiler5').items()}))"
    seconds = json.loads(run("-c", code))
    assert {"bare call", "rest traced", "rest start/stop", "wsgi off", "unsampled", "floor"} <= seconds.keys()
    assert all(value > 0 for value in seconds.values())


def test_latency_is_measured_on_a_service_that_answers() -> None:
    with Sink() as sink:
        order = {"target": f"jaeger+{sink.url}", "traced": True, "rate": 200, "requests": 20}
        (figures,) = child("service.py", **order)
        spans = b"".join(body for path, body in sink.bodies if path.startswith("/api/traces"))
    assert figures.keys() == {"p50_ms", "p90_ms", "p99_ms"}
    assert spans.count(b"wsgi GET") == 20


def test_samples_tell_the_caller_from_the_reporter() -> None:
    from benchmarks import flame

    stacks = {
        "sample.main;sample.caller;profiler.start": 3,
        "sample.main;sample.reporter;http.HttpExporter.export": 1,
        "sample.main;threading.wait": 5,
    }
    tree = flame.tree(stacks)
    assert {name: node.samples for name, node in tree.children.items()} == {"sample.caller": 3, "sample.reporter": 1}
    drawn = flame.svg(stacks, "a <title>")
    assert "profiler.start: 75.0%" in drawn
    assert "a &lt;title&gt;, 4 samples" in drawn


def test_the_large_trace_is_one_trace_and_whole(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/traces.db"
    (made,) = child("fill.py", target=url, spans=40)
    (root,) = base.get_driver(url).get_report(made["base_id"])["children"]
    assert [point["info"]["name"] for point in root["children"]] == ["two_tags"] * 40


def test_a_days_traces_are_the_same_in_each_run_and_as_many_as_asked_for() -> None:
    day = list(traces.traces(200, 20, end_us=1_795_000_000_000_000))
    assert day == list(traces.traces(200, 20, end_us=1_795_000_000_000_000))
    made = [model.from_records(records) for records in day]
    assert {len(trace.spans) for trace in made} == {20}
    assert all(len(trace.roots) == 1 and trace.end_us > trace.start_us for trace in made)
    assert [trace.start_us for trace in made] == sorted(trace.start_us for trace in made)
    assert 1_795_000_000_000_000 - traces.DAY_US <= made[0].start_us < made[-1].start_us < 1_795_000_000_000_000
    services = [{span.service for span in trace.spans.values()} for trace in made]
    assert len(set.union(*services)) == 5
    assert 5 < sum("nova-compute" in names for names in services) < 40
    assert 0 < sum(any(span.error for span in trace.spans.values()) for trace in made) < 20


def test_commands_are_measured_on_a_store_that_holds_the_traces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Contender, "python", lambda _: Path(sys.executable))
    monkeypatch.setattr(stores, "COMMANDS", {"trace list --limit 2": 0, "trace stats --since 2d": None})
    size = dataclasses.replace(collect.QUICK, traces=5, trace_spans=10)
    figures = Figures()
    ours = Contender("ours", "osprofiler5", (), "", "", of_this_tree=True)
    url = f"sqlite:///{tmp_path}/traces.db"
    assert stores.stores([url], ours, size, figures) == ["sqlite"]
    assert figures.wrong == []
    assert figures.median("sqlite", "trace stats --since 2d", "spans_s") > 0  # type: ignore[operator]
    assert len(base.get_driver(url).list_traces()) == 5
    stores.stores([url], ours, size, figures, filled=True)
    assert len(base.get_driver(url).list_traces()) == 5

    monkeypatch.setattr(stores, "COMMANDS", {"trace stats --no-such-option": 1})
    stores.stores([url], ours, size, figures, filled=True)
    assert "--no-such-option" in figures.wrong[0]


def test_sets_are_measured_in_a_folder_and_in_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Contender, "python", lambda _: Path(sys.executable))
    size = dataclasses.replace(collect.QUICK, traces=20, trace_spans=10, others=1)
    figures = Figures()
    ours = Contender("ours", "osprofiler5", (), "", "", of_this_tree=True)
    assert sets.sets(ours, size, figures) == ["folder", "sqlite"]
    assert figures.wrong == []
    for name in "folder", "sqlite":
        for command in sets.COMMANDS:
            assert figures.median(name, f"trace {command} SET", "json_times") > 0  # type: ignore[operator]
