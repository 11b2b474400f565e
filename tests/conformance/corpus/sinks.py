# SPDX-License-Identifier: Apache-2.0
"""Where the spans of a case go: a callable, a store of records, and each wire of whole spans, as bytes."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import sqlite3
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from oslo_config import cfg

from osprofiler import initializer, notifier, opentracing_compat, opts, profiler

KEY = "the key"


class Sink:
    """A connection string, and what came there for one case."""

    def __init__(self, connection_string: str, take: Callable[[], Any]) -> None:
        self.connection_string = connection_string
        self._take = take

    def begin(self, **options: Any) -> None:
        """Configure the process with this sink, and options of ``[profiler]``."""
        configure(self.connection_string, **options)
        self._take()

    def end(self) -> Any:
        """What has come since."""
        profiler.clean()
        assert opentracing_compat.flush(30)
        return self._take()


class CallableSink(Sink):
    """Records, as a callable notifier gets them."""

    def __init__(self) -> None:
        self._records: list[dict[str, Any]] = []
        super().__init__("jaeger://127.0.0.1:1", self._taken)  # replaced at once; nothing is sent there

    def begin(self, **options: Any) -> None:
        super().begin(**options)
        notifier.set(self._records.append)

    def _taken(self) -> list[Any]:
        records = [json.loads(json.dumps(record, default=repr)) for record in self._records]
        self._records.clear()
        return records


def configure(connection_string: str, **options: Any) -> None:
    conf = cfg.ConfigOpts()
    opts.set_defaults(conf, enabled=True, hmac_keys=KEY, connection_string=connection_string)
    conf([])
    for name, value in {"flush_interval": 3600.0, "points": [], **options}.items():
        conf.set_override(name, value, "profiler")
    initializer.init_from_conf(conf, {}, "nova", "api", "host-1")


def store(folder: Path) -> Sink:
    """A SQLite file; its rows."""
    path, last = folder / "traces.db", [0]

    def take() -> list[Any]:
        if not path.exists():
            return []
        with sqlite3.connect(path) as connection:
            connection.row_factory = sqlite3.Row
            rows = [dict(row) for row in connection.execute("SELECT rowid AS row, * FROM data ORDER BY rowid")]
        new = [row for row in rows if row["row"] > last[0]]
        last[0] = max((row["row"] for row in rows), default=0)
        return [{name: value for name, value in row.items() if name not in ("row", "id")} for row in new]

    return Sink(f"sqlite:///{path}", take)


def http(scheme: str) -> Sink:
    """A collector; the type and the bytes of what was posted."""
    bodies: list[list[str]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            bodies.append([self.path, self.headers["Content-Type"], base64.b64encode(body).decode()])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def take() -> list[list[str]]:
        taken = list(bodies)
        bodies.clear()
        return taken

    return Sink(f"{scheme}://127.0.0.1:{server.server_port}", take)


def udp() -> Sink:
    """An agent; the bytes of what was sent."""
    agent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    agent.bind(("127.0.0.1", 0))
    agent.setblocking(False)

    def take() -> list[str]:
        packets = []
        while True:
            try:
                packets.append(base64.b64encode(agent.recv(1 << 16)).decode())
            except BlockingIOError:
                return packets

    return Sink(f"jaeger://127.0.0.1:{agent.getsockname()[1]}", take)
