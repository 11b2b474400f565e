# SPDX-License-Identifier: Apache-2.0
"""From a trace as Jaeger's query API tells it, and as the Jaeger UI saves it, back to records.

A report of these records equals one of the records that another store would hold of the same spans. Spans of other
tracers become records too: their tags stand where our own tags stand.

What Jaeger does not keep: the order of references. The parent is the first CHILD_OF of the same trace, else the first
FOLLOWS_FROM, as in Jaeger's own UI.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from osprofiler.opentracing_compat import ids
from osprofiler.opentracing_compat.reporting import semconv
from osprofiler.records import RESERVED, START_LOST, UNFINISHED, timestamp, unflatten

_NAME, _BASE_ID, _POINT_ID, _PARENT_ID = (
    "osprofiler.name",
    "osprofiler.base_id",
    "osprofiler.trace_id",
    "osprofiler.parent_id",
)
#: A tag of every process of ours: if that has a service, it is a tag as well.
_VERSION = "osprofiler.version"
_OURS = frozenset((_NAME, _BASE_ID, _POINT_ID, _PARENT_ID, UNFINISHED, START_LOST))
#: What Jaeger or an OpenTelemetry Collector adds by itself.
_THEIRS = ("@jaeger@", "otel.", "internal.span.format", "w3c.tracestate")

_KINDS = {"CHILD_OF": "child_of", "FOLLOWS_FROM": "follows_from"}
_NUMBERS: dict[str, type] = {"int64": int, "float64": float}


def records(trace: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The records of *trace*, an item of the answer's ``data``: two for each span, or the one there was of it.

    A span that makes no sense is passed over. Raises ValueError if *trace* is no such item.
    """
    spans, processes = trace.get("spans"), trace.get("processes")
    if not isinstance(spans, list) or not isinstance(processes, Mapping):
        raise ValueError("not a trace of Jaeger's: it has no 'spans' and 'processes'")
    read = list(_read(spans, processes))
    base_id = next((str(span.tags[_BASE_ID]) for span in read if _BASE_ID in span.tags), None)
    points = {(span.trace, span.number): span.point_id for span in read}
    return [record for span in read for record in span.records(base_id, points)]


def _read(spans: list[Any], processes: Mapping[str, Any]) -> Iterator[_Span]:
    for span in spans:
        try:
            yield _Span(span, span.get("process") or processes.get(span.get("processID")) or {})
        except (KeyError, TypeError, ValueError, AttributeError):
            continue


class _Span:
    """One span, its fields read. Raises KeyError, TypeError, ValueError or AttributeError where they cannot be."""

    def __init__(self, span: Mapping[str, Any], process: Mapping[str, Any]) -> None:
        self.trace, self.number = int(span["traceID"], 16), int(span["spanID"], 16)
        self.operation = str(span["operationName"])
        self.start_us, self.duration_us = int(span["startTime"]), int(span["duration"])
        self.tags = _values(span.get("tags"))
        self.logs = [[int(log["timestamp"]), _values(log.get("fields"))] for log in span.get("logs") or ()]
        self.references = [
            (_KINDS[ref["refType"]], int(ref["traceID"], 16), int(ref["spanID"], 16))
            for ref in span.get("references") or ()
            if ref.get("refType") in _KINDS
        ]
        self.process = _values(process.get("tags"))
        self.service = process.get("serviceName")
        self.point_id = str(self.tags.get(_POINT_ID) or _point_id(self.trace, self.number))

    def records(self, base_id: str | None, points: Mapping[tuple[int, int], str]) -> Iterator[dict[str, Any]]:
        """Its start and stop record, as far as it had them; *points*: the ids of its trace's spans by integers."""
        base_id = base_id or ids.uuid_text(self.trace)
        parent, links = self._parent()
        parent_id = base_id
        if parent is not None:
            parent_id = str(self.tags.get(_PARENT_ID) or points.get(parent[1:]) or _point_id(*parent[1:]))
        start, stop = unflatten(self.tags, "start"), unflatten(self.tags, "stop")
        own = self._own_tags(start)
        host = self.process.get("hostname") or self.process.get("host.name")
        for info in start, stop:
            if host is not None:
                info.setdefault("host", host)
        is_plain = start.get(RESERVED) == {}  # it was made of records that said no more than 4.4.0's
        if is_plain:
            del start[RESERVED]
        elif RESERVED not in start:
            start[RESERVED] = self._said(parent)
        if not is_plain and RESERVED not in stop:
            said = {
                "tags": own,
                "logs": self.logs,
                "links": [
                    [kind, ids.uuid_text(trace), points.get((trace, span)) or _point_id(trace, span)]
                    for kind, trace, span in links
                ],
            }
            if any(said.values()):
                stop[RESERVED] = {key: value for key, value in said.items() if value}
        name = str(self.tags.get(_NAME) or self.operation)
        common = {
            "base_id": base_id,
            "trace_id": self.point_id,
            "parent_id": parent_id,
            "project": self.process.get("project"),
            "service": self.process.get("service") or (None if _VERSION in self.process else self.service),
        }
        if START_LOST not in self.tags:
            yield {**common, "name": f"{name}-start", "timestamp": timestamp(self.start_us), "info": start}
        if UNFINISHED not in self.tags:
            end_us = self.start_us + self.duration_us
            yield {**common, "name": f"{name}-stop", "timestamp": timestamp(end_us), "info": stop}

    def _said(self, parent: tuple[str, int, int] | None) -> dict[str, Any]:
        """What a start record says beyond 4.4.0's."""
        said: dict[str, Any] = {"operation": self.operation}
        pid = self.process.get("pid", self.process.get("process.pid"))
        if isinstance(pid, int):
            said["pid"] = pid
        if parent is not None:
            said["parent"] = parent[0]
        return said

    def _parent(self) -> tuple[tuple[str, int, int] | None, list[tuple[str, int, int]]]:
        """The reference to the parent, and the others."""
        for kind in "child_of", "follows_from":
            for reference in self.references:
                if reference[:2] == (kind, self.trace):
                    others = [other for other in self.references if other is not reference]
                    # A parent field and a reference to the same span: the reference knows the kind.
                    if ("follows_from", *reference[1:]) in others:
                        others.remove(("follows_from", *reference[1:]))
                        return ("follows_from", *reference[1:]), others
                    return reference, others
        return None, self.references

    def _own_tags(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """The tags that were the span's own, without those made of its identity and info when it was sent."""
        tags = {
            key: value
            for key, value in self.tags.items()
            if key not in _OURS and not key.startswith(_THEIRS) and not (_NAME in self.tags and _is_info(key))
        }
        if _NAME in self.tags:
            for key, value in semconv.tags(info):
                # Our instrumentation says "component" and sets its tags itself, but for the statement.
                if tags.get(key) == value and ("component" not in tags or key == "db.statement"):
                    del tags[key]
        return tags


def _is_info(key: str) -> bool:
    return key.startswith(("start.", "stop."))


def _point_id(trace: int, span: int) -> str:
    return ids.point_uuid(ids.point_prefix(trace), span)


def _values(tags: Any) -> dict[str, Any]:
    """Tags or fields as a dictionary; numbers as their types say, which JSON does not."""
    found: dict[str, Any] = {}
    for tag in tags or ():
        convert = _NUMBERS.get(tag.get("type"))
        found[str(tag["key"])] = tag.get("value") if convert is None else convert(tag.get("value"))
    return found
