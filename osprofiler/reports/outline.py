# SPDX-License-Identifier: Apache-2.0
"""Read a trace of Jaeger's JSON without its tags and logs: for sets of traces, several times as fast as the whole.

An outline has what the analyses of sets need: the tree, the operations, services, times, errors and joins. It equals
the trace that ``records.jaeger_json`` and ``model.from_records`` make, but for tags, logs, infos, payloads and
processes. Only plain spans are read here. Any other span takes the long way, and so does a trace whose spans have ids
of their own, or share one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from osprofiler.records import ids, jaeger_json, names
from osprofiler.reports import model
from osprofiler.reports.model import SpanNode, Trace

_SPAN_ID = re.compile(r"[0-9a-f]{1,16}", re.I | re.A)
_TRACE_ID = re.compile(r"[0-9a-f]{1,32}", re.I | re.A)

#: Tags that make a span special: it failed, it is not whole, or it carries more than tags.
_SPECIAL = re.compile(
    r"error|osprofiler\.(unfinished|start_lost)|(start|stop)\.(osprofiler|host|etype)([.~].*)?|(start|stop)~"
)
#: Tags that name a whole trace's ids otherwise than Jaeger does.
_OWN_IDS = frozenset((names.POINT_ID, names.PARENT_ID))


class _NotPlain(Exception):
    """The trace must be read the long way."""


def of(item: Mapping[str, Any]) -> Trace | None:
    """The outline of *item*, a trace of Jaeger's JSON. None: only the long way can read it."""
    try:
        return _outlined(item)
    except (_NotPlain, *model.UNREADABLE, model.AnotherSpan):
        return None


def _outlined(item: Mapping[str, Any]) -> Trace:
    spans, processes = item["spans"], item.get("processes") or {}
    trace_text = spans[0]["traceID"]
    number = int(trace_text, 16) if _TRACE_ID.fullmatch(trace_text) else 0
    if not number:
        raise _NotPlain
    trace = Trace("")
    places = {name: _process(process) for name, process in processes.items()}
    point_of = _Points(number)
    special: list[Mapping[str, Any]] = []
    for span in spans:
        if span["traceID"] != trace_text:
            raise _NotPlain
        name, is_special = _read_tags(trace, span.get("tags") or ())
        references: Any = span.get("references") or ()
        plain = not references and not span.get("parentSpanID")
        if len(references) == 1:
            reference = references[0]
            plain = reference["refType"] == "CHILD_OF" and reference["traceID"] == trace_text
        if is_special or not plain or span.get("process") or not _is_plain(span):
            special.append(span)
            continue
        operation = span["operationName"]
        node = SpanNode(point_of[span["spanID"]], "", name or operation, operation)
        if node.trace_id in trace.spans:
            raise _NotPlain
        if references:
            node.parent_id, node.reference = point_of[reference["spanID"]], names.CHILD_OF
        node.start_us, node.duration_us, node.has_start = span["startTime"], span["duration"], True
        node.stop_us = node.start_us + node.duration_us
        node.project, node.service, node.host = places.get(span["processID"]) or _process({})
        trace.spans[node.trace_id] = node
    trace.base_id = trace.base_id or ids.uuid_text(number)
    for node in trace.spans.values():
        node.parent_id = node.parent_id or trace.base_id
    for span in special:
        _take(trace, span, processes)
    return model.linked(trace)


class _Points(dict[str, str]):
    """The ids of points by the span ids of Jaeger. Most are asked for several times: a parent by each child."""

    def __init__(self, trace: int) -> None:
        self._prefix = ids.point_prefix(trace)

    def __missing__(self, text: str) -> str:
        if not _SPAN_ID.fullmatch(text):
            raise _NotPlain
        point = self[text] = ids.point_uuid(self._prefix, int(text, 16))
        return point


def _read_tags(trace: Trace, tags: Any) -> tuple[str, bool]:
    """The name that a span has in records, "" if its operation is its name; and whether it is special."""
    name, is_special = "", False
    for tag in [tag for tag in tags if tag["key"] not in _plain_keys]:
        key = tag["key"]
        if key == names.NAME:
            name = str(tag["value"])
        elif key == names.BASE_ID:
            trace.base_id = trace.base_id or str(tag["value"])
        elif key in _OWN_IDS:
            raise _NotPlain
        elif _SPECIAL.fullmatch(key):
            is_special = True
        elif len(_plain_keys) < _MOST_KEYS:
            _plain_keys.add(key)
    return name, is_special


#: Keys of tags that an outline does not need, as far as they were seen.
_plain_keys: set[str] = set()
_MOST_KEYS = 10_000


def _is_plain(span: Mapping[str, Any]) -> bool:
    start_us, duration_us, operation = span["startTime"], span["duration"], span["operationName"]
    return (
        type(start_us) is type(duration_us) is int and duration_us >= 0 and type(operation) is str and bool(operation)
    )


def _process(process: Mapping[str, Any]) -> tuple[str | None, str | None, str | None]:
    """The project, the service and the host of a process, as records of its spans have them."""
    tags = {tag["key"]: tag.get("value") for tag in process.get("tags") or ()}
    service = tags.get("service") or (None if names.VERSION in tags else process.get("serviceName"))
    host = tags.get("hostname") or tags.get("host.name")
    return model.text(tags.get("project")), model.text(service), model.text(host)


def _take(trace: Trace, span: Mapping[str, Any], processes: Mapping[str, Any]) -> None:
    """Add a special span by its records."""
    for record in jaeger_json.span_records(span, processes.get(span["processID"]) or {}, trace.base_id):
        if record["trace_id"] in trace.spans and not trace.spans[record["trace_id"]].payloads:
            raise _NotPlain  # of a plain span
        model.take(trace, record, record)
