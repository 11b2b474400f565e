# SPDX-License-Identifier: Apache-2.0
"""OpenStack's own OpenTelemetry tracing and ours in the same services: one trace in a real Jaeger, nothing twice.

An API calls a worker by RPC. oslo.middleware and oslo.messaging export their spans with OpenTelemetry's SDK.
"""

import contextlib
import os
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osprofiler import profiler, web
from tests.servers import Jaeger, Rabbit

PROGRAM = Path(__file__).parent / "programs" / "beside_opentelemetry.py"
KEY = "KEY"

Tree = dict[str, Any]  # what is below a span, by the span's service and name
Start = Callable[..., str]

WORK = {"work": {}}
OURS_IN_THEIRS = {"otel HTTP GET /": {"ask": {"otel TOPIC.work": {"otel work receive": WORK}}}}
OURS = {"wsgi GET": {"ask": {"rpc work": {"rpc work": WORK}}}}


@pytest.fixture
def start(rabbit: Rabbit, jaeger: Jaeger, tmp_path: Path) -> Iterator[Start]:
    """Starts both services; returns the URL of the API."""
    with contextlib.ExitStack() as running:

        def run(role: str, *arguments: str) -> str:
            service = running.enter_context(
                subprocess.Popen(
                    [sys.executable, str(PROGRAM), role, *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env={**os.environ, "OTEL_BSP_SCHEDULE_DELAY": "200"},  # milliseconds
                )
            )
            assert service.stdin is not None
            assert service.stdout is not None
            running.callback(service.stdin.close)
            return service.stdout.readline().strip()

        def both(mode: str, filters: str) -> str:
            topic = f"topic-{uuid.uuid4().hex}"
            config = tmp_path / "service.conf"
            config.write_text(
                f"[profiler]\nenabled = true\nhmac_keys = {KEY}\nconnection_string = {jaeger.url}\n"
                f"instrument = messaging\nsampler = const:1\nopentelemetry = {mode}\n"
                "[oslo_messaging_tracing]\ntracing_enabled = true\n"
                f"[oslo_middleware_tracing]\nenabled = true\notlp_endpoint = {jaeger.otlp_url}\n"
            )
            assert run("worker", str(config), rabbit.url, topic, filters) == "serving"
            return f"http://127.0.0.1:{run('api', str(config), rabbit.url, topic, filters)}/"

        yield both


def ask(url: str, headers: dict[str, str]) -> dict[str, str]:
    """Send one request; the headers of its answer."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
        assert answer.read() == b"done"
        return dict(answer.headers)


def signed() -> tuple[str, dict[str, str]]:
    """The id of a trace, and the headers with which a client of osprofiler 4 asks for it."""
    profiler.init(KEY)
    here = profiler.get()
    assert here is not None
    headers = web.get_trace_id_headers()
    profiler.clean()
    trace = uuid.UUID(here.get_base_id()).hex
    return trace, {name: headers[name] for name in ("X-Trace-Info", "X-Trace-HMAC")}


def tree(trace: dict[str, Any]) -> Tree:
    """The spans of Jaeger's *trace* by parent; a topic's random name is TOPIC."""
    below: dict[str, list[Any]] = {}
    known = {span["spanID"] for span in trace["spans"]}
    for span in trace["spans"]:
        parents = [reference["spanID"] for reference in span["references"]]
        assert len(parents) <= 1
        below.setdefault(parents[0] if parents and parents[0] in known else "", []).append(span)

    def name(span: dict[str, Any]) -> str:
        operation = span["operationName"]
        if trace["processes"][span["processID"]]["serviceName"].startswith("otel-"):
            return "otel " + ("TOPIC.work" if operation.startswith("topic-") else operation)
        return str(operation)

    def of(parent: str) -> Tree:
        spans = below.get(parent, [])
        names = [name(span) for span in spans]
        assert len(set(names)) == len(names), names
        return {name(span): of(span["spanID"]) for span in spans}

    return of("")


def count(tree: Tree) -> int:
    return sum(1 + count(inner) for inner in tree.values())


CASES = [
    ("child", "osprofiler,tracing", OURS),
    ("parent", "tracing,osprofiler", OURS_IN_THEIRS),
    # In the other order it is one trace too. What stands outside begins the request's span before the other one can.
    pytest.param("child", "tracing,osprofiler", {"otel HTTP GET /": OURS}, marks=pytest.mark.slow),
    pytest.param(
        "parent", "osprofiler,tracing", {"wsgi GET": OURS_IN_THEIRS["otel HTTP GET /"]}, marks=pytest.mark.slow
    ),
]


@pytest.mark.parametrize(("mode", "filters", "expected"), CASES)
def test_a_request_is_one_trace(start: Start, jaeger: Jaeger, mode: str, filters: str, expected: Tree) -> None:
    url = start(mode, filters)
    signed_id, headers = signed()
    ask(url, headers)
    sampled_id = ask(url, {})["traceparent"].split("-")[1]
    for trace_id in (signed_id, sampled_id):
        assert tree(jaeger.wait_for_trace(trace_id, count(expected))) == expected
