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
from osprofiler.records.record import FIRST_US, LAST_US
from osprofiler.reports import model
from osprofiler.reports.model import NOTHING, Link, SpanNode, Trace

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
    if not spans:
        raise _NotPlain
    trace_text = spans[0]["traceID"]
    number = int(trace_text, 16) if _TRACE_ID.fullmatch(trace_text) else 0
    if not number:
        raise _NotPlain
    trace = Trace("")
    nodes = trace.spans
    places = {name: _process(process) for name, process in processes.items()}
    point_of = _Points(number)
    special: list[Mapping[str, Any]] = []
    for span in spans:
        if span["traceID"] != trace_text:
            raise _NotPlain
        name, is_special = _read_tags(trace, span.get("tags") or ())
        start_us, duration_us, operation = span["startTime"], span["duration"], span["operationName"]
        if (
            is_special
            or not (type(start_us) is type(duration_us) is int and duration_us >= 0)
            or not FIRST_US <= start_us <= start_us + duration_us <= LAST_US
            or not (type(operation) is str and operation)
            or span.get("process")
            or not (references := _references(span, trace_text))
        ):
            special.append(span)
            continue
        kind, parent, others = references
        point = point_of[span["spanID"]]
        if point in nodes:
            raise _NotPlain
        project, service, host = places.get(span["processID"]) or _process({})
        nodes[point] = SpanNode(
            point,
            point_of[parent] if parent else "",
            name or operation,
            operation,
            start_us,
            duration_us,
            start_us + duration_us,
            has_start=True,
            reference=kind,
            project=project,
            service=service,
            host=host,
            process=NOTHING,
            start_info=NOTHING,
            stop_info=NOTHING,
            tags=NOTHING,
            logs=(),
            links=[Link(other, ids.uuid_text(number), point_of[span_id]) for other, span_id in others],
        )
    trace.base_id = trace.base_id or ids.uuid_text(number)
    for node in nodes.values():
        node.parent_id = node.parent_id or trace.base_id
    for span in special:
        _take(trace, span, processes)
    return model.linked(trace)


class _Points(dict[str, str]):
    """The ids of points by the span ids of Jaeger. Most are asked for several times: a parent by each child."""

    def __init__(self, trace: int) -> None:
        self._prefix = ids.point_prefix(trace)

    def __missing__(self, text: str) -> str:
        if not _SPAN_ID.fullmatch(text) or not (number := int(text, 16)):
            raise _NotPlain
        point = self[text] = ids.point_uuid(self._prefix, number)
        return point


#: The kind of the reference to the parent and the parent's span id, and the same of each other reference.
_References = tuple[str | None, str, list[tuple[str, str]]]

_NO_REFERENCES: _References = None, "", []


def _references(span: Mapping[str, Any], trace_text: str) -> _References | None:
    """The references of *span*. None: only the long way can read them."""
    references = span.get("references")
    if not references:
        return None if span.get("parentSpanID") else _NO_REFERENCES
    found = []
    for reference in references:
        kind = _KINDS.get(reference["refType"])
        if kind is None or reference["traceID"] != trace_text:
            return None
        found.append((kind, reference["spanID"]))
    if len(found) > 1:
        if len({span_id for _, span_id in found}) < len(found):
            return None  # two references to one span
        # The parent is the first CHILD_OF, else the first FOLLOWS_FROM.
        found.insert(0, found.pop(next((i for i, (kind, _) in enumerate(found) if kind == names.CHILD_OF), 0)))
    (kind, parent), *others = found
    return kind, parent, others


_KINDS = {"CHILD_OF": names.CHILD_OF, "FOLLOWS_FROM": names.FOLLOWS_FROM}


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
