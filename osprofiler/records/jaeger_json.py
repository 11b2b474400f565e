# SPDX-License-Identifier: Apache-2.0
"""Makes records of a trace in Jaeger's JSON, which the query API returns and the Jaeger UI saves.

A report of these records equals a report of the records in any other store of the same spans. Spans of other tracers
become records too.

Jaeger does not keep the order of references. The parent is the first CHILD_OF of the same trace, otherwise the first
FOLLOWS_FROM, as in Jaeger's UI.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from osprofiler.records import ids, names, semconv, unreadable
from osprofiler.records.flattening import unflatten
from osprofiler.records.record import another_id, timestamp

#: Tags of a process for which a record has keys of their own.
_RECORD_KEYS = frozenset(("project", "service", "hostname", "pid"))
_OURS = frozenset((names.NAME, names.BASE_ID, names.POINT_ID, names.PARENT_ID, names.UNFINISHED, names.START_LOST))
#: Tags that Jaeger or an OpenTelemetry Collector adds by itself.
_THEIRS = ("@jaeger@", "otel.", "internal.span.format", "w3c.tracestate")

_KINDS = {"CHILD_OF": names.CHILD_OF, "FOLLOWS_FROM": names.FOLLOWS_FROM}
# A pattern is needed: int() also accepts "0x1", "1_0" and " 1 ".
_DIGITS = re.compile(r"[0-9a-f]+", re.I | re.A)
_NUMBERS: dict[str, type] = {"int64": int, "float64": float}


# The exceptions of reading a malformed span.
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, OverflowError)

#: The id of a trace or a span, as a key: Jaeger's integer, or the text of an id that is not Jaeger's.
Id = int | str


def records(trace: Mapping[str, Any], where: str = "Jaeger's JSON") -> list[dict[str, Any]]:
    """The records of *trace*, an item of the response's ``data``: two for each span, or one if the other was lost.

    A malformed span is left out. A span with the id of another one gets an id of its own. Both are reported (see
    ``unreadable``), with *where* as their place. Raises ValueError if *trace* is not such an item.
    """
    items, processes = trace.get("spans"), trace.get("processes") or {}  # a span may also have its own "process"
    if not isinstance(items, list) or not isinstance(processes, Mapping):
        raise ValueError("not a trace of Jaeger: 'spans' is not a list, or 'processes' is not an object")
    spans = list(_read(items, processes, where))
    base_id = next((str(span.tags[names.BASE_ID]) for span in spans if names.BASE_ID in span.tags), None)
    points: dict[tuple[Id, Id], str] = {}
    for span in spans:
        points.setdefault((span.trace, span.number), span.point_id)
    return [record for span in _distinct(spans, where) for record in span.records(base_id, points)]


def span_records(span: Mapping[str, Any], process: Mapping[str, Any], base_id: str) -> Iterator[dict[str, Any]]:
    """The records of one *span* of the trace *base_id*, whose ids are all of Jaeger. Raises if it is malformed."""
    return _Span(span, span.get("process") or process).records(base_id, {})


def _read(items: list[Any], processes: Mapping[str, Any], where: str) -> Iterator[_Span]:
    for position, item in enumerate(items, 1):
        try:
            yield _Span(item, item.get("process") or processes.get(item.get("processID")) or {})
        except _MALFORMED as fault:
            name = item.get("spanID") if isinstance(item, Mapping) else None
            why = f"it has no {fault.args[0]}" if isinstance(fault, KeyError) else f"it is malformed: {fault}"
            unreadable.skip(where, f"span {position if name is None else name}", why)


def _distinct(spans: Iterable[_Span], where: str) -> Iterator[_Span]:
    """*spans* without repetitions. Different spans with the same id get different ids."""
    first: dict[str, _Span] = {}
    contents: dict[str, set[str]] = {}  # of spans with the same id
    for span in spans:
        point_id = span.point_id
        other = first.setdefault(point_id, span)
        if other is not span:
            known = contents.setdefault(point_id, {other.content()})
            if span.content() in known:
                continue
            known.add(span.content())
            if span.is_whole and other.is_whole:
                span.point_id = another_id(point_id, len(known))
                unreadable.note(where, f"two spans have the id {point_id}; {span.operation!r} becomes {span.point_id}")
        yield span


class _Span:
    """The fields of one span. Raises one of ``_MALFORMED`` if they cannot be read."""

    def __init__(self, span: Mapping[str, Any], process: Mapping[str, Any]) -> None:
        self.trace, self.number = _number(span["traceID"], 128), _number(span["spanID"], 64)
        self.operation = "" if span["operationName"] is None else str(span["operationName"])
        self.start_us, self.duration_us = int(span["startTime"]), int(span["duration"])
        self.tags = _values(span.get("tags"))
        self.logs = [[int(log["timestamp"]), _values(log.get("fields"))] for log in span.get("logs") or ()]
        self.references = list(_references(span))
        self.process = _values(process.get("tags"))
        self.service = process.get("serviceName")
        self.point_id = str(self.tags.get(names.POINT_ID) or _point_id(self.trace, self.number))

    @property
    def is_whole(self) -> bool:
        """Whether this has both records of a span. Two halves of one span have the same id."""
        return names.UNFINISHED not in self.tags and names.START_LOST not in self.tags

    def content(self) -> str:
        """Its content as text. Spans with the same id and content are the same span."""
        tags = {key: value for key, value in self.tags.items() if not key.startswith(_THEIRS)}
        own = self.operation, self.start_us, self.duration_us, tags, self.logs, sorted(self.references, key=str)
        return json.dumps([own, self.service, self.process], default=str, sort_keys=True)

    def records(self, base_id: str | None, points: Mapping[tuple[Id, Id], str]) -> Iterator[dict[str, Any]]:
        """The start and stop record, if it had them. *points* are the ids of the trace's points by Jaeger's ids."""
        base_id = base_id or _base_id(self.trace)
        parent, links = self._parent()
        parent_id = base_id
        if parent is not None:
            parent_id = str(self.tags.get(names.PARENT_ID) or points.get(parent[1:]) or _point_id(*parent[1:]))
        start, stop = unflatten(self.tags, "start"), unflatten(self.tags, "stop")
        own = self._own_tags(start)
        host = self.process.get("hostname") or self.process.get("host.name")
        for info in start, stop:
            if host is not None:
                info.setdefault("host", host)
        is_plain = start.get(names.RESERVED) == {}  # the span was made of records without this key
        if is_plain:
            del start[names.RESERVED]
        elif names.RESERVED not in start:
            start[names.RESERVED] = self._start_extra(parent)
        if not is_plain and names.RESERVED not in stop:
            stop_extra = {
                "tags": own,
                "logs": self.logs,
                "links": [
                    [kind, _base_id(trace), points.get((trace, span)) or _point_id(trace, span)]
                    for kind, trace, span in links
                ],
            }
            if any(stop_extra.values()):
                stop[names.RESERVED] = {key: value for key, value in stop_extra.items() if value}
        name = str(self.tags.get(names.NAME) or self.operation)
        common = {
            "base_id": base_id,
            "trace_id": self.point_id,
            "parent_id": parent_id,
            "project": self.process.get("project"),
            "service": self.process.get("service") or (None if names.VERSION in self.process else self.service),
        }
        if names.START_LOST not in self.tags:
            yield {**common, "name": f"{name}-start", "timestamp": timestamp(self.start_us), "info": start}
        if names.UNFINISHED not in self.tags:
            end_us = self.start_us + self.duration_us
            yield {**common, "name": f"{name}-stop", "timestamp": timestamp(end_us), "info": stop}

    def _start_extra(self, parent: tuple[str, Id, Id] | None) -> dict[str, Any]:
        """The content of the reserved key in the start record."""
        extra: dict[str, Any] = {"operation": self.operation}
        pid = self.process.get("pid", self.process.get("process.pid"))
        if isinstance(pid, int):
            extra["pid"] = pid
        more = {key: value for key, value in self.process.items() if key not in _RECORD_KEYS}
        if more:
            extra["process"] = more
        if parent is not None:
            extra["parent"] = parent[0]
        return extra

    def _parent(self) -> tuple[tuple[str, Id, Id] | None, list[tuple[str, Id, Id]]]:
        """The reference to the parent, and the other references."""
        for kind in names.CHILD_OF, names.FOLLOWS_FROM:
            for reference in self.references:
                if reference[:2] == (kind, self.trace):
                    others = [other for other in self.references if other is not reference]
                    # A parent field, and a reference to the same span: the reference has the kind.
                    if (names.FOLLOWS_FROM, *reference[1:]) in others:
                        others.remove((names.FOLLOWS_FROM, *reference[1:]))
                        return (names.FOLLOWS_FROM, *reference[1:]), others
                    return reference, others
        return None, self.references

    def _own_tags(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """The tags that were set on the span, without those that encoders made of its ids and info."""
        not_own = (*_THEIRS, "start.", "stop.") if names.NAME in self.tags else _THEIRS
        tags = {key: value for key, value in self.tags.items() if key not in _OURS and not key.startswith(not_own)}
        if names.NAME in self.tags:
            for key, value in semconv.tags(info) if not semconv.SHAPES.isdisjoint(info) else ():
                # Our instrumentation sets "component" and these tags itself, except for the statement.
                if tags.get(key) == value and ("component" not in tags or key == "db.statement"):
                    del tags[key]
        return tags


def _references(span: Mapping[str, Any]) -> Iterator[tuple[str, Id, Id]]:
    """(kind, trace, span) of each reference. A span of an older file has only the id of its parent."""
    references = span.get("references") or ()
    for reference in references:
        if reference.get("refType") in _KINDS:
            trace = reference.get("traceID") or span["traceID"]
            yield _KINDS[reference["refType"]], _number(trace, 128), _number(reference["spanID"], 64)
    parent = span.get("parentSpanID")
    if not references and parent and str(parent).strip("0"):
        yield names.CHILD_OF, _number(span["traceID"], 128), _number(parent, 64)


def _number(text: Any, bits: int) -> Id:
    """The integer of an id of Jaeger, *bits* long and in hexadecimal; of another id the text. Raises TypeError."""
    if not isinstance(text, str):
        raise TypeError(f"an id is {type(text).__name__}")
    number = int(text, 16) if _DIGITS.fullmatch(text) else 0
    return number if 0 < number < 1 << bits else text


def _base_id(trace: Id) -> str:
    return trace if isinstance(trace, str) else ids.uuid_text(trace)


def _point_id(trace: Id, span: Id) -> str:
    """The id of the trace point. An id that is not Jaeger's stays text."""
    if isinstance(span, str):
        return span
    return ids.point_uuid(ids.point_prefix(ids.trace_id_of(trace) if isinstance(trace, str) else trace), span)


def _values(tags: Any) -> dict[str, Any]:
    """Tags or fields as a dictionary. A number has the type that its tag names; JSON may have another one."""
    if isinstance(tags, Mapping):  # some tracers write them so
        return {str(key): value for key, value in tags.items()}
    values: dict[str, Any] = {}
    for tag in tags or ():
        value, convert = tag.get("value"), _NUMBERS.get(tag.get("type"))
        if convert is not None and type(value) is not convert:
            with contextlib.suppress(TypeError, ValueError):  # it is not of its type, and stays as it is
                value = convert(value)
        values[str(tag["key"])] = value
    return values
