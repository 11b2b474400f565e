# SPDX-License-Identifier: Apache-2.0
"""A trace of any store as a JSON file that Jaeger's UI can open.

The spans have the same ids and tags as spans that were sent to Jaeger. So programs that read Jaeger's responses can
also read this file. A large trace has a million tags, so they are written as text directly, which is faster.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any

import osprofiler
from osprofiler.records import ids, names, semconv
from osprofiler.reports import wording
from osprofiler.reports.model import SpanNode, Trace
from osprofiler.reports.views import span_tags

_TYPES = {bool: "bool", int: "int64", float: "float64"}
_KINDS = {names.CHILD_OF: "CHILD_OF", names.FOLLOWS_FROM: "FOLLOWS_FROM"}
#: The service of a span that has none.
NO_SERVICE = "unknown"
_MOST_EXACT = (1 << 53) - 1

_quote = encode_basestring_ascii


def text(trace: Trace) -> Iterator[str]:
    """The file, in pieces."""
    yield '{"data": ['
    yield from item(trace)
    yield f'], "total": {int(bool(trace.spans))}, "limit": 0, "offset": 0, "errors": null}}\n'


def item(trace: Trace, warnings: Sequence[str] = ()) -> Iterator[str]:
    """The trace as an item of a response's ``data``, in pieces. *warnings* are about the whole trace."""
    writer = Writer(trace)
    places = [process(span) for span in trace.spans.values()]
    processes = {place: f"p{i}" for i, place in enumerate(dict.fromkeys(places), 1)}
    yield f'{{"traceID": "{writer.trace_id}", "processes": {{'
    yield ", ".join(f'"{name}": {_described(*place)}' for place, name in processes.items())
    yield f'}}, "warnings": {json.dumps(list(warnings) or None)}, "spans": ['
    for i, (span, place) in enumerate(zip(trace.spans.values(), places, strict=True)):
        yield f"{',' if i else ''}\n{writer.span(span, processes[place])}"
    yield "]}"


def service_name(span: SpanNode) -> str:
    """The name of the span's service in Jaeger."""
    return wording.place(span) or NO_SERVICE


def tag_text(value: Any) -> str:
    """The value of a tag as Jaeger compares it with the text of a search."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return json.dumps(value, default=str)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


class Writer:
    """Writes the spans of one trace."""

    def __init__(self, trace: Trace) -> None:
        number = ids.trace_id_of(trace.base_id)
        self.trace_id = f"{number:032x}"
        self._base_id = trace.base_id
        self._prefix = ids.point_prefix(number)
        # Cached: an id occurs as a span's own id and as the parent id of its children.
        self._number = functools.cache(ids.span_id_of)
        self._odd_base_id = trace.base_id != ids.uuid_text(number)

    def span_id(self, span: SpanNode) -> str:
        """The id of *span* in Jaeger."""
        return f"{self._number(span.trace_id):016x}"

    def references(self, span: SpanNode) -> list[tuple[str, str, str]]:
        """The kind, trace and span of each reference of *span*; the first is the parent, if it has one."""
        references = []
        if span.reference is not None:
            references.append((span.reference, self.trace_id, f"{self._number(span.parent_id):016x}"))
        return references + [
            (link.kind, f"{ids.trace_id_of(link.base_id):032x}", f"{self._number(link.trace_id):016x}")
            for link in span.links
        ]

    def span(self, span: SpanNode, process: str) -> str:
        """*span* as JSON. *process*: the name of its process in this JSON."""
        reference_text = ", ".join(
            f'{{"refType": "{_KINDS.get(kind, "CHILD_OF")}", "traceID": "{trace}", "spanID": "{point}"}}'
            for kind, trace, point in self.references(span)
        )
        logs = ", ".join(f'{{"timestamp": {log.at_us}, "fields": {_tags(log.fields.items())}}}' for log in span.logs)
        missing = wording.missing(span)
        return (
            f'{{"traceID": "{self.trace_id}", "spanID": "{self.span_id(span)}", '
            f'"operationName": {_quote(span.operation)}, "references": [{reference_text}], "flags": 1, '
            f'"startTime": {span.start_us}, "duration": {span.duration_us or 0}, '
            f'"tags": {_tags(self.tags(span))}, "logs": [{logs}], '
            f'"warnings": {json.dumps(missing) if missing else "null"}, "processID": "{process}"}}'
        )

    def tags(self, span: SpanNode) -> list[tuple[str, Any]]:
        """The tags of *span*."""
        own = dict(span.tags)
        if span.error:
            own.setdefault("error", True)
        if not span.finished:
            own[names.UNFINISHED] = True
        if not span.has_start:
            own[names.START_LOST] = True
        tags = [*own.items(), (names.NAME, span.name)]
        if self._odd_base_id:
            tags.append((names.BASE_ID, self._base_id))
        for key, point in (names.POINT_ID, span.trace_id), (names.PARENT_ID, span.parent_id):
            if point not in (ids.point_uuid(self._prefix, self._number(point)), self._base_id, ""):
                tags.append((key, point))
        return tags + span_tags.of_info(span)


def _tags(tags: Iterable[tuple[str, Any]]) -> str:
    """*tags*, or the fields of a log, as a JSON list."""
    return f"[{', '.join([_tag(key, value) for key, value in tags])}]"


def _tag(key: str, value: Any) -> str:
    kind = type(value)
    if kind is str:
        text = _quote(value)
    elif kind is int and abs(value) > _MOST_EXACT:
        text = f'"{value}"'  # as Jaeger does: JavaScript would round the number
    elif kind is float and not math.isfinite(value):
        text = _quote(json.dumps(value))  # JSON has no number for NaN and infinities
    elif isinstance(value, (str, bool, int, float)):
        text = json.dumps(value)
    else:
        text = _quote(json.dumps(value, default=str))
    return f"{_head(key, _TYPES.get(kind, 'string'))}{text}}}"


@functools.lru_cache(4096)
def _head(key: str, kind: str) -> str:
    return f'{{"key": {_quote(key)}, "type": "{kind}", "value": '


def process(span: SpanNode) -> tuple[Any, ...]:
    """The process of *span*, equal for two spans of the same process."""
    more = json.dumps(span.process, default=str) if span.process else "{}"
    return wording.place(span), span.project, span.service, span.host, span.pid, more


def _described(place: str, project: Any, service: Any, host: Any, pid: Any, more: str) -> str:
    tags = _process_tags(project, service, host, pid, json.loads(more))
    return f'{{"serviceName": {_quote(place or NO_SERVICE)}, "tags": {_tags(tags.items())}}}'


def process_tags(span: SpanNode) -> dict[str, Any]:
    """The tags of the process of *span*."""
    return _process_tags(span.project, span.service, span.host, span.pid, span.process)


def _process_tags(project: Any, service: Any, host: Any, pid: Any, theirs: Mapping[str, Any]) -> dict[str, Any]:
    tags = {"project": project, "service": service, "hostname": host, "pid": pid}
    tags = {
        key: value for key, value in tags.items() if value is not None and semconv.RESOURCE_NAMES.get(key) not in theirs
    }
    tags.update(theirs)
    if service is None:
        # With our version among the tags, a reader takes the service from the tags only; so it stays unknown.
        tags.setdefault(names.VERSION, osprofiler.__version__)
    return tags
