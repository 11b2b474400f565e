# SPDX-License-Identifier: Apache-2.0
"""A trace in OTLP's JSON, as version 3 of Jaeger's query API has it.

The spans have the ids and tags of ``jaeger_json``. Numbers of 64 bits are texts, and fields that are 0 or empty are
left out. Sources: opentelemetry-proto 1, ``trace.proto`` and "OTLP/HTTP, JSON Protobuf Encoding"; a response of Jaeger
1.76.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

from osprofiler.records import names, semconv
from osprofiler.reports.model import Log, SpanNode, Trace
from osprofiler.reports.views import jaeger_json

_KINDS = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_FAILED = 2


def traces_data(trace: Trace) -> dict[str, Any]:
    """The message ``TracesData`` with the spans of *trace*."""
    writer = jaeger_json.Writer(trace)
    spans: dict[tuple[Any, ...], list[SpanNode]] = {}
    for span in trace.spans.values():
        spans.setdefault(jaeger_json.process(span), []).append(span)
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": _resource(of_process[0])},
                "scopeSpans": [{"scope": {}, "spans": [_span(span, writer) for span in of_process]}],
            }
            for of_process in spans.values()
        ]
    }


def _resource(span: SpanNode) -> list[dict[str, Any]]:
    tags = jaeger_json.process_tags(span)
    renamed = {semconv.RESOURCE_NAMES.get(key, key): value for key, value in tags.items()}
    return _attributes({**renamed, "service.name": jaeger_json.service_name(span)}.items())


def _span(span: SpanNode, writer: jaeger_json.Writer) -> dict[str, Any]:
    references = writer.references(span)
    parent = None if span.reference is None else references[0]
    # OpenTelemetry has only parents. A parent that did not wait is a link too.
    links = [each for each in references if each is not parent or parent[0] == names.FOLLOWS_FROM]
    tags = dict(writer.tags(span))
    kind = tags.get("span.kind")
    number = _KINDS.get(kind, 0) if isinstance(kind, str) else 0
    if number:
        del tags["span.kind"]
    if tags.get("error") is True:
        del tags["error"]
    message = {
        "traceId": writer.trace_id,
        "spanId": writer.span_id(span),
        "parentSpanId": "" if parent is None else parent[2],
        "name": span.operation,
        "kind": number,
        "startTimeUnixNano": str(span.start_us * 1000),
        "endTimeUnixNano": str(span.end_us * 1000),
        "attributes": _attributes(tags.items()),
        "events": [_event(log) for log in span.logs],
        "links": [
            {"traceId": trace_id, "spanId": span_id, "attributes": _attributes([(semconv.REF_TYPE, kind)])}
            for kind, trace_id, span_id in links
        ],
    }
    status = {"code": _FAILED} if span.error else {}
    return {**{key: value for key, value in message.items() if value}, "status": status}


def _event(log: Log) -> dict[str, Any]:
    fields = dict(log.fields)
    name = fields.pop("event") if isinstance(fields.get("event"), str) else ""
    message = {"timeUnixNano": str(log.at_us * 1000), "name": name, "attributes": _attributes(fields.items())}
    return {key: value for key, value in message.items() if value}


def _attributes(tags: Iterable[tuple[str, Any]]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in tags]


def _value(value: Any) -> dict[str, Any]:
    """A value of OpenTelemetry. Of another type it is JSON in a text, as are numbers that JSON does not have."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return {"intValue": str(value)}
    if isinstance(value, float) and math.isfinite(value):
        return {"doubleValue": value}
    return {"stringValue": json.dumps(value, default=str)}
