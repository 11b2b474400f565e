# SPDX-License-Identifier: Apache-2.0
"""REST over real HTTP servers: chains of services, streams, clients that leave, reused threads, a plain osprofiler."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import queue
import socket
import subprocess
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
import requests

from osprofiler import config, profiler, web
from osprofiler import requests as traced
from osprofiler._utils import signed_pack
from osprofiler.config import switches
from osprofiler.config.limited_key import LimitedKey
from tests.unit.span_kit import Recorder, spans  # noqa: F401
from tests.waiting import wait_until

KEY = "SECRET"
PROGRAMS = Path(__file__).parent / "programs"


class _Pooled(WSGIServer):
    """A server with few threads, which serve one request after the other, like native WSGI servers."""

    request_queue_size = 256
    pool: concurrent.futures.ThreadPoolExecutor

    def process_request(self, request: Any, client_address: Any) -> None:
        self.pool.submit(self._serve, request, client_address)

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError:
            pass  # the client has gone
        finally:
            self.shutdown_request(request)


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@contextlib.contextmanager
def serving(app: Any, threads: int = 4) -> Iterator[str]:
    """Serve *app* behind the middleware, and yield its URL. Waits for the end of all requests."""
    server = make_server("127.0.0.1", 0, web.WsgiMiddleware(app, hmac_keys=KEY, enabled=True), _Pooled, _Quiet)
    with server, concurrent.futures.ThreadPoolExecutor(threads) as pool:
        server.pool = pool
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _switches() -> Iterator[None]:
    switches.reset()
    traced.enable()
    yield
    traced.disable()
    switches.reset()


def answer(start_response: Any, text: str, status: str = "200 OK") -> list[bytes]:
    data = text.encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(data)))])
    return [data]


def signed(base_id: str) -> dict[str, str]:
    info, signature = signed_pack({"base_id": base_id, "parent_id": base_id}, KEY)
    return {web.X_TRACE_INFO: info.decode(), web.X_TRACE_HMAC: signature or ""}


def test_a_chain_of_services_is_one_trace(spans: Recorder) -> None:  # noqa: F811
    def image(environ: Any, start_response: Any) -> Iterable[bytes]:
        with profiler.Trace("image"):
            return answer(start_response, "image", "503 Busy")

    with serving(image) as image_url:

        def api(environ: Any, start_response: Any) -> Iterable[bytes]:
            return answer(start_response, requests.get(f"{image_url}/v2", timeout=60).text)

        with serving(api) as api_url:
            profiler.init(KEY)
            with profiler.Trace("client"):
                assert requests.get(f"{api_url}/v1", timeout=60).text == "image"
            profiler.clean()
    (root,) = [span for span in spans.started if span.parent_span_id == 0]
    chain = [root]
    for _ in range(5):
        (below,) = [span for span in spans.started if span.parent_span_id == chain[-1].span_id]
        chain.append(below)
    assert [span.name for span in chain] == ["client", "http", "wsgi", "http", "wsgi", "image"]
    assert len({span.trace_id for span in spans.started}) == 1
    assert len(spans.started) == 6
    assert [span.own_tags.get("error") for span in chain] == [None, None, None, True, True, None]


def test_chunks_leave_as_they_are_made(spans: Recorder) -> None:  # noqa: F811
    read: queue.Queue[None] = queue.Queue()

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        for i in range(3):
            with profiler.Trace(f"chunk {i}"):
                chunk = b"%d" % i
            yield chunk
            read.get(timeout=60)  # only after the client has received it

    with serving(app) as url, requests.get(url, headers=signed("b"), stream=True, timeout=60) as response:
        for i in range(3):
            assert response.raw.read(1) == b"%d" % i
            assert "wsgi" not in spans.names()
            read.put(None)
        assert response.raw.read(1) == b""
    assert spans.names() == ["chunk 0", "chunk 1", "chunk 2", "wsgi"]
    assert {parent for name, parent in spans.tree() if name != "wsgi"} == {"wsgi"}


def test_a_client_that_goes_away_ends_the_span(spans: Recorder) -> None:  # noqa: F811
    closed = threading.Event()

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            while True:
                yield b"x" * 65536
        finally:
            with profiler.Trace("cleanup"):
                closed.set()

    with serving(app) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            lines = [f"{name}: {value}\r\n" for name, value in signed("b").items()]
            client.sendall(f"GET / HTTP/1.0\r\n{''.join(lines)}\r\n".encode())
            assert client.recv(10)
        wait_until(lambda: "wsgi" in spans.names(), what="the end of the abandoned request's span")
    assert closed.is_set()
    assert spans.tree() == [("wsgi", None), ("cleanup", "wsgi")]
    assert spans.by_name("wsgi").own_tags["osprofiler.body_unread"] is True


def test_200_requests_at_once_are_200_traces(spans: Recorder) -> None:  # noqa: F811
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        info = {"path": environ["PATH_INFO"]}
        with profiler.Trace("outer", info=info), profiler.Trace("inner", info=info):
            pass
        start_response("200 OK", [("Content-Type", "text/plain")])
        for part in ("a", "b"):
            with profiler.Trace(part, info=info):
                pass
            yield environ["PATH_INFO"].encode()

    def ask(i: int) -> None:
        response = requests.get(f"{url}/{i}", headers=signed(f"trace-{i}"), timeout=120)
        assert response.text == f"/{i}" * 2

    with serving(app, threads=16) as url, concurrent.futures.ThreadPoolExecutor(50) as clients:
        list(clients.map(ask, range(200)))
    traces: dict[str, list[tuple[str | None, Any]]] = {}
    for span in spans.finished:
        path = span.start_info and (span.start_info.get("path") or span.start_info["request"]["path"])
        traces.setdefault(span.origin.base_id, []).append((span.name, path))
    assert traces == {
        f"trace-{i}": [(name, f"/{i}") for name in ("inner", "outer", "a", "b", "wsgi")] for i in range(200)
    }


def test_untraced_requests_on_the_same_threads_are_in_no_trace(spans: Recorder) -> None:  # noqa: F811
    seen: list[tuple[bool, Any]] = []

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        wanted = "HTTP_X_TRACE_INFO" in environ
        seen.append((wanted, profiler.get() is not None))
        with profiler.Trace("work", info={"traced": wanted}):
            if environ["PATH_INFO"] == "/leak":
                profiler.start("never stopped")
            if environ["PATH_INFO"] == "/init":
                profiler.init(KEY)  # a service that turns tracing on itself, and never off
        return answer(start_response, "ok")

    def ask(i: int) -> None:
        path = ("/plain", "/leak", "/init", "/plain")[i % 4]
        requests.get(url + path, headers=signed(f"trace-{i}") if i % 2 else {}, timeout=120)

    with serving(app, threads=2) as url, concurrent.futures.ThreadPoolExecutor(4) as clients:
        list(clients.map(ask, range(200)))
    assert all(wanted == got for wanted, got in seen)
    assert len(seen) == 200
    assert sum(span.name == "wsgi" for span in spans.finished) == 100
    work = [span for span in spans.finished if span.name == "work"]
    assert [span.start_info for span in work] == [{"traced": True}] * 100


def test_a_plain_osprofiler_in_the_middle_of_a_chain(spans: Recorder, stock_python: Path) -> None:  # noqa: F811
    def backend(environ: Any, start_response: Any) -> Iterable[bytes]:
        with profiler.Trace("backend"):
            return answer(start_response, "from the backend")

    with (
        serving(backend) as backend_url,
        subprocess.Popen(
            [stock_python, str(PROGRAMS / "stock_rest.py"), backend_url], stdout=subprocess.PIPE, text=True
        ) as stock,
    ):
        assert stock.stdout is not None
        try:
            port = int(stock.stdout.readline())
            profiler.init(KEY)
            with profiler.Trace("client"):
                assert requests.get(f"http://127.0.0.1:{port}/x", timeout=60).text == "from the backend"
            profiler.clean()
            result = json.loads(stock.stdout.readline())
        finally:
            stock.terminate()
    client = spans.by_name("http")
    records = {record["name"]: record for record in result["records"]}
    assert {record["base_id"] for record in result["records"]} == {client.origin.base_id}
    assert records["wsgi-start"]["parent_id"] == client.point_id
    server = spans.by_name("wsgi")
    assert server.origin.base_id == client.origin.base_id
    # the plain service's ids are kept unchanged, so that its records and ours match in every store
    assert server.parent_point_id == records["http-start"]["trace_id"]
    assert spans.by_name("backend").parent_point_id == server.point_id
    assert server.trace_id == client.trace_id


_STOCK_CLIENT = """
import json, sys, requests
from osprofiler import config, profiler, web
url, key = sys.argv[1:]
profiler.init(key)
text = requests.get(url, headers=web.get_trace_id_headers(), timeout=60).text
print(json.dumps([profiler.get().get_base_id(), text]))
"""


def test_a_plain_client_with_a_limited_key_and_a_plain_service_behind(
    spans: Recorder,  # noqa: F811
    stock_python: Path,
) -> None:
    """Only the first service knows the limited key. The plain one behind it trusts the key of the services."""
    limited = LimitedKey("support", "the key of the support team", "ratelimiting:0.001")
    config.publish(enabled=True, hmac_keys=(KEY,), limited_keys=(limited,))

    def backend(environ: Any, start_response: Any) -> Iterable[bytes]:
        with profiler.Trace("backend"):
            return answer(start_response, "from the backend")

    def client(url: str) -> list[str]:
        command = [stock_python, "-c", _STOCK_CLIENT, url, limited.secret]
        result: list[str] = json.loads(subprocess.check_output(command, text=True, timeout=120))
        return result

    with (
        serving(backend) as backend_url,
        subprocess.Popen(
            [stock_python, str(PROGRAMS / "stock_rest.py"), backend_url], stdout=subprocess.PIPE, text=True
        ) as stock,
    ):
        assert stock.stdout is not None
        port = int(stock.stdout.readline())
        try:

            def first(environ: Any, start_response: Any) -> Iterable[bytes]:
                if profiler.get() is None:
                    return answer(start_response, "not traced")
                return answer(start_response, requests.get(f"http://127.0.0.1:{port}/x", timeout=60).text)

            with serving(first) as url:
                base_id, text = client(url)
                assert text == "from the backend"
                assert client(url)[1] == "not traced", "over the rate"
            result = json.loads(stock.stdout.readline())
        finally:
            stock.terminate()
    assert {record["base_id"] for record in result["records"]} == {base_id}
    assert {span.origin.base_id for span in spans.finished} == {base_id}
    assert spans.by_name("backend").origin.hmac_key == KEY
    assert limited.secret not in json.dumps(result)
