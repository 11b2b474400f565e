# SPDX-License-Identifier: Apache-2.0
"""A script that begins a trace and calls a service over HTTP: one trace in Jaeger, under the script's span."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osprofiler import config, notifier
from osprofiler.connection.strings import CONNECTION_STRING
from osprofiler.delivery.base import NullReporter
from osprofiler.tracer import global_tracer
from tests.integration.test_web import KEY, answer, serving
from tests.servers import Jaeger

SCRIPT = """
import sys
import requests
from osprofiler import profiler
from osprofiler import requests as traced

traced.enable()
with profiler.client_trace(sys.argv[1]) as trace_id:
    answer = requests.get(sys.argv[2], timeout=60)
    print(trace_id, answer.headers["X-Trace-Id"], answer.text)
"""


@pytest.fixture
def service(jaeger: Jaeger) -> Iterator[str]:
    """The name of this process in Jaeger, as a service."""
    name = f"api-{uuid.uuid4().hex[:8]}"
    config.publish(enabled=True)
    notifier.set(notifier.create(jaeger.url, project="shop", service=name, host="h"))
    yield f"shop-{name}"
    notifier.set(notifier._noop_notifier)
    notifier.clear_notifier_cache()
    global_tracer.get_tracer().report_to(NullReporter())
    config.reset()


def test_a_script_and_the_service_that_it_calls_are_one_trace(service: str, jaeger: Jaeger, tmp_path: Path) -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        return answer(start_response, "bread")

    script = tmp_path / "stock_taking.py"
    script.write_text(SCRIPT)
    with serving(app) as url:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", str(script), KEY, url],
            env={**os.environ, CONNECTION_STRING: jaeger.url},
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
    assert global_tracer.flush(30)
    base_id, trace_id, text = done.stdout.split()
    assert (trace_id, text) == (base_id.replace("-", ""), "bread")
    assert f"osprofiler trace show {base_id}\n" in done.stderr
    trace = jaeger.wait_for_trace(trace_id, 3)
    parents = {span["spanID"]: [one["spanID"] for one in span["references"]] for span in trace["spans"]}
    places = {
        trace["processes"][span["processID"]]["serviceName"]: span["spanID"]
        for span in sorted(trace["spans"], key=lambda span: span["startTime"], reverse=True)
    }
    script_span, server_span = places["stock_taking.py"], places[service]
    assert parents[script_span] == []
    (http_span,) = parents[server_span]
    assert parents[http_span] == [script_span]
