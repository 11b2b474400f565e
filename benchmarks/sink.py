# SPDX-License-Identifier: Apache-2.0
"""A collector for who does not speak to Jaeger: takes what is posted, and tells afterwards what was in it."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Sink:
    """An HTTP server on a free port that acknowledges everything; bodies by path, in order."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                sink.bodies.append((self.path, body))
                answer = b'{"rate_by_service":{}}'
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_PUT = do_POST
            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def datadog_spans(self) -> list[dict[str, Any]]:
        """The spans that a Datadog tracer posted, as it wrote them."""
        import msgpack

        payloads = [msgpack.unpackb(body, strict_map_key=False) for path, body in self.bodies if path == "/v0.4/traces"]
        return [span for payload in payloads for trace in payload for span in trace]

    def __enter__(self) -> Sink:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
