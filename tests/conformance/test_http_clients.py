# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on the instrumentation of each HTTP library, and on instrumentation that is wrong on purpose."""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import httpx
import keystoneauth1.session
import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from osprofiler import profiler, propagation, web
from osprofiler.context import scope
from osprofiler.instrumentation import layers, registry
from osprofiler.testing.http_clients import EchoServer, HttpClient, HttpClientKit
from osprofiler.testing.recorder import KEY
from tests.conformance.kit_runs import failed
from tests.unit.span_kit import Recorder, spans  # noqa: F401

SEND = HTTPAdapter.send


class Library:
    """A library, by the name of its layer."""

    name: str

    def instrument(self) -> None:
        registry.instrument(self.name)

    def uninstrument(self) -> None:
        registry.uninstrument(self.name)


class Requests(Library):
    name = "requests"

    def get(self, url: str, headers: dict[str, str]) -> int:
        return requests.get(url, headers=headers, timeout=30, allow_redirects=False).status_code

    def original(self) -> Any:
        return HTTPAdapter.send

    def follow(self, url: str) -> str:
        return requests.get(url, timeout=30).text


class Urllib3(Library):
    name = "urllib3"

    def get(self, url: str, headers: dict[str, str]) -> int:
        with urllib3.PoolManager() as pools:
            return pools.request("GET", url, headers=headers, timeout=30, retries=False).status

    def original(self) -> Any:
        return urllib3.HTTPConnectionPool._make_request

    def follow(self, url: str) -> str:
        with urllib3.PoolManager() as pools:
            return pools.request("GET", url, timeout=30).data.decode()


class Httpx(Library):
    name = "httpx"

    def get(self, url: str, headers: dict[str, str]) -> int:
        return httpx.get(url, headers=headers, timeout=30).status_code

    def original(self) -> Any:
        return httpx.HTTPTransport.handle_request

    def follow(self, url: str) -> str:
        return httpx.get(url, timeout=30, follow_redirects=True).text


class AsyncHttpx(Library):
    name = "httpx"

    async def get(self, url: str, headers: dict[str, str]) -> int:
        async with httpx.AsyncClient(timeout=30) as client:
            return (await client.get(url, headers=headers)).status_code

    def original(self) -> Any:
        return httpx.AsyncHTTPTransport.handle_async_request

    async def follow(self, url: str) -> str:
        async with httpx.AsyncClient(timeout=30, follow_redirects=True) as client:
            return (await client.get(url)).text


class Aiohttp(Library):
    name = "aiohttp"

    async def get(self, url: str, headers: dict[str, str]) -> int:
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers, allow_redirects=False) as got:
            return got.status

    def original(self) -> Any:
        return aiohttp.ClientSession._request

    async def follow(self, url: str) -> str:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return await answer.text()


class Keystoneauth(Library):
    """A session without authentication. It adds the headers by itself."""

    name = "keystoneauth"
    operation = "keystoneauth GET"

    def get(self, url: str, headers: dict[str, str]) -> int:
        session = keystoneauth1.session.Session(redirect=False)
        return session.get(url, headers=headers, raise_exc=False, authenticated=False).status_code

    def original(self) -> Any:
        return keystoneauth1.session.Session.request


LIBRARIES: list[Any] = [Requests, Urllib3, Httpx, AsyncHttpx, Aiohttp]


class TestRequests(HttpClientKit):
    @pytest.fixture
    def client(self) -> HttpClient:
        return Requests()


class TestUrllib3(HttpClientKit):
    @pytest.fixture
    def client(self) -> HttpClient:
        return Urllib3()


class TestHttpx(HttpClientKit):
    @pytest.fixture
    def client(self) -> HttpClient:
        return Httpx()


class TestAsyncHttpx(HttpClientKit):
    @pytest.fixture
    def client(self) -> HttpClient:
        return AsyncHttpx()


class TestAiohttp(HttpClientKit):
    @pytest.fixture
    def client(self) -> HttpClient:
        return Aiohttp()


class TestKeystoneauth(HttpClientKit):
    @pytest.fixture
    def client(self) -> HttpClient:
        return Keystoneauth()


def test_every_layer_of_outgoing_requests_is_in_the_kit() -> None:
    assert {made.name for made in LIBRARIES} == set(layers.LIBRARIES["trace_requests"])


# What the layers of one switch have in common, all on at once


@pytest.fixture
def server() -> Iterator[EchoServer]:
    with EchoServer.running() as made:
        yield made


@pytest.fixture
def trace(spans: Recorder) -> Iterator[Recorder]:  # noqa: F811
    registry.instrument(*layers.LIBRARIES["trace_requests"])
    profiler.init(KEY)
    yield spans
    profiler.clean()
    registry.uninstrument(*layers.LIBRARIES["trace_requests"])


def done(answer: Any) -> Any:
    return asyncio.run(answer) if isinstance(answer, Awaitable) else answer


@pytest.mark.parametrize("make", LIBRARIES)
def test_each_request_sent_is_one_span_redirects_too(
    make: Callable[[], Any], server: EchoServer, trace: Recorder
) -> None:
    assert done(make().follow(f"{server.url}/302")) == "ok"
    assert [span.name for span in trace.finished] == ["http", "http"]
    assert [span.own_tags["component"] for span in trace.finished] == [make.name] * 2  # type: ignore[attr-defined]
    assert [span.own_tags["http.status_code"] for span in trace.finished] == [302, 200]
    parents = [got.origin.parent_id for each in server.headers if (got := propagation.read(each, [KEY]))]
    assert parents == [span.point_id for span in trace.finished]


@pytest.mark.parametrize("make", LIBRARIES)
def test_all_libraries_describe_a_request_alike(make: Callable[[], Any], server: EchoServer, trace: Recorder) -> None:
    done(make().get(f"{server.url}/a/200?q=1", {}))
    (span,) = trace.finished
    assert span.operation_name == "http GET"
    assert span.start_info == {
        "requests": {
            "method": "GET",
            "query": "q=1",
            "path": "/a/200",
            "hostname": "127.0.0.1",
            "port": server.port,
            "scheme": "http",
        }
    }
    assert span.stop_info == {"requests": {"status_code": 200}}
    assert (span.own_tags["peer.hostname"], span.own_tags["peer.port"]) == ("127.0.0.1", server.port)


@pytest.mark.parametrize("make", LIBRARIES)
def test_what_delivers_spans_is_not_traced(make: Callable[[], Any], server: EchoServer, trace: Recorder) -> None:
    with scope.entered(scope.SUPPRESSED):
        done(make().get(f"{server.url}/200", {}))
    assert trace.started == []
    assert not {"x-trace-info", "x-trace-context", "uber-trace-id", "traceparent"} & server.headers[0].keys()


def test_retries_of_urllib3_are_spans_of_their_own(server: EchoServer, trace: Recorder) -> None:
    retries = urllib3.Retry(total=2, status_forcelist=[503], backoff_factor=0)
    with urllib3.PoolManager() as pools, pytest.raises(urllib3.exceptions.MaxRetryError):
        pools.request("GET", f"{server.url}/503", timeout=30, retries=retries)
    assert [span.own_tags["http.status_code"] for span in trace.finished] == [503] * 3


def test_headers_of_urllib3_s_pool_stay(server: EchoServer, trace: Recorder) -> None:
    own = urllib3.response.HTTPHeaderDict({"X-Own": "1", "Uber-Trace-Id": "stale"})
    with urllib3.PoolManager(headers=own) as pools:
        pools.request("GET", f"{server.url}/200", timeout=30)
    assert server.headers[0]["x-own"] == "1"
    assert server.headers[0]["uber-trace-id"].startswith(f"{trace.finished[0].trace_id:032x}:")
    assert dict(own) == {"X-Own": "1", "Uber-Trace-Id": "stale"}


def test_a_request_of_httpx_is_sent_again_with_its_body_and_in_no_older_trace(
    server: EchoServer, trace: Recorder
) -> None:
    with httpx.Client(timeout=30) as client:
        request = client.build_request("GET", f"{server.url}/200", content=b"body")
        client.send(request)
        profiler.clean()
        client.send(request)
    assert [headers["content-length"] for headers in server.headers] == ["4", "4"]
    assert ["traceparent" in headers for headers in server.headers] == [True, False]
    assert len(trace.finished) == 1


def test_a_transport_of_httpx_that_sends_nothing_has_no_span(trace: Recorder) -> None:
    with httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200))) as client:
        client.get("http://nowhere.invalid/")
    assert trace.started == []


def test_middlewares_of_aiohttp_stay_and_their_retries_are_spans(server: EchoServer, trace: Recorder) -> None:
    async def twice(request: Any, handler: Any) -> Any:
        with profiler.Trace("twice"):
            (await handler(request)).close()
            return await handler(request)

    async def main() -> None:
        async with aiohttp.ClientSession(middlewares=(twice,)) as session:
            async with session.get(f"{server.url}/200") as answer:
                assert await answer.text() == "ok"
            async with session.get(f"{server.url}/200", middlewares=()) as answer:
                assert await answer.text() == "ok"

    asyncio.run(main())
    assert trace.tree() == [("twice", None), ("http", "twice"), ("http", "twice"), ("http", None)]


# Wrong on purpose


class Untraced(Requests):
    def instrument(self) -> None:
        pass


class Careless(Requests):
    """It shows the whole URL, adds its headers to the caller's dictionary, reports no errors, and stays installed."""

    def instrument(self) -> None:
        HTTPAdapter.send = self.send  # type: ignore[method-assign,assignment]

    def uninstrument(self) -> None:
        HTTPAdapter.send = copy.copy(SEND)  # type: ignore[method-assign]

    @staticmethod
    def send(request: Any, **kwargs: Any) -> Any:
        profiler.init("key")
        profiler.start("http", info={})
        request.headers.update(web.get_trace_id_headers())
        response = SEND(HTTPAdapter(), request, **kwargs)
        profiler.stop()
        return response

    def get(self, url: str, headers: dict[str, str]) -> int:
        headers.update(web.get_trace_id_headers())
        return super().get(url, headers)


WRONG: list[tuple[type[Requests], str]] = [
    (Untraced, "test_a_request_is_one_client_span"),
    (Careless, "test_the_url_is_without_its_secrets"),
    (Untraced, "test_the_context_of_the_span_is_injected"),
    (Careless, "test_the_caller_s_headers_stay_the_caller_s"),
    (Untraced, "test_the_error_rule"),
    (Untraced, "test_a_request_that_is_not_answered_is_an_error"),
    (Careless, "test_without_a_trace_it_only_sends"),
    (Untraced, "test_requests_at_the_same_time_do_not_mix"),
    (Untraced, "test_no_is_carried_on"),
]


@pytest.mark.parametrize(("wrong", "caught_by"), WRONG)
def test_the_kit_finds_what_is_wrong(wrong: type[Requests], caught_by: str, pytester: pytest.Pytester) -> None:
    try:
        assert failed(pytester, HttpClientKit, "client", f"{__name__}:{wrong.__name__}()", caught_by)
    finally:
        HTTPAdapter.send = SEND  # type: ignore[method-assign]


def test_the_kit_passes_what_is_right(pytester: pytest.Pytester) -> None:
    assert failed(pytester, HttpClientKit, "client", f"{__name__}:Requests()") == 0


def test_every_test_of_the_kit_has_wrong_instrumentation() -> None:
    assert {name for name in vars(HttpClientKit) if name.startswith("test_")} == {name for _, name in WRONG}
