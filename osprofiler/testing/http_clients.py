# SPDX-License-Identifier: Apache-2.0
"""The conformance kit for instrumentation of HTTP clients. It starts a real HTTP server.

Subclass :class:`HttpClientKit` in a test module, and override the fixture ``client``.
"""

from __future__ import annotations

import contextvars
import http.server
import socket
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import quote

import pytest

from osprofiler import profiler, propagation
from osprofiler.context import scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.testing.layers import Layer, LayerKit, run
from osprofiler.testing.recorder import KEY, Recording


class HttpClient(Protocol):
    """A library that sends HTTP requests, and its instrumentation.

    The operation of a span is ``http GET``, or else the attribute ``operation``.
    """

    def instrument(self) -> None:
        """Trace the requests that the library sends from now on."""

    def uninstrument(self) -> None:
        """Undo :meth:`instrument`."""

    def get(self, url: str, headers: dict[str, str]) -> int | Awaitable[int]:
        """Send a GET request, once, and follow no redirect.

        Returns the status of the response, or raises the library's exception. An asynchronous library returns a
        coroutine, which the kit runs in an event loop.
        """

    def original(self) -> Any:
        """The function or method of the library that the instrumentation replaces: its present value."""


def _unused_port() -> int:
    """A TCP port of the loopback address where nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


class _Requests:
    """The requests of a client as a layer."""

    def __init__(self, client: HttpClient, server: EchoServer) -> None:
        self._client = client
        self._server = server
        operation: str = getattr(client, "operation", "http GET")
        self.operations = (operation,)
        self.instrument = client.instrument
        self.uninstrument = client.uninstrument
        self.original = client.original

    def call(self, text: str) -> Any:
        return self._get(self._server.port, text)

    def fail(self, text: str) -> Any:
        return self._get(_unused_port(), text)

    def _get(self, port: int, text: str) -> Any:
        text = quote(text, safe="")
        headers = {"X-Auth-Token": text}
        return self._client.get(f"http://user:{text}@127.0.0.1:{port}/a/200?token={text}", headers)


def ask(client: HttpClient, url: str, headers: dict[str, str]) -> int:
    """Send a GET request by *client*, and return the answer's status."""
    status: int = run(client.get(url, headers))
    return status


class EchoServer(http.server.ThreadingHTTPServer):
    """A server that responds with the status in the path (``/503``). ``/302`` redirects to ``/200``.

    ``headers`` has the headers of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _EchoHandler)
        self.headers: list[dict[str, str]] = []

    @property
    def port(self) -> int:
        """The TCP port on the loopback address."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """The URL without a path."""
        return f"http://127.0.0.1:{self.port}"

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[EchoServer]:
        """A server that runs during a block."""
        with cls() as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield server
            finally:
                server.shutdown()
                thread.join()


class _EchoHandler(http.server.BaseHTTPRequestHandler):
    server: EchoServer

    def do_GET(self) -> None:
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        status = int(self.path.partition("?")[0].rsplit("/", 1)[-1])
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/200")
        body = b"" if status in (204, 304) else b"ok"  # these two have no body
        if body:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


class HttpClientKit(LayerKit):
    """The tests of the instrumentation of an HTTP client."""

    @pytest.fixture
    def client(self) -> HttpClient:
        """The client under test. Subclasses override it."""
        raise NotImplementedError("override the fixture 'client'")

    @pytest.fixture
    def server(self) -> Iterator[EchoServer]:
        """A running server."""
        with EchoServer.running() as server:
            yield server

    @pytest.fixture
    def layer(self, client: HttpClient, server: EchoServer) -> Layer:
        """The client as a layer."""
        return _Requests(client, server)

    def test_a_request_is_one_client_span(self, client: HttpClient, server: EchoServer, spans: Recording) -> None:
        """The span is under the current point, and has the standard tags."""
        with profiler.Trace("outer"):
            assert ask(client, f"{server.url}/a/200?token=t0ken", {}) == 200
        outer = spans.one("outer")
        (span,) = [span for span in spans if span is not outer]
        assert span.parent_id == outer.point_id
        assert span.tags["span.kind"] == "client"
        assert span.tags["http.method"] == "GET"
        assert span.tags["http.status_code"] == 200
        assert span.tags["component"]
        assert span.error is None

    def test_the_url_is_without_its_secrets(self, client: HttpClient, server: EchoServer, spans: Recording) -> None:
        """No tag contains the query, the user or the password; nor does the operation."""
        ask(client, f"http://user:pa55@127.0.0.1:{server.port}/a/200?token=t0ken", {})
        (span,) = spans
        assert span.tags["http.url"] == f"{server.url}/a/200"
        assert "/a/200" not in span.operation
        for secret in ("pa55", "t0ken"):
            assert secret not in repr((span.tags, span.operation))

    def test_the_context_of_the_span_is_injected(
        self, client: HttpClient, server: EchoServer, spans: Recording
    ) -> None:
        """The server receives the client span as the parent, and also the caller's own headers."""
        ask(client, f"{server.url}/200", {"X-Own": "1"})
        (headers,) = server.headers
        incoming = propagation.read(headers, [KEY])
        assert incoming is not None
        assert incoming.origin.parent_id == spans[0].point_id
        assert headers["x-own"] == "1"

    def test_the_caller_s_headers_stay_the_caller_s(self, client: HttpClient, server: EchoServer) -> None:
        """The caller's dictionary does not change."""
        headers = {"X-Own": "1"}
        ask(client, f"{server.url}/200", headers)
        assert headers == {"X-Own": "1"}

    @pytest.mark.parametrize(
        ("status", "is_error"), [(200, False), (204, False), (304, False), (404, True), (500, True), (503, True)]
    )
    def test_the_error_rule(
        self, client: HttpClient, server: EchoServer, spans: Recording, status: int, is_error: bool
    ) -> None:
        """The client span is an error if, and only if, the status is 400 or more."""
        ask(client, f"{server.url}/{status}", {})
        (span,) = spans
        assert span.tags["http.status_code"] == status
        assert bool(span.error) == is_error

    def test_a_request_that_is_not_answered_is_an_error(self, client: HttpClient, spans: Recording) -> None:
        """The library's exception reaches the caller, and the span has its class."""
        with pytest.raises(Exception) as raised:
            ask(client, f"http://127.0.0.1:{_unused_port()}/200", {})
        (span,) = spans
        assert span.error is not None
        assert span.error.endswith(type(raised.value).__name__)

    def test_requests_at_the_same_time_do_not_mix(
        self, client: HttpClient, server: EchoServer, spans: Recording
    ) -> None:
        """Each is under the point of its own caller, in a thread or a task."""

        def call(name: str) -> None:
            with profiler.Trace(name):
                barrier.wait(timeout=60)
                ask(client, f"{server.url}/{name}/200", {})

        names = ["one", "two", "three"]
        barrier = threading.Barrier(len(names))
        threads = [threading.Thread(target=contextvars.copy_context().run, args=(call, name)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        requests = [span for span in spans if span.name not in names]
        assert sorted(span.tags["http.url"] for span in requests) == sorted(f"{server.url}/{n}/200" for n in names)
        for span in requests:
            assert span.parent_id == spans.one(span.tags["http.url"].split("/")[-2]).point_id

    def test_without_a_trace_it_only_sends(self, client: HttpClient, server: EchoServer, spans: Recording) -> None:
        """There is no span, and no header of osprofiler."""
        with scope.entered(None):
            ask(client, f"{server.url}/200", {})
        assert spans == []
        assert not {"x-trace-info", "uber-trace-id", "traceparent"} & server.headers[0].keys()

    def test_no_is_carried_on(self, client: HttpClient, server: EchoServer, spans: Recording) -> None:
        """In a trace that is not sampled, the request has no span, and tells the server that."""
        with scope.entered(Point(None, None, Origin.from_osprofiler(KEY, flags=0))):
            ask(client, f"{server.url}/200", {})
        assert spans == []
        incoming = propagation.read(server.headers[0], [KEY])
        assert incoming is not None
        assert not incoming.origin.sampled
