# SPDX-License-Identifier: Apache-2.0
"""The OTLP exporter and servers with every answer of the protocol, and the content of its messages."""

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from osprofiler.delivery.exporter import Rejected, Transient
from osprofiler.delivery.otlp import OtlpExporter
from osprofiler.delivery.queue import Recorded
from osprofiler.drivers import connect
from osprofiler.drivers.otlp import OTLP
from osprofiler.testing.records import record, two_spans


class Collector:
    """Takes requests and answers each with *status* and *body*."""

    def __init__(self, status: int = 200, body: bytes = b"") -> None:
        self.status, self.body = status, body
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.url = ""

    @contextmanager
    def serving(self) -> Iterator["Collector"]:
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = self.rfile.read(int(self.headers["Content-Length"]))
                collector.requests.append((self.path, dict(self.headers), sent))
                self.send_response(collector.status)
                self.send_header("Content-Length", str(len(collector.body)))
                self.end_headers()
                self.wfile.write(collector.body)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                self.url = f"otlp://127.0.0.1:{server.server_port}"
                yield self
            finally:
                server.shutdown()
                thread.join()

    def exporter(self, url: str | None = None) -> OtlpExporter:
        made = connect.span_exporter(url or self.url)
        assert isinstance(made, OtlpExporter)
        return made


def entries(records: list[dict[str, Any]]) -> list[tuple[Any, dict[str, Any], int]]:
    return [Recorded(each, 0) for each in records]


def soon() -> float:
    return time.monotonic() + 30


def test_a_request_holds_the_process_once_and_every_span() -> None:
    with Collector().serving() as collector:
        exporter = collector.exporter()
        exporter.set_process("prod-nova-api", {"project": "nova", "pid": 7})
        outcome = exporter.export(entries(two_spans()), soon())
    assert (outcome.delivered, outcome.merged, dict(outcome.dropped)) == (2, 2, {})
    ((path, headers, body),) = collector.requests
    assert (path, headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
    (of_process,) = ExportTraceServiceRequest.FromString(body).resource_spans
    resource = {item.key: item.value for item in of_process.resource.attributes}
    assert resource["service.name"].string_value == "prod-nova-api"
    assert resource["process.pid"].int_value == 7
    (scoped,) = of_process.scope_spans
    child, parent = scoped.spans
    assert child.parent_span_id == parent.span_id
    assert (parent.parent_span_id, child.status.code, child.status.message) == (b"", 2, "no")
    assert (child.end_time_unix_nano - child.start_time_unix_nano) == 400_000


def test_nothing_is_sent_where_only_starts_came() -> None:
    with Collector().serving() as collector:
        outcome = collector.exporter().export(entries([record(1, "start", 0)]), soon())
    assert (outcome.delivered, outcome.merged, collector.requests) == (0, 1, [])


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_a_collector_without_time_is_asked_again_without_end(status: int) -> None:
    with Collector(status).serving() as collector, pytest.raises(Transient) as fault:
        collector.exporter().export(entries(two_spans()), soon())
    assert fault.value.unreachable


def test_a_collector_that_fails_on_a_batch_is_asked_some_times() -> None:
    with Collector(500).serving() as collector, pytest.raises(Transient) as fault:
        collector.exporter().export(entries(two_spans()), soon())
    assert not fault.value.unreachable


@pytest.mark.parametrize(("status", "reason", "divisible"), [(400, "rejected", True), (413, "too_large", True)])
def test_what_a_collector_refuses_is_divided(status: int, reason: str, divisible: bool) -> None:
    with Collector(status).serving() as collector, pytest.raises(Rejected) as fault:
        collector.exporter().export(entries(two_spans()), soon())
    assert (fault.value.reason, fault.value.divisible) == (reason, divisible)


def test_a_collector_at_another_address_is_not_asked_again() -> None:
    with Collector(404).serving() as collector, pytest.raises(Rejected) as fault:
        collector.exporter().export(entries(two_spans()), soon())
    assert not fault.value.divisible


def test_spans_that_were_refused_in_part_are_counted() -> None:
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 1
    with Collector(200, answer.SerializeToString()).serving() as collector:
        outcome = collector.exporter().export(entries(two_spans()), soon())
    assert (outcome.delivered, dict(outcome.dropped)) == (1, {"rejected": 1})


def test_an_answer_that_is_no_protobuf_is_a_success() -> None:
    with Collector(200, b'{"partialSuccess":{}}').serving() as collector:
        assert collector.exporter().export(entries(two_spans()), soon()).delivered == 2


def test_a_record_that_cannot_be_sent_costs_no_other() -> None:
    bad = [{**each, "name": each["name"].replace("neutron", "\ud800"), "trace_id": "lone"} for each in two_spans()[::3]]
    with Collector().serving() as collector:
        outcome = collector.exporter().export(entries([*bad, *two_spans()]), soon())
    assert (outcome.delivered, dict(outcome.dropped)) == (2, {"unencodable": 1})


def test_headers_come_from_opentelemetrys_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b, broken ,x=1")
    with Collector().serving() as collector:
        collector.exporter().export(entries(two_spans()), soon())
    ((_, headers, _),) = collector.requests
    assert (headers["api-key"], headers["x"]) == ("a b", "1")


@pytest.mark.parametrize(
    ("url", "base", "target"),
    [
        ("otlp://collector", "http://collector:4318/v1/traces", "otlp://collector:4318"),
        ("otlps://collector:443/in/", "https://collector:443/in/v1/traces", "otlps://collector:443/in"),
        ("otlp://u:my-secret@[::1]?query=http://h", "http://u:my-secret@[::1]:4318/v1/traces", "otlp://[::1]:4318"),
        ("otlp://h/v1/traces", "http://h:4318/v1/traces", "otlp://h:4318/v1/traces"),
    ],
)
def test_where_it_sends_and_what_it_shows_of_that(url: str, base: str, target: str) -> None:
    made = connect.span_exporter(url)
    assert isinstance(made, OtlpExporter)
    assert (made._collector.url, made.target) == (base, target)


def test_the_service_is_named_by_otlps_own_option() -> None:
    class Options:
        class profiler_otlp:
            service_name_prefix = "eu"

        class profiler_jaeger:
            service_name_prefix = "us"

    assert connect.service_name("nova", "api", Options, "otlps://h") == "eu-nova-api"
    assert connect.service_name("nova", "api", Options, "jaeger://h") == "us-nova-api"


def test_the_tags_that_4_4_0_made() -> None:
    def made(info: dict[str, Any]) -> dict[str, Any]:
        return OTLP("otlp://h").create_span_tags({"name": "x-start", "info": info})

    request = {"path": "/", "query": "a", "method": "GET", "scheme": "http"}
    asked = {f"http.{key}": value for key, value in request.items()}
    assert made({"db": {"statement": "SELECT", "params": {"a": 1}}}) == {
        "db.statement": "SELECT",
        "db.params": '{"a": 1}',
    }
    assert made({"request": request}) == asked
    sent = {**request, "hostname": "h", "port": 80}
    assert made({"requests": sent}) == {**asked, "http.hostname": "h", "http.port": 80}
    assert made({"function": {"name": "f", "args": "(1,)"}}) == {"name": "f", "args": "(1,)"}
    assert made({"host": "h"}) == {}
