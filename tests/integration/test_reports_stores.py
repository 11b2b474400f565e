# SPDX-License-Identifier: Apache-2.0
"""The commands on real stores: files for Jaeger's UI are equal to Jaeger's responses, old traces go to all stores."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
import requests

from osprofiler.cmd import shell
from osprofiler.drivers import base
from osprofiler.drivers.jaeger_query import Query
from osprofiler.records.record import timestamp
from osprofiler.reports import model
from osprofiler.testing.records import T0_US, TRACE, point, record
from tests.servers import Jaeger
from tests.unit.reports_kit import Made, records
from tests.waiting import wait_until


def recorded(base_id: str) -> list[dict[str, Any]]:
    """The records of a request with a cast, a join and an error, with new ids."""
    made = records(
        Made("boot", None, 0, 1_000, info={"request": {"path": "/servers", "method": "POST"}}),
        Made("ask", "boot", 100, 300),
        Made("ask too", "boot", 110, 700),
        Made("join", "boot", 710, 720, joins=["ask", "ask too"]),
        Made("cast", "boot", 800, 810, follows=True),
    )
    text = json.dumps(made).replace(point(0)[:23], f"{base_id[:18]}-0000").replace(TRACE, base_id)
    own: list[dict[str, Any]] = json.loads(text)
    own[-1]["info"]["etype"] = "ValueError"
    return own


def command(*args: str) -> None:
    assert shell.main(["trace", *args]) == 0


def essence(trace: dict[str, Any]) -> list[Any]:
    """The parts of each span that Jaeger's UI shows, sorted: Jaeger's responses and files have another order."""

    def tags(items: list[dict[str, Any]], *without: str) -> dict[str, Any]:
        added = ("otel.", "internal.", "jaeger.")
        return {
            each["key"]: (each["type"], each["value"])
            for each in items
            if not each["key"].startswith(added) and each["key"] not in without
        }

    return sorted(
        (
            span["traceID"].rjust(32, "0"),
            span["spanID"],
            span["operationName"],
            span["startTime"],
            span["duration"],
            sorted((each["refType"], each["spanID"]) for each in span["references"]),
            tags(span["tags"], "osprofiler.name", "span.kind"),
            trace["processes"][span["processID"]]["serviceName"],
            tags(trace["processes"][span["processID"]]["tags"], "pid", "service"),
        )
        for span in trace["spans"]
    )


def send_foreign_spans(jaeger: Jaeger, trace_id: str) -> None:
    """The spans of a client and a server, which also references a third span, like those of another tracer."""

    def span(number: int, name: str, parent: int, links: tuple[int, ...] = ()) -> dict[str, Any]:
        start_ns = (T0_US + 100 * number) * 1_000
        return {
            "traceId": trace_id,
            "spanId": f"{number:016x}",
            "name": name,
            "startTimeUnixNano": str(start_ns),
            "endTimeUnixNano": str(start_ns + 50_000),
            "attributes": [
                {"key": "http.method", "value": {"stringValue": "GET"}},
                {"key": "retries", "value": {"intValue": str(number)}},
            ],
            **({"parentSpanId": f"{parent:016x}"} if parent else {}),
            "links": [{"traceId": trace_id, "spanId": f"{link:016x}"} for link in links],
        }

    service = {"key": "service.name", "value": {"stringValue": f"foreign-{trace_id[:8]}"}}
    spans = [span(1, "GET /", 0), span(2, "handle", 1), span(3, "merge", 1, links=(2,))]
    body = {"resourceSpans": [{"resource": {"attributes": [service]}, "scopeSpans": [{"spans": spans}]}]}
    answer = requests.post(f"{jaeger.otlp_url}/v1/traces", json=body, timeout=30)
    assert answer.status_code == 200


def test_the_file_for_jaegers_ui_says_what_jaeger_says(jaeger: Jaeger, tmp_path: Path) -> None:
    base_id, file = str(uuid.uuid4()), tmp_path / "trace.json"
    trace_id = base_id.replace("-", "")
    send_foreign_spans(jaeger, trace_id)
    told = jaeger.wait_for_trace(trace_id, 3)
    command("show", base_id, "--jaeger-json", "--out", str(file), "--connection-string", jaeger.url)
    (written,) = json.loads(file.read_text())["data"]
    assert essence(written) == essence(told)


def test_a_trace_from_jaeger_is_the_one_that_was_written(jaeger: Jaeger, tmp_path: Path) -> None:
    base_id = str(uuid.uuid4())
    store, file = f"sqlite:///{tmp_path / 'traces.db'}", tmp_path / "trace.jsonl"
    base.get_driver(store).write(recorded(base_id))
    command("export", base_id, "--connection-string", store, "--to", jaeger.url)
    jaeger.wait_for_trace(base_id.replace("-", ""), 5)
    command("export", base_id, "--connection-string", jaeger.url, "--out", str(file))
    other = f"sqlite:///{tmp_path / 'other.db'}"
    command("import", str(file), "--connection-string", other)
    shapes = [shape(model.from_records(base.get_driver(url).read(base_id))) for url in (store, other)]
    assert shapes[0] == shapes[1]


def shape(trace: model.Trace) -> list[Any]:
    return [
        (depth, span.operation, span.start_us, span.duration_us, span.reference, span.links, span.error)
        for depth, span in trace.walk()
    ]


def test_jaeger_is_searched(
    jaeger: Jaeger, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By requests only for traces that may match: Jaeger sends whole traces, and others may be many and large."""
    asked: list[str] = []
    ask = Query._ask
    monkeypatch.setattr(Query, "_ask", lambda self, path: asked.append(path.partition("&")[0]) or ask(self, path))
    base_id, service = str(uuid.uuid4()), f"search-{uuid.uuid4()}"
    base.get_driver(jaeger.url).write([{**each, "service": service} for each in recorded(base_id)])
    jaeger.wait_for_trace(base_id.replace("-", ""), 5)

    def listed(*options: str) -> list[str]:
        command("list", "--json", "--service", service, *options, "--connection-string", jaeger.url)
        return [each["base_id"] for each in json.loads(capsys.readouterr().out)]

    wait_until(lambda: listed() == [base_id])
    assert listed("--operation", "ask*", "--min-duration", "500us") == [base_id]
    assert listed("--operation", "ask", "--min-duration", "500us") == []
    assert listed("--since", "30m") == []
    assert set(asked) == {"services", f"traces?service={service}"}


@pytest.mark.parametrize(
    "how", [["delete", TRACE], ["purge", "--older-than", "1d"], ["purge", "--older-than", "1d", "--dry-run"]]
)
def test_what_jaeger_cannot_is_not_promised(jaeger: Jaeger, how: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert shell.main(["trace", *how, "--connection-string", jaeger.url]) == 1
    assert "cannot delete traces" in capsys.readouterr().err


@pytest.mark.parametrize("server", ["mariadb", "postgres"])
def test_old_traces_are_removed(server: str, request: pytest.FixtureRequest) -> None:
    driver = base.get_driver(request.getfixturevalue(server).fresh_url())
    driver.write([record(1, "start", i, f"trace {i}") for i in range(1_200)])
    driver.write([{**record(1, "stop", 10**9, "trace 0"), "timestamp": timestamp(T0_US + 10**9)}])
    assert driver.purge(T0_US + 1_100) == 1_100
    assert {each["base_id"] for each in driver.list_traces()} == {f"trace {i}" for i in range(1_100, 1_200)}
    assert driver.read("trace 0") == []
