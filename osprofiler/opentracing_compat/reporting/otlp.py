# SPDX-License-Identifier: Apache-2.0
"""Spans to an OpenTelemetry Collector, or whatever else takes OTLP: protobuf over HTTP, acknowledged by its answer."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import osprofiler
from osprofiler import exc
from osprofiler.opentracing_compat.reporting.exporter import Outcome, Rejected, Transient, load_http_client
from osprofiler.opentracing_compat.reporting.pairing import Pairs
from osprofiler.opentracing_compat.reporting.queue import Entry

if TYPE_CHECKING:
    import requests

PORT = 4318
PATH = "/v1/traces"

#: OpenTelemetry's variables for headers, such as a hosted collector's key: ``name=value,name=value``.
_HEADER_VARIABLES = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")

#: The answers after which the protocol has a sender try again; somebody in between may also say 408 or 425.
_AWAY = frozenset((408, 425, 429, 502, 503, 504))


class OtlpExporter:
    """OTLP/HTTP to *base* (``http://host:4318``, with ``user:password@`` where the collector wants one)."""

    wants_starts = False
    acknowledged = True
    blocking = False
    max_span_chars: int | None = 1 << 20

    def __init__(self, base: str, target: str) -> None:
        load_http_client()
        self.target = target
        self._url = base if base.endswith(PATH) else base + PATH
        self._service = "osprofiler"
        self._tags: dict[str, Any] = {}
        self._pairs = Pairs()
        self._session: requests.Session | None = None

    def set_process(self, service: str, tags: Mapping[str, Any]) -> None:
        self._service, self._tags = service, dict(tags)

    def export(self, batch: Sequence[Entry], deadline: float) -> Outcome:
        spans_of = _protobuf()
        made: list[Any] = []
        dropped: Counter[str] = Counter()
        merged = 0
        for kind, item, _ in batch:
            span: Any = item
            try:
                if kind == "record":
                    span = self._pairs.add(span)
                    if span is None:
                        merged += 1
                        continue
                made.append(spans_of.convert(span))
            except Exception:  # a record may hold anything, and protobuf has kinds of faults of its own
                dropped["unencodable"] += 1
        if made:
            refused = self._post(spans_of.request(self._service, self._process(), made), deadline)
            if refused:
                dropped["rejected"] += min(refused, len(made))
        return Outcome(len(made) - dropped["rejected"], dropped, merged)

    def after_fork(self) -> None:
        self._session = None
        self._pairs = Pairs()

    def _process(self) -> dict[str, Any]:
        return {
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "osprofiler.version": osprofiler.__version__,
            **self._tags,
        }

    def _post(self, body: bytes, deadline: float) -> int:
        """Send; how many spans were refused. Raises Transient or Rejected where none was taken."""
        import requests

        if self._session is None:
            self._session = requests.Session()
            self._session.headers.update({"Content-Type": "application/x-protobuf", **_configured_headers()})
        wait_s = max(deadline - time.monotonic(), 0.05)
        try:
            answer = self._session.post(self._url, data=body, timeout=(min(wait_s, 3.0), wait_s), allow_redirects=False)
        except requests.RequestException as fault:
            raise Transient(type(fault).__name__) from fault
        status = answer.status_code
        if 200 <= status < 300:
            return _refused(answer.content)
        said = f"HTTP status {status}"
        if status in _AWAY:
            raise Transient(said)
        if status >= 500:
            raise Transient(said, unreachable=False)
        if status == 413:
            raise Rejected(said, reason="too_large", divisible=True)
        raise Rejected(said, divisible=status == 400)


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
