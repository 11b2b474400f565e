# SPDX-License-Identifier: Apache-2.0
"""From a trace as Jaeger's query API tells it, and as the Jaeger UI saves it, back to records.

A report of these records equals one of the records that another store would hold of the same spans. Spans of other
tracers become records too: their tags stand where our own tags stand.

What Jaeger does not keep: the order of references. The parent is the first CHILD_OF of the same trace, else the first
FOLLOWS_FROM, as in Jaeger's own UI.
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

#: Tags of a process that a record has in places of their own.
_PLACED = frozenset(("project", "service", "hostname", "pid"))
_OURS = frozenset((names.NAME, names.BASE_ID, names.POINT_ID, names.PARENT_ID, names.UNFINISHED, names.START_LOST))
#: What Jaeger or an OpenTelemetry Collector adds by itself.
_THEIRS = ("@jaeger@", "otel.", "internal.span.format", "w3c.tracestate")

_KINDS = {"CHILD_OF": names.CHILD_OF, "FOLLOWS_FROM": names.FOLLOWS_FROM}
# Matched, and not tried: int() takes "0x1", "1_0" and " 1 " too.
_DIGITS = re.compile(r"[0-9a-f]+", re.I | re.A)
_NUMBERS: dict[str, type] = {"int64": int, "float64": float}


# What a span that makes no sense raises while it is read.
_SENSELESS = (KeyError, TypeError, ValueError, AttributeError, OverflowError)

#: A trace's or a span's id as a key: Jaeger's integer, or the text of one that is not Jaeger's.
Id = int | str


def records(trace: Mapping[str, Any], where: str = "Jaeger's JSON") -> list[dict[str, Any]]:
    """The records of *trace*, an item of the answer's ``data``: two for each span, or the one there was of it.

    A span that makes no sense is left out, and one that has the id of another is given one of its own; either is told
    as of *where*. Raises ValueError if *trace* is no such item.
    """
    spans, processes = trace.get("spans"), trace.get("processes") or {}  # each span may have a process of its own
    if not isinstance(spans, list) or not isinstance(processes, Mapping):
        raise ValueError("not a trace of Jaeger's: it has no list of 'spans', or 'processes' that are no object")
    read = list(_read(spans, processes, where))
    base_id = next((str(span.tags[names.BASE_ID]) for span in read if names.BASE_ID in span.tags), None)
    points: dict[tuple[Id, Id], str] = {}
    for span in read:
        points.setdefault((span.trace, span.number), span.point_id)
    return [record for span in _apart(read, where) for record in span.records(base_id, points)]


def _read(spans: list[Any], processes: Mapping[str, Any], where: str) -> Iterator[_Span]:
    for position, span in enumerate(spans, 1):
        try:
            yield _Span(span, span.get("process") or processes.get(span.get("processID")) or {})
        except _SENSELESS as fault:
            name = span.get("spanID") if isinstance(span, Mapping) else None
            lacks = f"it has no {fault.args[0]}" if isinstance(fault, KeyError) else f"it makes no sense: {fault}"
            unreadable.skip(where, f"span {position if name is None else name}", lacks)


def _apart(spans: Iterable[_Span], where: str) -> Iterator[_Span]:
    """*spans*, each with an id of its own; one that is there twice only once."""
    first: dict[str, _Span] = {}
    contents: dict[str, set[str]] = {}  # of the spans that have one id, where there are several
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
    """One span, its fields read. Raises one of ``_SENSELESS`` where they cannot be."""

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
        """Whether it stands for both records of a span; halves of one span have one id."""
        return names.UNFINISHED not in self.tags and names.START_LOST not in self.tags

    def content(self) -> str:
        """All that makes it another span than one with the same id."""
        tags = {key: value for key, value in self.tags.items() if not key.startswith(_THEIRS)}
        what = self.operation, self.start_us, self.duration_us, tags, self.logs, sorted(self.references, key=str)
        return json.dumps([what, self.service, self.process], default=str, sort_keys=True)

    def records(self, base_id: str | None, points: Mapping[tuple[Id, Id], str]) -> Iterator[dict[str, Any]]:
        """Its start and stop record, as far as it had them; *points*: the ids of its trace's spans by Jaeger's."""
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
        is_plain = start.get(names.RESERVED) == {}  # it was made of records that said no more than 4.4.0's
        if is_plain:
            del start[names.RESERVED]
        elif names.RESERVED not in start:
            start[names.RESERVED] = self._said(parent)
        if not is_plain and names.RESERVED not in stop:
            said = {
                "tags": own,
                "logs": self.logs,
                "links": [
                    [kind, _base_id(trace), points.get((trace, span)) or _point_id(trace, span)]
                    for kind, trace, span in links
                ],
            }
            if any(said.values()):
                stop[names.RESERVED] = {key: value for key, value in said.items() if value}
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

    def _said(self, parent: tuple[str, Id, Id] | None) -> dict[str, Any]:
        """What a start record says beyond 4.4.0's."""
        said: dict[str, Any] = {"operation": self.operation}
        pid = self.process.get("pid", self.process.get("process.pid"))
        if isinstance(pid, int):
            said["pid"] = pid
        more = {key: value for key, value in self.process.items() if key not in _PLACED}
        if more:
            said["process"] = more
        if parent is not None:
            said["parent"] = parent[0]
        return said

    def _parent(self) -> tuple[tuple[str, Id, Id] | None, list[tuple[str, Id, Id]]]:
        """The reference to the parent, and the others."""
        for kind in names.CHILD_OF, names.FOLLOWS_FROM:
            for reference in self.references:
                if reference[:2] == (kind, self.trace):
                    others = [other for other in self.references if other is not reference]
                    # A parent field and a reference to the same span: the reference knows the kind.
                    if (names.FOLLOWS_FROM, *reference[1:]) in others:
                        others.remove((names.FOLLOWS_FROM, *reference[1:]))
                        return (names.FOLLOWS_FROM, *reference[1:]), others
                    return reference, others
        return None, self.references

    def _own_tags(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """The tags that were the span's own, without those made of its identity and info when it was sent."""
        made = (*_THEIRS, "start.", "stop.") if names.NAME in self.tags else _THEIRS
        tags = {key: value for key, value in self.tags.items() if key not in _OURS and not key.startswith(made)}
        if names.NAME in self.tags:
            for key, value in semconv.tags(info) if not semconv.SHAPES.isdisjoint(info) else ():
                # Our instrumentation says "component" and sets its tags itself, but for the statement.
                if tags.get(key) == value and ("component" not in tags or key == "db.statement"):
                    del tags[key]
        return tags


def _references(span: Mapping[str, Any]) -> Iterator[tuple[str, Id, Id]]:
    """(kind, trace, span) of each; what has no list of references, as older files, may name its parent."""
    references = span.get("references") or ()
    for ref in references:
        if ref.get("refType") in _KINDS:
            trace = ref.get("traceID") or span["traceID"]
            yield _KINDS[ref["refType"]], _number(trace, 128), _number(ref["spanID"], 64)
    parent = span.get("parentSpanID")
    if not references and parent and str(parent).strip("0"):
        yield names.CHILD_OF, _number(span["traceID"], 128), _number(parent, 64)


def _number(text: Any, bits: int) -> Id:
    """The integer of Jaeger's id; the text itself where it is not one of *bits* in hexadecimal. Raises TypeError."""
    if not isinstance(text, str):
        raise TypeError(f"an id is {type(text).__name__}")
    number = int(text, 16) if _DIGITS.fullmatch(text) else 0
    return number if 0 < number < 1 << bits else text


def _base_id(trace: Id) -> str:
    return trace if isinstance(trace, str) else ids.uuid_text(trace)


def _point_id(trace: Id, span: Id) -> str:
    """The trace point's id: what is not Jaeger's stays as it is, and maps to a number as such ids do."""
    if isinstance(span, str):
        return span
    return ids.point_uuid(ids.point_prefix(ids.trace_id_of(trace) if isinstance(trace, str) else trace), span)


def _values(tags: Any) -> dict[str, Any]:
    """Tags or fields as a dictionary, which some write; numbers as their types say, which JSON does not."""
    if isinstance(tags, Mapping):
        return {str(key): value for key, value in tags.items()}
    found: dict[str, Any] = {}
    for tag in tags or ():
        value, convert = tag.get("value"), _NUMBERS.get(tag.get("type"))
        if convert is not None and type(value) is not convert:
            with contextlib.suppress(TypeError, ValueError):  # not the type that it says: it stays as it is
                value = convert(value)
        found[str(tag["key"])] = value
    return found
