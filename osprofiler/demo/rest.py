# SPDX-License-Identifier: Apache-2.0
"""REST between the demo's processes: a real HTTP server around a handler, and a client.

The server has a fixed set of threads that serve one request after another, as production servers do. If a request left
tracing state in its thread, it would show in the next request's trace.
"""

from __future__ import annotations

import json
import queue
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import requests

from osprofiler import web

#: Takes method, path and decoded body; returns the status and a body: JSON, or an iterator of pieces.
Handler = Callable[[str, str, Any], tuple[HTTPStatus, Any]]

_TIMEOUT_S = 60
_BACKLOG = 512


def application(handle: Handler) -> Callable[..., Iterable[bytes]]:
    """*handle* as a traced WSGI application. The server answers its exceptions with status 500."""

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = json.loads(environ["wsgi.input"].read(length)) if length else None
        status, answer = handle(environ["REQUEST_METHOD"], environ["PATH_INFO"], body)
        streamed = isinstance(answer, Iterator)
        kind = "application/octet-stream" if streamed else "application/json"
        start_response(f"{status.value} {status.phrase}", [("Content-Type", kind)])
        return answer if streamed else [json.dumps(answer).encode()]

    return web.WsgiMiddleware(serve)


class Server:
    """An HTTP server on a free port of 127.0.0.1."""

    def __init__(self, app: Callable[..., Iterable[bytes]], workers: int) -> None:
        self._http = _PooledServer(("127.0.0.1", 0), WSGIRequestHandler)
        self._http.set_app(app)
        self._threads = [threading.Thread(target=self._http.work, name=f"http-{n}") for n in range(workers)]
        self._threads.append(threading.Thread(target=self._http.serve_forever, name="http-accept"))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Serve the accepted connections, and stop."""
        self._http.shutdown()
        self._http.server_close()
        for _ in self._threads[:-1]:
            self._http.accepted.put(None)
        for thread in self._threads:
            thread.join()


class _PooledServer(WSGIServer):
    request_queue_size = _BACKLOG

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.accepted: queue.SimpleQueue[tuple[Any, Any] | None] = queue.SimpleQueue()

    def server_bind(self) -> None:
        # Not as the base class: it looks up the name of this host, which can be slow.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.accepted.put((request, client_address))

    def work(self) -> None:
        """Serve accepted connections, until the queue holds None."""
        while (item := self.accepted.get()) is not None:
            try:
                self.finish_request(*item)
            except Exception:
                self.handle_error(*item)
            finally:
                self.shutdown_request(item[0])


def call(method: str, url: str, body: Any = None) -> requests.Response:
    """Send a request. Raises requests.RequestException, also for a response with an error status."""
    with requests.Session() as session:
        session.trust_env = False  # no proxy for 127.0.0.1
        answer = session.request(method, url, json=body, timeout=_TIMEOUT_S)
    answer.raise_for_status()
    return answer
