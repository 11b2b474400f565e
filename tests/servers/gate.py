# SPDX-License-Identifier: Apache-2.0
"""What operators put before a store that has neither TLS nor accounts: a gate that has both, and hands requests on."""

import base64
import http.client
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

#: As a connection string has it.
ACCOUNT = "osp:of-gate"

_ALLOWED = f"Basic {base64.b64encode(ACCOUNT.encode()).decode()}"
_OF_ONE_HOP = frozenset(("connection", "transfer-encoding", "keep-alive", "date", "server"))


class _Handler(BaseHTTPRequestHandler):
    target: int
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != _ALLOWED:
            self._answer(401, [("WWW-Authenticate", "Basic")], b"")
            return
        behind = http.client.HTTPConnection("127.0.0.1", self.target, timeout=60)
        try:
            given = {name: value for name, value in self.headers.items() if name != "Authorization"}
            behind.request(self.command, self.path, sent, given)
            answer = behind.getresponse()
            self._answer(answer.status, answer.getheaders(), answer.read())
        finally:
            behind.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in _OF_ONE_HOP and name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _serve

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def gate(target: int, certificate: Path, key: Path) -> Iterator[int]:
    """A gate before the port *target*; its own port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    handler = type("Handler", (_Handler,), {"target": target})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
