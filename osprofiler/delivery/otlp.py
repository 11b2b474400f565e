# SPDX-License-Identifier: Apache-2.0
"""Spans to an OpenTelemetry Collector or another receiver of OTLP: protobuf over HTTP, acknowledged by a response."""

from __future__ import annotations

import functools
import gzip
import math
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from osprofiler import exc
from osprofiler._runtime import guard
from osprofiler.connection.access import Access
from osprofiler.delivery.collector import Collector
from osprofiler.delivery.encoding import SpanExporter
from osprofiler.delivery.exporter import Item, Outcome, Rejected
from osprofiler.records.span_data import SpanData

PORT = 4318
PATH = "/v1/traces"

_GZIP_LEVEL = 1  # saves four fifths of the bytes of the highest level, in a fraction of its time

#: OpenTelemetry's variables begin with these. The second one, for traces alone, wins. The endpoint is not read from a
#: variable: the connection string has it.
_VARIABLES = ("OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_")
#: The variables that name files, by the options of the connection string, which win.
_FILES = {"ca_certs": "CERTIFICATE", "certfile": "CLIENT_CERTIFICATE", "keyfile": "CLIENT_KEY"}


class OtlpExporter(SpanExporter[Any, Any]):
    """OTLP/HTTP to *base* (``http://host:4318``, with ``user:password@`` if the collector asks for them)."""

    acknowledged = True

    def __init__(self, base: str, target: str, access: Access | None = None) -> None:
        super().__init__(target, _resource, _span)
        url = base if base.endswith(PATH) else base + PATH
        headers = {"Content-Type": "application/x-protobuf", **_configured_headers()}
        self._compresses = _configured_compression()
        if self._compresses:
            headers["Content-Encoding"] = "gzip"
        self._timeout_s = _configured_timeout_s()
        self._collector = Collector(url, headers, access)

    def export(self, batch: Sequence[Item], deadline: float) -> Outcome:
        spans_of = _protobuf()
        encoded = self._encoder.encode(batch)
        made, dropped = encoded.spans, encoded.dropped
        if made:
            body = spans_of.request(self._encoder.process(), made)
            if self._compresses:
                body = gzip.compress(body, _GZIP_LEVEL)
            refused = _refused(self._collector.post(body, min(deadline, time.monotonic() + self._timeout_s)))
            if refused:
                dropped["rejected"] += min(refused, len(made))
        return Outcome(len(made) - dropped["rejected"], dropped, encoded.merged)

    def after_fork(self) -> None:
        super().after_fork()
        self._collector.after_fork()


def _resource(service: str, tags: Mapping[str, Any]) -> Any:
    return _protobuf().resource(service, tags)


def _span(span: SpanData) -> Any:
    return _protobuf().convert(span)


@functools.cache
def _protobuf() -> Any:
    try:
        from osprofiler.delivery import otlp_spans
    except ImportError as fault:
        raise Rejected("otlp needs the library opentelemetry-proto: pip install 'osprofiler[otlp]'") from fault
    return otlp_spans


def check_library() -> None:
    """Raise CommandError, one line, if a library that OTLP needs is not installed."""
    try:
        _protobuf()
    except Rejected as fault:
        raise exc.CommandError(str(fault)) from fault


def _refused(content: bytes) -> int:
    """How many spans of an accepted request the collector did not take, by its response *content*."""
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    response = ExportTraceServiceResponse()
    try:
        response.ParseFromString(content)
    except DecodeError:  # some collectors respond with JSON, or with a page
        return 0
    return int(response.partial_success.rejected_spans)


def with_configured_files(options: Mapping[str, str], over_tls: bool) -> dict[str, str]:
    """The *options* of a connection string, and the files of OpenTelemetry's variables for options that it lacks."""
    configured = {option: _configured(name) for option, name in _FILES.items() if over_tls}
    if "verify" in options:
        configured.pop("ca_certs", None)
    if "certfile" in options or not configured.get("certfile"):
        configured.pop("keyfile", None)
    return {**{option: file for option, file in configured.items() if file}, **options}


def _configured(name: str) -> str:
    return next((os.environ[kind + name].strip() for kind in reversed(_VARIABLES) if os.environ.get(kind + name)), "")


def _configured_headers() -> dict[str, str]:
    """Headers such as a hosted collector's key: ``name=value,name=value``."""
    headers: dict[str, str] = {}
    for kind in _VARIABLES:
        for pair in os.environ.get(f"{kind}HEADERS", "").split(","):
            name, equals, value = pair.partition("=")
            if equals and name.strip():
                headers[name.strip()] = unquote(value.strip())
    return headers


def _configured_timeout_s() -> float:
    """The longest time of one request; infinite if no variable is set, since each request has a deadline."""
    text = _configured("TIMEOUT")
    if not text:
        return math.inf
    if not text.isdecimal() or not int(text):
        _ignore("TIMEOUT", text, "milliseconds")
        return math.inf
    return int(text) / 1000


def _configured_compression() -> bool:
    text = _configured("COMPRESSION")
    if text not in ("", "none", "gzip"):
        _ignore("COMPRESSION", text, "gzip or none")
    return text == "gzip"


def _ignore(name: str, text: str, wanted: str) -> None:
    guard.warn_once(f"otlp:{name}", "%s%s=%s is ignored: it is %s", _VARIABLES[0], name, text, wanted)
