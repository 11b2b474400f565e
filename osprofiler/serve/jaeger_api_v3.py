# SPDX-License-Identifier: Apache-2.0
"""Version 3 of Jaeger's query API, as far as its UI and Grafana ask for it: names, searches, and one trace.

The response to a search is a summary of each trace.

A response is the JSON of a message of protobuf: 64-bit numbers are texts, and numbers and texts that are 0 or empty are
left out.
Sources: Jaeger 2.20, ``cmd/jaeger/internal/extension/jaegerquery/internal/apiv3/http_gateway.go`` and
``querysvc/summary.go``.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from http import HTTPStatus
from typing import Any

from osprofiler.records import ids
from osprofiler.reports.model import Trace
from osprofiler.reports.views import jaeger_json, otlp_json
from osprofiler.serve.parameters import Parameters, trace_number
from osprofiler.serve.responses import Refused, Response, json_response
from osprofiler.serve.store import Store
from osprofiler.serve.trace_search import TraceSearch

LOG = logging.getLogger(__name__)

#: The UI waits 10 seconds for a response.
_MOST_S = 8.0
_NO_KIND = "internal"  # of an operation whose kind is unknown


def error_text(status: int, text: str) -> str:
    """The JSON of a response that is only an error."""
    return json.dumps({"error": {"httpCode": status, "message": text}}) + "\n"


def services(store: Store, parameters: Parameters) -> Response:
    """The response for the services."""
    return json_response(json.dumps(_message(services=store.services())))


def operations(store: Store, parameters: Parameters) -> Response:
    """The response for the operations of a service."""
    kind = parameters.text(parameters.named("spanKind", "span_kind"))
    known = store.operations(parameters.text("service"), kind)
    named = dict.fromkeys((each.name, each.kind or _NO_KIND) for each in known)
    # Empty names stay: the UI refuses an operation without a name.
    items = [{"name": name, "spanKind": kind} for name, kind in named]
    return json_response(json.dumps(_message(operations=items)))


def trace_summaries(store: Store, parameters: Parameters) -> Response:
    """The response for a search. Without a service it is one of all services."""
    search = TraceSearch.of_v3(parameters)
    summaries: list[dict[str, Any]] = []

    def take(trace: Trace) -> bool:
        if search.matches(trace):
            summaries.append(_summary(trace))
        return len(summaries) < search.limit

    cut = store.each(search.wanted, take, _MOST_S)
    if cut:
        LOG.warning("%s: %s", store.shown, cut)  # the response has no place for it
    return json_response(json.dumps(_message(summaries=summaries)))


def trace(store: Store, trace_id: str, parameters: Parameters) -> Response:
    """The response for one trace. The times, which may help a store to find it, are not needed here."""
    number = trace_number(trace_id)
    for name in (parameters.named("startTime", "start_time"), parameters.named("endTime", "end_time")):
        if parameters.text(name):
            parameters.time_ns(name)
    parameters.boolean(parameters.named("rawTraces", "raw_traces"))
    stored = store.trace(number)
    if stored is None:
        raise Refused(HTTPStatus.NOT_FOUND, "No traces found")
    return json_response(json.dumps({"result": otlp_json.traces_data(stored)}))


def _summary(trace: Trace) -> dict[str, Any]:
    spans: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for span in trace.spans.values():
        name = jaeger_json.service_name(span)
        spans[name] += 1
        failed[name] += span.error is not None
    root = next((span for span in trace.roots if span.reference is None), None)
    return _message(
        traceId=f"{ids.trace_id_of(trace.base_id):032x}",
        rootServiceName="" if root is None else jaeger_json.service_name(root),
        rootOperationName="" if root is None else root.operation,
        minStartTimeUnixNano=str(trace.start_us * 1000),
        maxEndTimeUnixNano=str(trace.end_us * 1000),
        spanCount=len(trace.spans),
        errorSpanCount=failed.total(),
        orphanSpanCount=sum(span.parent_missing for span in trace.spans.values()),
        services=[
            _message(name=name, spanCount=count, errorSpanCount=failed[name]) for name, count in sorted(spans.items())
        ],
    )


def _message(**fields: Any) -> dict[str, Any]:
    """A message of protobuf with these *fields*."""
    return {name: value for name, value in fields.items() if value or isinstance(value, list)}
