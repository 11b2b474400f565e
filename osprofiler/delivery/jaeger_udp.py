# SPDX-License-Identifier: Apache-2.0
"""Spans to a Jaeger agent or collector: thrift compact over UDP, without an acknowledgement."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any

from osprofiler._runtime import native
from osprofiler.connection.fault_text import typed_fault_line
from osprofiler.delivery import jaeger_spans, thrift_compact
from osprofiler.delivery.encoding import SpanExporter
from osprofiler.delivery.exporter import Item, Outcome, Transient
from osprofiler.records.span_data import SpanData

PORT = 6831

#: Jaeger's limit for a packet.
PACKET_BYTES = 65_000

#: A receiver's socket holds little (on Linux 200 KB by default), and drops the rest in silence. So the receiver gets a
#: pause after a burst, to read it. 64 KB in 5 ms are 13 MB/s.
BURST_BYTES = 65_000
PAUSE_S = 0.005

#: An address is looked up again after this time, in seconds, since agents move.
RESOLVE_S = 60.0


class UdpExporter(SpanExporter[bytes, bytes]):
    """Thrift compact to *host* and *port*. A lost packet is not noticed; a packet that the host refuses is counted."""

    acknowledged = False
    # With the tags' own bytes this fits a packet for nearly all spans; the rest are cut.
    max_span_chars: int | None = 62_000

    def __init__(self, host: str, port: int = PORT) -> None:
        super().__init__(f"jaeger://{host}:{port}", jaeger_spans.process, self._encode)
        self._address = (host, port)
        self._socket: Any = None
        self._addresses: list[Any] = []  # of the host name, as getaddrinfo returns them
        self._target: Any = None  # the address that the socket is connected to
        self._resolve_at = 0.0

    def export(self, batch: Sequence[Item], deadline: float) -> Outcome:
        self._open()
        encoded = self._encoder.encode(batch)
        sent = unreachable = 0
        burst = 0
        for packet, number in packets(self._encoder.process(), encoded.spans, PACKET_BYTES):
            if burst and burst + len(packet) > BURST_BYTES:
                native.pause(PAUSE_S)
                burst = 0
            burst += len(packet)
            if self._send(packet):
                sent += number
            else:
                unreachable += number
        dropped = dict(encoded.dropped)
        if unreachable:
            dropped["unreachable"] = unreachable
            self._resolve_at = 0.0
        return Outcome(sent, dropped, encoded.merged)

    def after_fork(self) -> None:
        super().after_fork()
        self._socket = self._target = None

    def _encode(self, span: SpanData) -> bytes:
        return jaeger_spans.encode(span, room(self._encoder.process(), PACKET_BYTES))

    def _open(self) -> None:
        """Open the socket, and connect it, so that it reports refusals by the host."""
        now = time.monotonic()
        if self._socket is not None and now < self._resolve_at:
            return
        host, port = self._address
        try:
            addresses = native.resolve(host, port, socket.SOCK_DGRAM)
            if self._target not in addresses:
                self._connect(addresses)
            self._addresses = addresses
        except OSError as fault:
            if self._socket is None:
                raise Transient(typed_fault_line(fault)) from fault
        self._resolve_at = now + RESOLVE_S

    def _connect(self, targets: Sequence[Any]) -> None:
        """Connect to the first of *targets* that this host has a route to. Raises OSError if there is none."""
        for last, target in enumerate(targets, 1 - len(targets)):
            family, kind, protocol, _, address = target
            try:
                new_socket = socket.socket(family, kind, protocol)
                new_socket.connect(address)
            except OSError:
                if not last:
                    raise
            else:
                if self._socket is not None:
                    self._socket.close()
                self._socket, self._target = new_socket, target
                return

    def _send(self, packet: bytes) -> bool:
        """Send *packet* to the first address that does not refuse it. Return whether there is one."""
        for _ in self._addresses:
            if self._refused():  # an earlier packet
                self._connect_to_next()
            try:
                self._socket.send(packet)
            except OSError:
                return False
            if not self._refused():  # this host itself refuses at once
                return True
            self._connect_to_next()
        return False

    def _refused(self) -> bool:
        return bool(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _connect_to_next(self) -> None:
        """Connect to the next address of the name: "localhost" may be ::1 first, and the agent at 127.0.0.1."""
        after = self._addresses.index(self._target) + 1
        with contextlib.suppress(OSError):
            self._connect([*self._addresses[after:], *self._addresses[:after]])


def room(process: bytes, limit_bytes: int) -> int:
    """How many bytes of spans a packet of *limit_bytes* can hold, together with the encoded *process*."""
    return limit_bytes - len(process) - thrift_compact.MESSAGE_OVERHEAD


def packets(process: bytes, spans: Sequence[bytes], limit_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Packets of at most *limit_bytes* each, with the number of spans in them."""
    most = room(process, limit_bytes)
    start = size = 0
    for end, span in enumerate(spans):
        if size + len(span) > most and end > start:
            yield thrift_compact.message(process, spans[start:end]), end - start
            start, size = end, 0
        size += len(span)
    if start < len(spans):
        yield thrift_compact.message(process, spans[start:]), len(spans) - start
