# SPDX-License-Identifier: Apache-2.0
"""A trace as the JSON file that Jaeger's UI opens, whatever store it was in.

The spans have the ids and tags that they would have had, had they been sent to Jaeger, so what reads Jaeger's answers
also reads this file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import osprofiler
from osprofiler.opentracing_compat import ids
from osprofiler.opentracing_compat.reporting import semconv
from osprofiler.records import START_LOST, UNFINISHED, flatten
from osprofiler.reports import wording
from osprofiler.reports.model import CHILD_OF, FOLLOWS_FROM, SpanNode, Trace

_TYPES = {bool: "bool", int: "int64", float: "float64"}
_KINDS = {CHILD_OF: "CHILD_OF", FOLLOWS_FROM: "FOLLOWS_FROM"}
_NO_SERVICE = "unknown"
_MOST_EXACT = (1 << 53) - 1


def text(trace: Trace) -> Iterator[str]:
    """The file, in pieces."""
    processes = {process: f"p{i}" for i, process in enumerate(dict.fromkeys(map(_process, trace.spans.values())), 1)}
    trace_id = f"{ids.trace_id_of(trace.base_id):032x}"
    yield f'{{"data": [{{"traceID": "{trace_id}", "processes": '
    yield _json({name: _described(*process) for process, name in processes.items()})
    yield ', "warnings": null, "spans": ['
    for i, span in enumerate(trace.spans.values()):
        made = {"traceID": trace_id, **_span(trace, trace_id, span), "processID": processes[_process(span)]}
        yield f"{',' if i else ''}\n{_json(made)}"
    yield f']}}], "total": {int(bool(trace.spans))}, "limit": 0, "offset": 0, "errors": null}}\n'


def _span(trace: Trace, trace_id: str, span: SpanNode) -> dict[str, Any]:
    references = []
    if span.reference is not None:
        references.append((span.reference, trace_id, f"{ids.span_id_of(span.parent_id):016x}"))
    references += [
        (link.kind, f"{ids.trace_id_of(link.base_id):032x}", f"{ids.span_id_of(link.trace_id):016x}")
        for link in span.links
    ]
    return {
        "spanID": f"{ids.span_id_of(span.trace_id):016x}",
        "operationName": span.operation,
        "references": [
            {"refType": _KINDS.get(kind, "CHILD_OF"), "traceID": trace, "spanID": point}
            for kind, trace, point in references
        ],
        "flags": 1,
        "startTime": span.start_us,
        "duration": span.duration_us or 0,
        "tags": [_tag(key, value) for key, value in _tags(trace, span)],
        "logs": [
            {"timestamp": log.at_us, "fields": [_tag(key, value) for key, value in log.fields.items()]}
            for log in span.logs
        ],
        "warnings": wording.marks(span) or None,
    }


def _tags(trace: Trace, span: SpanNode) -> Iterator[tuple[str, Any]]:
    own = dict(span.tags)
    if span.error:
        own.setdefault("error", True)
    if not span.finished:
        own[UNFINISHED] = True
    if not span.has_start:
        own[START_LOST] = True
    yield from own.items()
    yield "osprofiler.name", span.name
    trace_id = ids.trace_id_of(trace.base_id)
    prefix = ids.point_prefix(trace_id)
    if trace.base_id != ids.uuid_text(trace_id):
        yield "osprofiler.base_id", trace.base_id
    for key, point in ("osprofiler.trace_id", span.trace_id), ("osprofiler.parent_id", span.parent_id):
        if point not in (ids.point_uuid(prefix, ids.span_id_of(point)), trace.base_id, ""):
            yield key, point
    for key, value in dict(semconv.tags(span.start_info)).items():
        if key not in own:
            yield key, value
    yield from flatten(span.start_info, "start")
    yield from flatten(span.stop_info, "stop")


def _tag(key: str, value: Any) -> dict[str, Any]:
    kind = _TYPES.get(type(value), "string")
    if not isinstance(value, (str, bool, int, float)):
        value = json.dumps(value, default=str)
    elif type(value) is int and abs(value) > _MOST_EXACT:
        value = str(value)  # as Jaeger does: JavaScript would round it
    return {"key": key, "type": kind, "value": value}


def _process(span: SpanNode) -> tuple[Any, ...]:
    return wording.place(span), span.project, span.service, span.host, span.pid


def _described(place: str, project: Any, service: Any, host: Any, pid: Any) -> dict[str, Any]:
    tags = {"project": project, "service": service, "hostname": host, "pid": pid}
    if service is None:
        # A process with our version among its tags has its service there too: its reader takes no other name for it.
        tags["osprofiler.version"] = osprofiler.__version__
    return {
        "serviceName": place or _NO_SERVICE,
        "tags": [_tag(key, value) for key, value in tags.items() if value is not None],
    }


def _json(value: Any) -> str:
    """JSON that a browser reads: without NaN and infinities, which Python's has."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(json.dumps(value), parse_constant=str))
