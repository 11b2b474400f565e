# SPDX-License-Identifier: Apache-2.0
"""An HTTP server in a process of its own that takes spans and records, and may deny access to everybody.

It answers as a Jaeger collector, an OTLP receiver, Elasticsearch and Log Insight do to what is sent to them.
"""

import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_CONTROL = "/control"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    status = 200
    denied = 0
    accepted = 0

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = _Handler
        if self.path == _CONTROL:
            kind.status = int(body or kind.status)
            self._answer(200, {"denied": kind.denied, "accepted": kind.accepted})
        elif kind.status >= 400:
            kind.denied += 1
            self._answer(kind.status, {"error": {"reason": "no entry"}, "errorMessage": "no entry"})
        else:
            kind.accepted += self.command == "POST"
            self._answer(200, {"errors": False})

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_HEAD = _serve

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class Account:
    """The server at ``port``."""

    def __init__(self, port: int) -> None:
        self.port = port

    def answer(self, status: int) -> None:
        """Answer every request with *status* from now on."""
        self._control(str(status))

    @property
    def denied(self) -> int:
        """How many requests were denied."""
        return self._control()["denied"]

    @property
    def accepted(self) -> int:
        """How many requests with a body were accepted."""
        return self._control()["accepted"]

    def _control(self, body: str = "") -> dict[str, int]:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request("POST", _CONTROL, body)
            counts: dict[str, int] = json.loads(connection.getresponse().read())
            return counts


@contextlib.contextmanager
def account() -> Iterator[Account]:
    """Run the server."""
    command = [sys.executable, str(Path(__file__))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Account(int(process.stdout.readline()))
        finally:
            process.kill()


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        print(server.server_port, flush=True)
        server.serve_forever()
