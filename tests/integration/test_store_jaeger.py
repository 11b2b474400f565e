# SPDX-License-Identifier: Apache-2.0
"""Traces from a real Jaeger, sent by thrift and by OTLP, are equal to those from a store of records."""

import itertools
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import opentracing
import pytest
import requests

from osprofiler import exc
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.delivery import base
from osprofiler.drivers import connect, jaeger_query, search
from osprofiler.drivers.errors import StoreError
from osprofiler.drivers.jaeger import Jaeger
from osprofiler.drivers.otlp import OTLP
from osprofiler.drivers.redis_driver import Redis
from osprofiler.drivers.span_store import SpanStore
from osprofiler.records import ids, jaeger_json, names
from osprofiler.records.record import timestamp
from osprofiler.reports import model
from osprofiler.testing.records import record, two_spans
from osprofiler.tracer.tracer import Tracer
from tests import servers
from tests.waiting import wait_until

DAY_US = 86_400_000_000

_services = (f"readback-{number}" for number in itertools.count())


class Both(base.Reporter):
    """A reporter that gives every span to two reporters."""

    def __init__(self, *reporters: base.Reporter) -> None:
        self.reporters = reporters

    def report_start(self, span: Any) -> None:
        for reporter in self.reporters:
            if reporter.wants_starts:
                reporter.report_start(span)

    def report_span(self, span: Any) -> None:
        for reporter in self.reporters:
            reporter.report_span(span)

    def flush(self, timeout: float | None = None) -> bool:
        flushed = [reporter.flush(timeout) for reporter in self.reporters]
        return all(flushed)


@pytest.fixture(params=["thrift", "udp", "otlp"])
def url(request: pytest.FixtureRequest, jaeger: servers.Jaeger) -> str:
    return {
        "thrift": jaeger.url,
        "udp": jaeger.udp_url,
        "otlp": f"otlp{jaeger.otlp_url.removeprefix('http')}?query={jaeger.query_url}",
    }[request.param]


def reader(url: str) -> SpanStore:
    return OTLP(url) if url.startswith("otlp") else Jaeger(url)


@pytest.fixture
def service() -> str:
    return next(_services)


@pytest.fixture
def at_rest() -> Iterator[None]:
    with scope.entered(None):
        yield


def work(tracer: Tracer, origin: Origin) -> int:
    """Make a trace with all features of spans. Returns the number of spans."""

    def opened(name: str, info: dict[str, Any], tags: dict[str, Any] | None = None, **more: Any) -> Point:
        return tracer.open_point(current.point.get() or Point(None, None, origin), name, info, tags=tags, **more)

    request = {"request": {"method": "GET", "path": "/servers", "query": "a=1", "scheme": "http"}}
    tags = {"span.kind": "server", "component": "wsgi", "http.method": "GET", "http.url": "http://nova/servers"}
    root = opened("wsgi", request, tags)
    statement = {"db": {"statement": "SELECT 1", "params": {"a.b": None, "t~": [1, 2.5, True], "\\": {}}}}
    opened("db", statement).end({"db": {"result": "1"}})
    try:
        raise ValueError("caf\u00e9")
    except ValueError as fault:
        opened("neutron-api", {}).end({"etype": "ValueError", "message": "caf\u00e9"}, fault)
    cast = opened("cast", {"n": 1}, {"weight": 2.0, "large": 2**62, "yes": True, "text": ""}, follows=True)
    cast.end({})
    assert cast.span
    plain = tracer.start_span("plain", tags={"http.method": "PUT", "db.statement": "mine"})
    plain.log_kv({"event": "retry", "attempt": 2, "why": "slow"})
    plain.log_kv({"message": "no event"})
    plain.finish()
    both = [opentracing.child_of(plain.context), opentracing.follows_from(cast.span.context)]
    tracer.start_span("join", references=both).finish()
    root.end({"etype": "X", "message": "no"})
    return 6


def comparable(trace: model.Trace) -> list[Any]:
    """All parts of a report except the records. Parts without an order are sorted."""
    return [
        (
            (span.trace_id, span.parent_id, span.name, span.operation, span.start_us, span.duration_us),
            (span.reference, span.parent_missing, span.error),
            (span.project, span.service, span.host, span.pid),
            (span.start_info, span.stop_info, span.tags, span.logs, sorted(span.links)),
        )
        for _, span in trace.walk()
    ]


@pytest.mark.usefixtures("at_rest")
@pytest.mark.parametrize("base_id", ["a uuid", "no uuid"])
def test_a_report_is_the_same_from_jaeger_and_from_redis(
    url: str, redis: servers.Redis, service: str, base_id: str
) -> None:
    base_id = str(uuid.uuid4()) if base_id == "a uuid" else f"req-{uuid.uuid4()}"
    named = {"project": "nova", "service": service, "host": "h"}
    stores = [connect.reporter_for(each, **named) for each in (url, redis.url)]
    tracer = Tracer("unused", Both(*stores))
    spans = work(tracer, Origin.from_osprofiler("key", base_id, "6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11"))
    assert tracer.flush(30)
    wait_until(lambda: len(reader(url).read(base_id)) == 2 * spans, what="the trace in Jaeger")
    there, here = model.from_records(reader(url).read(base_id)), model.from_records(Redis(redis.url).read(base_id))
    assert there.base_id == here.base_id == base_id
    for actual, expected in zip(comparable(there), comparable(here), strict=True):
        assert actual == expected


@pytest.mark.usefixtures("at_rest")
@pytest.mark.parametrize("base_id", ["a uuid", "no uuid"])
def test_a_trace_goes_from_one_store_to_jaeger_and_on_to_another(
    url: str, redis: servers.Redis, jaeger: servers.Jaeger, service: str, base_id: str
) -> None:
    base_id = str(uuid.uuid4()) if base_id == "a uuid" else f"req-{uuid.uuid4()}"
    tracer = Tracer("unused", connect.reporter_for(redis.url, project="nova", service=service, host="h"))
    spans = work(tracer, Origin.from_osprofiler("key", base_id, "6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11"))
    assert tracer.flush(30)
    first, last = Redis(redis.url), Redis(redis.fresh_url())
    reader(url).write(first.read(base_id))  # the newest first, like in Redis
    told = jaeger.wait_for_trace(f"{ids.trace_id_of(base_id):032x}", spans)
    last.write(reader(url).read(base_id))
    here, there = (model.from_records(store.read(base_id)) for store in (first, last))
    assert comparable(there) == comparable(here)

    # Jaeger's own UI shows these.
    shown = {span["operationName"]: span for span in told["spans"]}
    assert set(shown) == {"wsgi GET", "db SELECT", "neutron-api", "cast", "plain", "join"}
    kinds = {name: sorted(each["refType"] for each in span["references"]) for name, span in shown.items()}
    assert kinds["cast"] == ["FOLLOWS_FROM"]
    assert kinds["db SELECT"] == ["CHILD_OF"]
    assert len(kinds["join"]) == 2
    assert [len(shown[name]["logs"]) for name in ("plain", "neutron-api", "cast")] == [2, 1, 0]
    keys = {tag["key"] for span in told["spans"] for tag in span["tags"]}
    assert not {key for key in keys if key.startswith(("start.osprofiler", "stop.osprofiler"))}
    (process,) = {json.dumps(each, sort_keys=True) for each in told["processes"].values()}
    named = json.loads(process)
    assert named["serviceName"] == f"nova-{service}"
    assert os.getpid() in {tag["value"] for tag in named["tags"]}


def test_plain_records_come_back_as_they_were(url: str) -> None:
    """Records of 4.4.0: two complete spans, a start without a stop, and a stop without a start."""
    base_id = str(uuid.uuid4())
    request = {"request": {"method": "GET", "path": "/"}}
    written = [*two_spans(base_id), record(3, "start", 7, base_id, 1, **request), record(4, "stop", 9, base_id, 3)]
    driver = reader(url)
    driver.write([written[4], written[1]])
    driver.write([written[3], written[2], written[0], written[5]])
    driver.close()
    wait_until(lambda: len(driver.read(base_id)) == len(written), what="the trace in Jaeger")
    stored = [{key: value for key, value in each.items() if value is not None} for each in driver.read(base_id)]
    in_order = [sorted(each, key=lambda one: (one["timestamp"], one["trace_id"])) for each in (stored, written)]
    assert in_order[0] == in_order[1]


def test_each_process_of_a_trace_has_its_spans(jaeger: servers.Jaeger, service: str) -> None:
    base_id = str(uuid.uuid4())
    written = [{**each, "service": service} for each in two_spans(base_id)]
    written[0]["info"] |= {"host": "one", "osprofiler": {"pid": 7}}
    written[1]["info"] |= {"host": "two", "osprofiler": {"pid": 8}}
    Jaeger(jaeger.url, project="nova").write(written)
    told = jaeger.wait_for_trace(base_id.replace("-", ""), 2)
    assert len(told["processes"]) == 2
    spans = model.from_records(Jaeger(jaeger.url).read(base_id)).spans.values()
    assert [(span.host, span.pid) for span in spans] == [("one", 7), ("two", 8)]


@pytest.fixture
def empty_jaeger() -> Iterator[servers.Jaeger]:
    """An empty Jaeger: a list in small pages would read all traces of other tests."""
    with servers.Jaeger() as started:
        yield started


def test_every_trace_is_listed_in_windows_of_time(
    empty_jaeger: servers.Jaeger, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With many traces, and small pages."""
    monkeypatch.setattr(jaeger_query, "_LIMIT", 7)
    jaeger = empty_jaeger
    driver = Jaeger(jaeger.url, project="p", service=service)
    now_us = time.time_ns() // 1000
    base_ids = [str(uuid.uuid4()) for _ in range(40)]
    for number, base_id in enumerate(base_ids):
        # Most of them in one second, some long ago.
        ago_us = number * 1000 if number < 30 else number * 86_400_000_000
        stamped = [
            {**each, "timestamp": timestamp(now_us - ago_us + model.time_us(each["timestamp"]) % 1000)}
            for each in two_spans(base_id)
        ]
        driver.write(stamped if number % 10 == 0 else [stamped[0], stamped[3]])
    wait_until(lambda: all(driver.read(base_id) for base_id in base_ids), what="the traces in Jaeger")
    listed = [trace["base_id"] for trace in driver.list_traces()]
    assert len(listed) == len(set(listed))
    assert set(base_ids) <= set(listed)
    failed = {trace["base_id"] for trace in driver.list_error_traces()}
    assert failed & set(base_ids) == set(base_ids[::10])


def test_jaeger_applies_the_operation_and_the_least_duration(
    jaeger: servers.Jaeger, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pattern may be the operation of a span, or the name of its point."""
    driver = Jaeger(jaeger.url, project="p", service=service)
    base_ids = [str(uuid.uuid4()) for _ in range(3)]
    for number, base_id in enumerate(base_ids):
        start, *_, stop = two_spans(base_id)
        start["info"][names.RESERVED] = {"operation": f"boot {number}"}
        stop["timestamp"] = timestamp(model.time_us(start["timestamp"]) + 1_000 * (number + 1))
        driver.write([start, stop])
    wait_until(lambda: all(driver.read(base_id) for base_id in base_ids), what="the traces in Jaeger")
    reader = Jaeger(jaeger.url)

    def found(**conditions: Any) -> set[str]:
        return {mark["base_id"] for mark in search.identified(reader, search.Wanted(service=service, **conditions))}

    assert found() == set(base_ids)
    assert found(operation="boot 1") == {base_ids[1]}
    assert found(operation="neutron-api") == set(base_ids)
    assert found(operation="boot *", min_duration_us=2_000) == set(base_ids[1:])
    assert found(operation="boot 1", min_duration_us=2_001) == set()
    asked = [*base_ids, str(uuid.uuid4())]
    assert {base_id: len(records) for base_id, records in reader.read_many(asked)} == dict.fromkeys(base_ids, 2)
    assert list(reader.read_many(asked[-1:])) == []


class ShortLines(BaseHTTPRequestHandler):
    """Jaeger as it is on Elasticsearch: a search of more than 120 days fails with status 500."""

    jaeger_url = ""
    failed = 0

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if "start" in query and int(query["end"][0]) - int(query["start"][0]) > 120 * DAY_US:
            ShortLines.failed += 1
            status, body = (
                500,
                b'{"data": null, "errors": [{"code": 500, "msg": "An HTTP line is larger than 4096 bytes."}]}',
            )
        else:
            response = requests.get(f"{self.jaeger_url}{self.path}", timeout=30)
            status, body = response.status_code, response.content
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_a_jaeger_that_cannot_search_all_time_at_once_is_searched_in_parts(
    empty_jaeger: servers.Jaeger, service: str
) -> None:
    driver = Jaeger(empty_jaeger.url, project="p", service=service)
    now_us = time.time_ns() // 1000
    base_ids = [str(uuid.uuid4()) for _ in range(3)]
    for base_id, days in zip(base_ids, (0, 200, 3_000), strict=True):
        driver.write([{**each, "timestamp": timestamp(now_us - days * DAY_US)} for each in two_spans(base_id)])
    wait_until(lambda: all(driver.read(base_id) for base_id in base_ids), what="the traces in Jaeger")
    ShortLines.jaeger_url = empty_jaeger.query_url
    with ThreadingHTTPServer(("127.0.0.1", 0), ShortLines) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        short = Jaeger(empty_jaeger.url.replace(empty_jaeger.query_url, f"http://127.0.0.1:{server.server_port}"))
        assert f"p-{service}" in short.list_services()
        assert {trace["base_id"] for trace in short.list_traces()} == set(base_ids)
        server.shutdown()
    assert ShortLines.failed > 0


def test_spans_of_other_tracers_are_shown(jaeger: servers.Jaeger, service: str) -> None:
    """Spans of OpenTelemetry's SDKs: without our names, with unchanged tags."""
    trace, root, child = ids.new_trace_id(), ids.new_span_id(), ids.new_span_id()
    start = time.time_ns()
    both = {"traceId": f"{trace:032x}", "startTimeUnixNano": str(start), "endTimeUnixNano": str(start + 5_000_000)}
    failed = {"status": {"code": 2, "message": "no"}, "kind": 2, "parentSpanId": f"{root:016x}"}
    text = {"key": "start.request.id", "value": {"stringValue": "theirs"}}
    sent = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
                "scopeSpans": [
                    {
                        "spans": [
                            {**both, "spanId": f"{root:016x}", "name": "GET /", "attributes": [text]},
                            {**both, **failed, "spanId": f"{child:016x}", "name": "work"},
                        ]
                    }
                ],
            }
        ]
    }
    requests.post(f"{jaeger.otlp_url}/v1/traces", json=sent, timeout=30).raise_for_status()
    jaeger.wait_for_trace(f"{trace:032x}", 2)
    model_trace = model.from_records(Jaeger(jaeger.url).read(ids.uuid_text(trace)))
    (top,) = model_trace.roots
    (below,) = top.children
    assert (top.name, top.service, top.duration_us, top.tags) == (
        "GET /",
        service,
        5000,
        {"start.request.id": "theirs"},
    )
    assert (below.name, below.error, below.tags["span.kind"]) == ("work", "error", "server")


def test_an_unknown_trace_has_no_records(jaeger: servers.Jaeger) -> None:
    assert Jaeger(jaeger.url).read(str(uuid.uuid4())) == []


def test_where_nothing_answers_it_is_one_line(jaeger: servers.Jaeger) -> None:
    away = f"http://osp:my-secret@127.0.0.1:{servers.free_port()}"
    wrong = f"http://osp:my-secret@127.0.0.1:{jaeger.http_port}"  # the collector, not the query service
    for address in away, wrong:
        with pytest.raises(StoreError) as caught:
            Jaeger(f"jaeger://127.0.0.1?query={address}").read("x")
        assert "my-secret" not in str(caught.value)
        assert len(str(caught.value).splitlines()) == 1


def test_otlp_alone_cannot_be_read() -> None:
    with pytest.raises(exc.CommandError, match=r"query=http://host:16686"):
        OTLP("otlp://127.0.0.1").read("x")


@pytest.mark.parametrize("what", [{}, {"spans": 1, "processes": {}}, {"spans": None, "processes": {}}])
def test_what_is_no_trace_is_refused(what: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="spans"):
        jaeger_json.records(what)


def test_a_span_that_makes_no_sense_hides_no_other() -> None:
    good = {"traceID": "1", "spanID": "2", "operationName": "o", "startTime": 1, "duration": 2, "tags": [], "logs": []}
    bad: list[Any] = [1, None, {}, {**good, "spanID": 7}, {**good, "startTime": None}, {**good, "tags": [1]}]
    records = jaeger_json.records({"spans": [*bad, good], "processes": {}})
    assert [each["name"] for each in records] == ["o-start", "o-stop"]


def test_the_default_query_service_is_on_the_same_host() -> None:
    assert Jaeger.query_address("jaeger://agent.example:6831") == "http://agent.example:16686"
    assert Jaeger.query_address("jaeger+https://u:p@collector.example") == "https://collector.example:16686"
    assert Jaeger.query_address("jaeger://[::1]") == "http://[::1]:16686"
