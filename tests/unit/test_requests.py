# SPDX-License-Identifier: Apache-2.0
"""Tracing of python-requests against a real HTTP server on this host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from osprofiler import profiler, propagation, web
from osprofiler import requests as traced
from osprofiler.context import scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.testing.http_clients import EchoServer
from tests.unit.span_kit import Recorder, spans  # noqa: F401

KEY = "SECRET"


@pytest.fixture
def service() -> Iterator[EchoServer]:
    with EchoServer.running() as made:
        yield made


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    original = HTTPAdapter.send
    yield
    traced.disable()
    assert HTTPAdapter.send is original


@pytest.fixture
def trace(spans: Recorder) -> Iterator[Recorder]:  # noqa: F811
    traced.enable()
    profiler.init(KEY)
    yield spans
    profiler.clean()


def test_a_request_is_one_client_span_and_carries_its_context(service: EchoServer, trace: Recorder) -> None:
    port = service.server_address[1]
    with profiler.Trace("outer"):
        response = requests.get(service.url.replace("//", "//user:pa55@") + "/a/200", params={"q": "1"}, timeout=30)
    assert response.text == "ok"
    assert trace.tree() == [("outer", None), ("http", "outer")]
    span = trace.by_name("http")
    assert span.operation_name == "http GET"
    assert span.start_info == {
        "requests": {
            "method": "GET",
            "query": "q=1",
            "path": "/a/200",
            "hostname": "127.0.0.1",
            "port": port,
            "scheme": "http",
        }
    }
    assert span.stop_info == {"requests": {"status_code": 200}}
    assert span.own_tags == {
        "span.kind": "client",
        "component": "requests",
        "http.method": "GET",
        "http.url": f"http://127.0.0.1:{port}/a/200",
        "http.status_code": 200,
        "peer.hostname": "127.0.0.1",
        "peer.port": port,
    }
    (headers,) = service.headers
    incoming = propagation.read(headers, [KEY])
    assert incoming is not None
    assert incoming.origin.parent_id == span.point_id


def test_without_a_trace_a_request_is_left_alone(service: EchoServer, spans: Recorder) -> None:  # noqa: F811
    traced.enable()
    requests.get(f"{service.url}/200", timeout=30)
    assert spans.started == []
    assert not {"x-trace-info", "uber-trace-id"} & service.headers[0].keys()


@pytest.mark.parametrize(("status", "error"), [(200, None), (399, None), (404, True), (500, True), (503, True)])
def test_4xx_and_5xx_are_errors_of_the_client(
    service: EchoServer, trace: Recorder, status: int, error: bool | None
) -> None:
    assert requests.get(f"{service.url}/{status}", timeout=30).status_code == status
    span = trace.by_name("http")
    assert span.own_tags["http.status_code"] == status
    assert span.own_tags.get("error") is error


def test_a_request_that_fails_ends_its_span_and_raises_the_same(trace: Recorder) -> None:
    closed = EchoServer()
    url = closed.url
    closed.server_close()
    with profiler.Trace("outer"), pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/200", timeout=30)
    assert trace.names() == ["http", "outer"]
    failed, outer = trace.finished
    assert failed.own_tags["error"] is True
    assert failed.stop_info is not None
    assert failed.stop_info["etype"] == "requests.exceptions.ConnectionError"
    assert "error" not in outer.own_tags


def test_each_redirect_is_a_span_of_its_own(service: EchoServer, trace: Recorder) -> None:
    assert requests.get(f"{service.url}/302", timeout=30).text == "ok"
    assert [span.own_tags["http.status_code"] for span in trace.finished] == [302, 200]
    incoming = (propagation.read(headers, [KEY]) for headers in service.headers)
    parents = [each.origin.parent_id for each in incoming if each]
    assert parents == [span.point_id for span in trace.finished]


def test_a_streamed_response_is_not_read(service: EchoServer, trace: Recorder) -> None:
    with requests.get(f"{service.url}/200", stream=True, timeout=30) as response:
        assert trace.names() == ["http"]
        assert response.raw.read() == b"ok"


def test_an_unsampled_trace_is_carried_on_without_a_span(service: EchoServer, trace: Recorder) -> None:
    with scope.entered(Point(None, None, Origin.from_ids(5, 6, flags=0))):
        requests.get(f"{service.url}/200", timeout=30)
    assert trace.started == []
    assert service.headers[0]["uber-trace-id"] == f"{5:032x}:{6:016x}:0:0"
    assert "x-trace-info" not in service.headers[0]


def test_what_delivers_spans_is_not_traced(service: EchoServer, trace: Recorder) -> None:
    with scope.entered(scope.SUPPRESSED):
        requests.get(f"{service.url}/200", timeout=30)
    assert trace.started == []
    assert not {"x-trace-info", "uber-trace-id", "traceparent"} & service.headers[0].keys()


def test_enable_and_disable_switch_and_may_be_repeated(service: EchoServer, trace: Recorder) -> None:
    seen = []
    for switch in (traced.enable, traced.disable, traced.disable, traced.enable, traced.enable):
        switch()
        before = len(trace.finished)
        requests.get(f"{service.url}/200", timeout=30)
        seen.append(len(trace.finished) - before)
    assert seen == [1, 0, 0, 1, 1]


def test_a_wrapper_put_on_top_by_others_stays(service: EchoServer, trace: Recorder) -> None:
    calls = []
    ours = HTTPAdapter.send

    def on_top(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(True)
        return ours(self, *args, **kwargs)

    HTTPAdapter.send = on_top  # type: ignore[method-assign]
    try:
        for switch in (traced.enable, traced.disable, traced.enable):
            switch()
            requests.get(f"{service.url}/200", timeout=30)
        assert HTTPAdapter.send is on_top
    finally:
        HTTPAdapter.send = ours  # type: ignore[method-assign]
    assert len(calls) == 3
    assert len(trace.finished) == 2


def test_send_works_where_tracing_was_never_enabled(service: EchoServer, spans: Recorder) -> None:  # noqa: F811
    request = requests.Request("GET", f"{service.url}/200").prepare()
    adapter = HTTPAdapter()
    assert traced.send(adapter, request, timeout=30).status_code == 200
    adapter.close()


@pytest.mark.parametrize("url", ["http://[::1", "http://host:99999999/", "no url", "http://\ud800/"])
def test_an_url_that_cannot_be_read_is_requests_business(trace: Recorder, url: str) -> None:
    trace.expected_faults.add("fault.requests.start")

    def answer(self: Any, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        response = requests.Response()
        response.status_code = 200
        return response

    request = requests.Request("GET", "http://x/").prepare()
    request.url = url
    _sending(answer, lambda: traced.send(HTTPAdapter(), request))


def _sending(answer: Callable[..., requests.Response], act: Callable[[], requests.Response]) -> None:
    """Run *act* with *answer* as ``HTTPAdapter.send``, traced."""
    traced.disable()
    original = HTTPAdapter.send
    HTTPAdapter.send = answer  # type: ignore[method-assign, assignment]
    try:
        traced.enable()
        assert act().status_code == 200
        traced.disable()
    finally:
        HTTPAdapter.send = original  # type: ignore[method-assign]


def test_headers_of_the_caller_stay(service: EchoServer, trace: Recorder) -> None:
    requests.get(f"{service.url}/200", headers={"X-Auth-Token": "t", "uber-trace-id": "stale"}, timeout=30)
    (headers,) = service.headers
    assert headers["x-auth-token"] == "t"
    assert headers["uber-trace-id"].startswith(f"{trace.by_name('http').trace_id:032x}:")


def test_a_prepared_request_sent_again_is_in_no_older_trace(service: EchoServer, trace: Recorder) -> None:
    with requests.Session() as session:
        request = session.prepare_request(requests.Request("GET", f"{service.url}/302"))
        session.send(request, timeout=30)
        profiler.clean()
        session.send(request, timeout=30)
    assert len(trace.finished) == 2
    traced_ones = [{"x-trace-info", "uber-trace-id", "traceparent"} <= headers.keys() for headers in service.headers]
    assert traced_ones == [True, True, False, False]
    assert not {"X-Trace-Info", "uber-trace-id", "traceparent"} & request.headers.keys()


def test_what_is_sent_is_what_get_trace_id_headers_gives_inside(trace: Recorder) -> None:
    sent: list[dict[str, str]] = []

    def answer(self: Any, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        sent.append({**request.headers})
        inside = web.get_trace_id_headers()
        assert inside.keys() <= request.headers.keys()
        assert inside["traceparent"] == request.headers["traceparent"]
        response = requests.Response()
        response.status_code = 200
        return response

    _sending(answer, lambda: requests.get("http://nowhere.invalid/", timeout=30))
    assert sent
