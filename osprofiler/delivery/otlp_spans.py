# SPDX-License-Identifier: Apache-2.0
"""Makes OpenTelemetry's messages of spans, with the same tags that the thrift transports send.

Loads opentelemetry-proto and protobuf. Only ``delivery.otlp`` imports this module, when it first sends. Source:
opentelemetry-proto 1, ``trace.proto``; OpenTelemetry's mapping of OpenTracing, for ``opentracing.ref_type``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

import osprofiler
from osprofiler.records import names, semconv
from osprofiler.records.span_data import SpanData
from osprofiler.records.span_tags import tags_of

_KINDS = {
    "server": Span.SPAN_KIND_SERVER,
    "client": Span.SPAN_KIND_CLIENT,
    "producer": Span.SPAN_KIND_PRODUCER,
    "consumer": Span.SPAN_KIND_CONSUMER,
}


def convert(span: SpanData) -> Span:
    """The message for a finished span. Raises exceptions of protobuf for a value that a message cannot hold."""
    number, operation, start_us, duration_us, _ = span.head()
    trace_id = number.to_bytes(16, "big")
    made = Span(
        trace_id=trace_id,
        span_id=span.span_id.to_bytes(8, "big"),
        name=operation,
        start_time_unix_nano=start_us * 1000,
        end_time_unix_nano=(start_us + duration_us) * 1000,
        flags=span.flags & 0xFF,
    )
    if span.parent_span_id:
        made.parent_span_id = span.parent_span_id.to_bytes(8, "big")
        if span.follows:
            # OpenTelemetry has only parents. It writes OpenTracing's FollowsFrom as a link with this attribute.
            _link(made, trace_id, made.parent_span_id, names.FOLLOWS_FROM)
    for kind, link_trace, link_span in span.links or ():
        _link(made, link_trace.to_bytes(16, "big"), link_span.to_bytes(8, "big"), kind)
    failed = False
    attributes = made.attributes
    for key, value in tags_of(span):
        if key == "span.kind" and value in _KINDS:
            made.kind = _KINDS[value]
        elif key == "error" and value is True:
            failed = True
        else:
            _add(attributes, key, value)
    if failed:
        made.status.code = Status.STATUS_CODE_ERROR
        message = (span.stop_info or {}).get("message")
        if isinstance(message, str):
            made.status.message = message[:1024]
    for at_us, fields in span.own_logs:
        event = fields.get("event")
        named = isinstance(event, str)
        log = made.events.add(time_unix_nano=at_us * 1000, name=event if named else "")
        for key, value in fields.items():
            if not (named and key == "event"):
                _add(log.attributes, key, value)
    return made


def _link(span: Span, trace_id: bytes, span_id: bytes, kind: str) -> None:
    _add(span.links.add(trace_id=trace_id, span_id=span_id).attributes, semconv.REF_TYPE, kind)


def _add(attributes: Any, key: str, value: Any) -> None:
    """Add an attribute of the type of *value*. A value of another type than OpenTelemetry's becomes JSON."""
    made = attributes.add()  # filled in place: half the cost of a separate message that is copied in
    made.key = key
    kind = type(value)
    if kind is str:
        made.value.string_value = value
    elif kind is bool:
        made.value.bool_value = value
    elif kind is int and -(1 << 63) <= value < 1 << 63:
        made.value.int_value = value
    elif kind is float:
        made.value.double_value = value
    else:
        made.value.string_value = json.dumps(value, default=str)


def resource(service: str, tags: Mapping[str, Any]) -> Resource:
    """The resource of a batch: its service name and tags."""
    made = Resource()
    for key, value in {"service.name": service, **tags}.items():
        _add(made.attributes, semconv.RESOURCE_NAMES.get(key, key), value)
    return made


def request(resource: Resource, spans: Iterable[Span]) -> bytes:
    """One encoded request with the *spans* of the process *resource*."""
    scope = InstrumentationScope(name="osprofiler", version=osprofiler.__version__)
    grouped = ResourceSpans(resource=resource, scope_spans=[ScopeSpans(scope=scope, spans=spans)])
    encoded: bytes = ExportTraceServiceRequest(resource_spans=[grouped]).SerializeToString()
    return encoded
