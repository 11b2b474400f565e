# SPDX-License-Identifier: Apache-2.0
"""Spans to an OpenTelemetry Collector, or whatever else takes OTLP: protobuf over HTTP, acknowledged by its answer."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from osprofiler import exc
from osprofiler.opentracing_compat.reporting.collector import Collector
from osprofiler.opentracing_compat.reporting.encoding import Encoder
from osprofiler.opentracing_compat.reporting.exporter import Outcome, Rejected
from osprofiler.opentracing_compat.reporting.queue import Entry

PORT = 4318
PATH = "/v1/traces"

#: OpenTelemetry's variables for headers, such as a hosted collector's key: ``name=value,name=value``.
_HEADER_VARIABLES = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")


class OtlpExporter:
    """OTLP/HTTP to *base* (``http://host:4318``, with ``user:password@`` where the collector wants one)."""

    wants_starts = False
    acknowledged = True
    blocking = False
    max_span_chars: int | None = 1 << 20

    def __init__(self, base: str, target: str) -> None:
        self.target = target
        url = base if base.endswith(PATH) else base + PATH
        self._collector = Collector(url, {"Content-Type": "application/x-protobuf", **_configured_headers()})
        self._encoder = Encoder(_resource, _span)

    def set_process(self, service: str, tags: Mapping[str, Any]) -> None:
        self._encoder.set_process(service, tags)

    def export(self, batch: Sequence[Entry], deadline: float) -> Outcome:
        spans_of = _protobuf()
        encoded = self._encoder.encode(batch)
        made, dropped = encoded.spans, encoded.dropped
        if made:
            refused = _refused(self._collector.post(spans_of.request(self._encoder.process(), made), deadline))
            if refused:
                dropped["rejected"] += min(refused, len(made))
        return Outcome(len(made) - dropped["rejected"], dropped, encoded.merged)

    def after_fork(self) -> None:
        self._collector.after_fork()
        self._encoder.after_fork()


def _resource(service: str, tags: Mapping[str, Any]) -> Any:
    return _protobuf().resource(service, tags)


def _span(span: Any) -> Any:
    return _protobuf().convert(span)


@functools.cache
def _protobuf() -> Any:
    try:
        from osprofiler.opentracing_compat.reporting import otlp_spans
    except ImportError as fault:
        raise Rejected("otlp needs the library opentelemetry-proto: pip install 'osprofiler[otlp]'") from fault
    return otlp_spans


def check_library() -> None:
    """Raise CommandError, one line, if what OTLP needs is not installed."""
    try:
        _protobuf()
    except Rejected as fault:
        raise exc.CommandError(str(fault)) from fault


def _refused(content: bytes) -> int:
    """How many spans an answer says were not taken, though the request was."""
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    answer = ExportTraceServiceResponse()
    try:
        answer.ParseFromString(content)
    except DecodeError:  # some answer a success with JSON, or with a page
        return 0
    return int(answer.partial_success.rejected_spans)


def _configured_headers() -> dict[str, str]:
    found: dict[str, str] = {}
    for variable in _HEADER_VARIABLES:
        for pair in os.environ.get(variable, "").split(","):
            name, equals, value = pair.partition("=")
            if equals and name.strip():
                found[name.strip()] = unquote(value.strip())
    return found
