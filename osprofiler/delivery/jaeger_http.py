# SPDX-License-Identifier: Apache-2.0
"""Spans to a Jaeger collector: thrift binary over HTTP. The collector's response acknowledges them."""

from __future__ import annotations

from collections.abc import Sequence

from osprofiler.connection.access import Access
from osprofiler.delivery import thrift_binary
from osprofiler.delivery.collector import Collector
from osprofiler.delivery.encoding import SpanExporter
from osprofiler.delivery.exporter import Item, Outcome

PORT = 14268
PATH = "/api/traces?format=jaeger.thrift"

_HEADERS = {"Content-Type": "application/vnd.apache.thrift.binary"}


class HttpExporter(SpanExporter[bytes, bytes]):
    """Thrift binary to *base* (``http://host:14268``, with ``user:password@`` if the collector asks for them)."""

    acknowledged = True

    def __init__(self, base: str, target: str, access: Access | None = None) -> None:
        super().__init__(target, thrift_binary.process, thrift_binary.span)
        self._collector = Collector(base + PATH, _HEADERS, access)

    def export(self, batch: Sequence[Item], deadline: float) -> Outcome:
        encoded = self._encoder.encode(batch)
        if encoded.spans:
            self._collector.post(thrift_binary.message(self._encoder.process(), encoded.spans), deadline)
        return Outcome(len(encoded.spans), encoded.dropped, encoded.merged)

    def after_fork(self) -> None:
        super().after_fork()
        self._collector.after_fork()
