# SPDX-License-Identifier: Apache-2.0
"""A stand-in for Log Insight, which cannot be had: as much of its documented HTTP interface as drivers use.

Source: VMware's REST API reference, version 1: sessions, events/ingest (without login; 1 to 500 events, 4 MB, 16 kB a
text), events (constraints in the path, newest first, ``limit``). A session may be made to expire.
"""

import contextlib
import json
import re
import socket
import ssl
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, unquote_plus, urlsplit

from tests.servers.base import free_port

ACCOUNT = {"username": "osp@profiler", "password": "of:insight"}


class LogInsight:
    """Serves HTTP at ``http_port`` and, with the certificate given, HTTPS at ``https_port``, while it is entered."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.http_port, self.https_port = free_port(), free_port()
        self.events: list[dict[str, Any]] = []
        self.sessions: set[str] = set()
        self.requests: list[str] = []
        self.connections: set[socket.socket] = set()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._servers: list[ThreadingHTTPServer] = []
        self._lock = threading.Lock()

    def __enter__(self) -> "LogInsight":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Serve, on the same ports and with the same events each time."""
        handler = type("Handler", (_Handler,), {"store": self})
        for port in self.http_port, self.https_port:
            server = ThreadingHTTPServer(("127.0.0.1", port), handler)
            if port == self.https_port:
                server.socket = self._context.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            self._servers.append(server)

    def stop(self) -> None:
        """Serve no more."""
        while self._servers:
            server = self._servers.pop()
            server.shutdown()
            server.server_close()
        while self.connections:
            with contextlib.suppress(OSError):
                self.connections.pop().shutdown(socket.SHUT_RDWR)

    def expire(self) -> None:
        """End all sessions, as time does."""
        self.sessions.clear()

    def answer(self, method: str, path: str, body: dict[str, Any], session: str | None) -> tuple[int, dict[str, Any]]:
        """Return the status and the answer to one request."""
        self.requests.append(f"{method} {path}")
        parts = urlsplit(path)
        if method == "POST" and parts.path.startswith("/api/v1/events/ingest/"):
            return self._ingest(body.get("events"))
        if method == "POST" and parts.path == "/api/v1/sessions":
            if {key: body.get(key) for key in ACCOUNT} != ACCOUNT:
                return 401, {"errorMessage": "Invalid username or password."}
            new = str(uuid.uuid4())
            self.sessions.add(new)
            return 200, {"userId": "1", "sessionId": new, "ttl": 1800}
        if session not in self.sessions:
            return 440, {"errorMessage": "This session has expired."}
        if parts.path == "/api/v1/sessions/current":
            return 200, {"userId": "1", "sessionId": session, "ttl": 1800}
        if parts.path.startswith("/api/v1/events/"):
            return self._query(parts.path.removeprefix("/api/v1/events/").split("/"), parse_qs(parts.query))
        return 404, {"errorMessage": "Not found."}

    def _ingest(self, events: Any) -> tuple[int, dict[str, Any]]:
        if not isinstance(events, list) or not 1 <= len(events) <= 500:
            return 400, {"errorMessage": "Submit 1-500 events."}
        now = int(time.time() * 1000)
        with self._lock:
            for event in events:
                texts = [event.get("text", ""), *(field.get("content") or "" for field in event.get("fields", ()))]
                if any(len(str(text).encode()) > 16 * 1024 for text in texts):
                    return 400, {"errorMessage": "A text field is larger than 16 KB."}
            self.events += [{**event, "timestamp": now} for event in events]
        return 200, {"status": "ok", "message": "events ingested", "ingested": len(events)}

    def _query(self, constraints: list[str], query: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        found = list(self.events)
        for field, condition in zip(constraints[::2], constraints[1::2], strict=True):
            operator, _, operand = condition.partition("+")
            wanted = unquote_plus(operand)
            if operator == "CONTAINS":
                words = re.findall(r"\w+", wanted.lower())
                found = [event for event in found if _has_words(_value(event, unquote(field)), words)]
            elif operator in ("GT", "LT") and field == "timestamp":
                sign = 1 if operator == "GT" else -1
                found = [event for event in found if sign * event["timestamp"] > sign * int(wanted)]
            else:
                return 400, {"errorMessage": f"Unknown constraint {field}/{condition}"}
        found = found[::-1][: int(query.get("limit", ["100"])[0])]
        return 200, {"complete": True, "duration": 1, "events": found}


def _value(event: dict[str, Any], field: str) -> str:
    if field == "text":
        return str(event.get("text", ""))
    return next((str(item.get("content")) for item in event.get("fields", ()) if item["name"] == field), "")


def _has_words(text: str, words: list[str]) -> bool:
    """Return whether *words* stand in *text* one after another, as words, in whatever case."""
    have = re.findall(r"\w+", text.lower())
    return any(have[i : i + len(words)] == words for i in range(len(have) - len(words) + 1))


class _Handler(BaseHTTPRequestHandler):
    store: LogInsight
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.store.connections.add(self.connection)

    def finish(self) -> None:
        super().finish()
        self.store.connections.discard(self.connection)

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        sent = self.rfile.read(length)
        status, answer = 413, {"errorMessage": "The request is larger than 4 MB."}
        if length <= 4 << 20:
            body = json.loads(sent or b"{}")
            status, answer = self.store.answer(self.command, self.path, body, self.headers.get("X-LI-Session-Id"))
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _serve

    def log_message(self, *_: object) -> None:
        """Keep quiet."""
