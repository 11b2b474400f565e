# SPDX-License-Identifier: Apache-2.0
"""Starlette and FastAPI under real ASGI servers, in a process of their own; traces are read back from a store."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from osprofiler.reports import SpanNode
from tests.integration.stored_traces import KEY, Store, running, signed

PROGRAM = Path(__file__).parent / "programs" / "asgi_service.py"
SERVERS = ["uvicorn", "hypercorn"]


class Service:
    """A running service, and the store of its traces."""

    def __init__(self, port: int, store: Store, is_outermost: bool) -> None:
        self.port = port
        self.store = store
        self.is_outermost = is_outermost  # the middleware is around the whole application

    def ask(self, path: str, *, key: str = KEY) -> tuple[str, requests.Response]:
        """The id of a trace that a request with *path* has asked for, and the response."""
        base_id = str(uuid.uuid4())
        url = f"http://127.0.0.1:{self.port}{path}"
        return base_id, requests.get(url, headers=signed(base_id, key), timeout=60)

    def count(self) -> int:
        """How many traces the store has."""
        return len(self.store.base_ids())

    def trace(self, base_id: str, *names: str) -> dict[str, SpanNode]:
        """The spans of a trace by name, once those called *names* have ended, and there are no others."""
        return {span.name: span for span in self.store.trace(base_id, names).spans.values()}


@pytest.fixture(scope="module", params=[(f, s) for f in ("starlette", "fastapi") for s in SERVERS], ids="-".join)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("asgi")
    config, store = folder / "service.conf", Store(folder)
    config.write_text(store.configuration("instrument = threading"))
    with running(PROGRAM, *request.param, str(config)) as port:
        yield Service(port, store, request.param[0] == "starlette")


def test_a_request_and_a_handler_in_a_thread(service: Service) -> None:
    base_id, response = service.ask("/t1/servers/7?limit=1")
    assert response.status_code == 200
    spans = service.trace(base_id, "asgi", "work 7")
    request = spans["asgi"]
    assert request.operation == "asgi GET"
    assert request.start_info["request"] == {
        "method": "GET",
        "path": "/t1/servers/7",
        "query": "limit=1",
        "scheme": "http",
    }
    assert request.tags["http.route"] == "/{tenant}/servers/{id}"
    assert request.tags["http.status_code"] == 200
    assert request.error is None
    assert spans["work 7"].parent_id == request.trace_id


def test_one_worker_thread_serves_traced_and_untraced_requests(service: Service) -> None:
    traces = [service.ask(f"/t1/servers/{i}", key=KEY if i % 2 else "other") for i in range(10)]
    for i, (base_id, response) in enumerate(traces):
        assert response.status_code == 200
        if i % 2:
            service.trace(base_id, "asgi", f"work {i}")
    assert service.count() == 6  # with the one above


def test_a_background_task_follows_from_the_request(service: Service) -> None:
    base_id, _ = service.ask("/t1/background")
    spans = service.trace(base_id, "asgi", "handler", "in the background")
    request, task = spans["asgi"], spans["in the background"]
    assert spans["handler"].parent_id == task.parent_id == request.trace_id
    assert (spans["handler"].detached, task.detached) == (False, True)
    assert task.start_us >= request.end_us


def test_a_stream_is_over_with_its_last_chunk(service: Service) -> None:
    base_id, response = service.ask("/t1/stream")
    assert response.text == "chunkchunk"
    spans = service.trace(base_id, "asgi", "chunk 0", "chunk 1")
    request = spans["asgi"]
    assert all(chunk.parent_id == request.trace_id for name, chunk in spans.items() if name != "asgi")
    assert request.end_us >= spans["chunk 1"].end_us
    assert "osprofiler.body_unread" not in request.tags


def test_a_client_that_goes_away(service: Service) -> None:
    base_id = str(uuid.uuid4())
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        lines = [f"{name}: {value}\r\n" for name, value in signed(base_id).items()]
        client.sendall(f"GET /t1/endless HTTP/1.1\r\nHost: api\r\n{''.join(lines)}\r\n".encode())
        assert client.recv(10)
    request = service.trace(base_id, "asgi")["asgi"]
    assert request.tags["osprofiler.body_unread"] is True
    assert request.tags["http.route"] == "/{tenant}/endless"


def test_an_exception_is_the_error_of_a_500(service: Service) -> None:
    base_id, response = service.ask("/t1/fail")
    assert response.status_code == 500
    request = service.trace(base_id, "asgi")["asgi"]
    # A middleware that is added to an application is inside of Starlette's, which answers.
    assert request.tags.get("http.status_code") == (500 if service.is_outermost else None)
    assert request.error == "LookupError"


def test_a_path_without_a_route(service: Service) -> None:
    base_id, response = service.ask("/t1/no/thing")
    assert response.status_code == 404
    request = service.trace(base_id, "asgi")["asgi"]
    assert "http.route" not in request.tags
    assert request.error is None


def test_a_websocket_connection_is_one_span(service: Service) -> None:
    client = pytest.importorskip("websockets.sync.client")
    base_id = str(uuid.uuid4())
    url = f"ws://127.0.0.1:{service.port}/t1/ws"
    with client.connect(url, additional_headers=signed(base_id)) as connection:
        for text in ("one", "two"):
            connection.send(text)
            assert connection.recv() == "ok"
    spans = service.trace(base_id, "websocket", "one", "two")
    connected = spans["websocket"]
    assert connected.tags["http.status_code"] == 101
    assert connected.tags["http.url"] == url
    assert connected.tags["http.route"] == "/{tenant}/ws"
    assert spans["one"].parent_id == spans["two"].parent_id == connected.trace_id


def test_pipelined_requests_do_not_inherit_each_other(service: Service) -> None:
    """uvicorn begins the second request inside the ``send`` of the first."""
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    before = service.count()
    with socket.create_connection(("127.0.0.1", service.port)) as client:
        data = b""
        for headers in (signed(first), {}, {**signed(second), "Connection": "close"}):
            lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
            data += f"GET /t1/servers/1 HTTP/1.1\r\nHost: api\r\n{''.join(lines)}\r\n".encode()
        client.sendall(data)
        received = b""
        while chunk := client.recv(65536):
            received += chunk
    assert received.count(b" 200 ") == 3
    for base_id in (first, second):
        spans = service.trace(base_id, "asgi", "work 1")
        assert spans["asgi"].parent_id == base_id
    assert service.count() == before + 2
