# SPDX-License-Identifier: Apache-2.0
"""An HTTP server that is well, or sends a byte now and then: no single wait for it is long."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

_PAUSE_S = 0.02

#: A trickle ends with the rest of a whole answer after so long: a client without a deadline fails its test and does
#: not hang it.
_LONGEST_S = 30.0

_WELL = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"

#: By what trickles: what is sent at once, the drop, and what makes the answer whole.
_TRICKLES = {
    "headers": (b"HTTP/1.1 200 OK\r\nX-Filler: ", b"x", b"\r\nContent-Length: 2\r\n\r\n{}"),
    "body": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", b"0\r\n\r\n"),
    "handshake": (b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb\x03\x03", b"\0", b""),
}


class Trickle:
    """``part`` says what trickles: nothing if it is empty, the ``headers`` or the ``body`` of an answer, or the TLS
    ``handshake``."""

    def __init__(self, tls: tuple[Path, Path] | None = None) -> None:
        self.part = ""
        #: Bodies of the requests that came while the server was well.
        self.taken: list[bytes] = []
        #: How many requests began to trickle, how many of them do at this moment, and how many of them a client
        #: without a deadline has waited for.
        self.trickled = 0
        self.trickling = 0
        self.waited_for = 0
        self._context: ssl.SSLContext | None = None
        if tls is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*tls)
        self._lock = threading.Lock()
        self._door = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._door.getsockname()[1]
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Take no more connections, and end those there are."""
        for each in self._door, *self._connections:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection = self._door.accept()[0]
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if self.part == "handshake":
                connection.recv(1 << 16)
                self._trickle(connection)
            elif self._context is None:
                self._answer(connection)
            else:
                with self._context.wrap_socket(connection, server_side=True) as encrypted:
                    self._answer(encrypted)

    def _answer(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as requests:
            while requests.readline():
                length = 0
                while (header := requests.readline()) not in (b"\r\n", b""):
                    name, _, value = header.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                body = requests.read(length)
                if self.part:
                    self._trickle(connection)
                else:
                    self.taken.append(body)
                    connection.sendall(_WELL)

    def _trickle(self, connection: socket.socket) -> None:
        begin, drop, rest = _TRICKLES[self.part]
        with self._lock:
            self.trickled += 1
            self.trickling += 1
        try:
            connection.sendall(begin)
            end = time.monotonic() + _LONGEST_S
            while time.monotonic() < end:
                time.sleep(_PAUSE_S)
                connection.sendall(drop)
            self.waited_for += 1
            connection.sendall(rest)
        finally:
            with self._lock:
                self.trickling -= 1


@contextlib.contextmanager
def trickle(tls: tuple[Path, Path] | None = None) -> Iterator[Trickle]:
    """A server that is well at first; over TLS with the certificate and key *tls*."""
    made = Trickle(tls)
    try:
        yield made
    finally:
        made.close()
