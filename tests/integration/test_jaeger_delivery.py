# SPDX-License-Identifier: Apache-2.0
"""Spans to a real Jaeger, read back over its query API."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentracing import ReferenceType

from osprofiler._runtime import guard
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.delivery.reporter import QueueReporter
from osprofiler.drivers import connect
from osprofiler.records import names
from osprofiler.records.flattening import unflatten
from tests.servers import Jaeger
from tests.unit.reporting_kit import Traced, counted, out
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _fresh() -> None:
    guard.counters.clear()


def reporter_for(url: str, service: str = "api") -> QueueReporter:
    reporter = connect.reporter_for(url, project="delivery", service=service)
    assert isinstance(reporter, QueueReporter)
    return reporter


@pytest.fixture(params=["http", "udp"])
def reporter(request: pytest.FixtureRequest, jaeger: Jaeger) -> Iterator[QueueReporter]:
    made = reporter_for(jaeger.url if request.param == "http" else jaeger.udp_url)
    yield made
    made.close()


def tags_of(span: dict[str, Any]) -> dict[str, Any]:
    return {tag["key"]: tag["value"] for tag in span["tags"]}


def by_name(trace: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {tags_of(span)[names.NAME]: span for span in trace["spans"]}


def references(span: dict[str, Any]) -> list[tuple[str, str, str]]:
    return sorted((one["refType"], one["traceID"], one["spanID"]) for one in span["references"])


def test_everything_of_a_span_arrives(jaeger: Jaeger, reporter: QueueReporter) -> None:
    traced = Traced(reporter)
    tracer, trace = traced.tracer, traced.trace_hex
    start = {"request": {"method": "GET", "path": "/v2/é☃𝄞", "query": "", "scheme": "http"}, "list": [1, None, "x"]}
    top = tracer.open_point(traced.root, "wsgi", start)
    top.span.set_tag("whole", -(1 << 60)).set_tag("part", 0.5).set_tag("yes", True).set_tag("text", "ß\n\t\"'")
    top.span.log_kv({"event": "note", "n": 1}, timestamp=1_700_000_000.000123)
    child = tracer.open_point(top, "child")
    cast = tracer.open_point(child, "cast", follows=True)
    cast.end(None, OSError("gone ☃"))
    child.end()
    join = tracer.open_point(top, "join")
    other = 0xABCDEF0123456789ABCDEF0123456789
    join.span.links = [
        (ReferenceType.CHILD_OF, traced.origin.trace_id, child.span.span_id),
        (ReferenceType.FOLLOWS_FROM, traced.origin.trace_id, cast.span.span_id),
        (ReferenceType.FOLLOWS_FROM, other, 7),
    ]
    join.end({"result": "fine"})
    top.end({"status": 200})
    assert reporter.flush(30)
    found = jaeger.wait_for_trace(trace, 4)
    spans = by_name(found)
    assert len(found["spans"]) == len(spans) == 4
    ids = {name: f"{point.span.span_id:016x}" for name, point in dict(top=top, child=child, cast=cast).items()}

    assert references(spans["wsgi"]) == []
    assert references(spans["child"]) == [("CHILD_OF", trace, ids["top"])]
    assert references(spans["cast"]) == [("FOLLOWS_FROM", trace, ids["child"])]
    assert references(spans["join"]) == sorted(
        [
            ("CHILD_OF", trace, ids["top"]),
            ("CHILD_OF", trace, ids["child"]),
            ("FOLLOWS_FROM", trace, ids["cast"]),
            ("FOLLOWS_FROM", f"{other:032x}", f"{7:016x}"),
        ]
    )
    tags = tags_of(spans["wsgi"])
    typed = {tag["key"]: (tag["type"], tag["value"]) for tag in spans["wsgi"]["tags"]}
    assert (typed["whole"][0], int(typed["whole"][1])) == ("int64", -(1 << 60))  # text: JavaScript has no such number
    assert typed["part"] == ("float64", 0.5)
    assert typed["yes"] == ("bool", True)
    assert typed["text"] == ("string", "ß\n\t\"'")
    assert unflatten(tags, "start") == start
    assert unflatten(tags, "stop") == {"status": 200}
    assert unflatten(tags_of(spans["join"]), "stop") == {"result": "fine"}
    (log,) = spans["wsgi"]["logs"]
    assert log["timestamp"] == 1_700_000_000_000_123
    assert {field["key"]: field["value"] for field in log["fields"]} == {"event": "note", "n": 1}
    error = {field["key"]: field["value"] for log in spans["cast"]["logs"] for field in log["fields"]}
    assert (error["event"], error["error.kind"], error["message"]) == ("error", "OSError", "gone ☃")
    assert tags_of(spans["cast"])["error"] is True
    for name, point in (("wsgi", top), ("child", child), ("join", join)):
        assert spans[name]["startTime"] == point.span.start_us
        assert spans[name]["duration"] == point.span.duration_us
    process = found["processes"][spans["wsgi"]["processID"]]
    assert process["serviceName"] == "delivery-api"


@pytest.mark.parametrize("base_id", ["not-a-uuid", "F0E1D2C3-B4A5-4697-8879-6A5B4C3D2E1F"])
def test_ids_as_other_stores_show_them_can_be_read_back(jaeger: Jaeger, reporter: QueueReporter, base_id: str) -> None:
    traced = Traced(reporter)
    traced.origin = Origin.from_osprofiler("key", base_id, "some-parent")
    traced.root = Point(None, None, traced.origin)
    span = traced.point("p")
    assert reporter.flush(30)

    def mine() -> list[dict[str, Any]]:  # both transports write to the trace of that name
        trace = jaeger.trace(traced.trace_hex) or {"spans": []}
        return [tags_of(one) for one in trace["spans"] if one["spanID"] == f"{span.span_id:016x}"]

    (tags,) = wait_until(mine, what="the span")
    assert tags[names.BASE_ID] == base_id
    assert tags[names.PARENT_ID] == "some-parent"


def test_info_of_every_size_arrives_whole(jaeger: Jaeger, reporter: QueueReporter) -> None:
    traced = Traced(reporter)
    texts = {f"p{size}": "".join(chr(33 + n % 90) for n in range(size * 1024)) for size in (1, 8, 30, 60)}
    for name, text in texts.items():
        traced.point(name, {"text": text})
    assert reporter.flush(30)
    spans = by_name(jaeger.wait_for_trace(traced.trace_hex, len(texts)))
    assert {name: tags_of(span)["start.text"] for name, span in spans.items()} == texts
    assert not any(names.CUT in tags_of(span) for span in spans.values())


def test_over_udp_what_no_packet_holds_is_cut_and_says_so(jaeger: Jaeger) -> None:
    reporter = reporter_for(jaeger.udp_url)
    traced = Traced(reporter)
    traced.point("wide", {"text": "☃" * 60_000, "after": "kept"})
    assert reporter.flush(30)
    tags = tags_of(by_name(jaeger.wait_for_trace(traced.trace_hex, 1))["wide"])
    assert tags[names.CUT] is True
    assert tags["start.text"].startswith("☃" * 1000)
    assert counted() == {"queued": 1, "sent": 1}


def test_a_burst_over_http_arrives_whole(jaeger: Jaeger) -> None:
    reporter = reporter_for(jaeger.url)
    traced = Traced(reporter)
    traced.points(20_000)
    assert reporter.flush(60)
    assert counted() == {"queued": 20_000, "delivered": 20_000}
    trace = jaeger.wait_for_trace(traced.trace_hex, 20_000, 60)
    assert len({span["spanID"] for span in trace["spans"]}) == len(trace["spans"]) == 20_000


def test_a_collector_that_is_killed_and_comes_back_loses_nothing_that_was_not_acknowledged() -> None:
    with Jaeger() as own:
        reporter = reporter_for(own.url)
        before, during, after = Traced(reporter), Traced(reporter), Traced(reporter)
        before.points(100)
        assert reporter.flush(30)
        own.kill()
        during.points(3000)
        assert not reporter.flush(0.2)
        assert reporter.pending() == 3000
        assert counted()["queued"] == out() + reporter.pending()
        own.start()
        after.points(100)
        assert reporter.flush(60)
        assert len(own.wait_for_trace(during.trace_hex, 3000)["spans"]) == 3000
        assert len(own.wait_for_trace(after.trace_hex, 100)["spans"]) == 100
    assert counted() == {"queued": 3200, "delivered": 3200}


def test_under_load_a_collector_that_comes_and_goes_leaves_the_sum_right() -> None:
    with Jaeger() as own:
        reporter = reporter_for(own.url)
        traced = Traced(reporter)
        done = threading.Event()

        def work() -> None:
            while not done.is_set():
                traced.point("p")
                done.wait(0.0005)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(2):
                wait_for_more = counted().get("delivered", 0)
                wait_until(lambda before=wait_for_more: counted().get("delivered", 0) > before)  # type: ignore[misc]
                own.kill()
                queued = reporter._queue.accepted
                wait_until(lambda before=queued: reporter._queue.accepted > before + 100)  # type: ignore[misc]
                own.start()
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert reporter.flush(60)
    assert counted()["queued"] == out() == counted()["delivered"]


def test_a_collector_that_takes_connections_and_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reporter = reporter_for(f"jaeger+http://127.0.0.1:{silent.getsockname()[1]}")
        traced = Traced(reporter)
        traced.points(5000)
        assert not reporter.flush(0.2)
        traced.points(5000)
        assert reporter.pending() == 10_000
        reporter.after_fork()  # forget them, or the end of the test run would wait
