# SPDX-License-Identifier: Apache-2.0
"""From a span of ours to Jaeger's, without loss: a report built from Jaeger equals one built from any other store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from opentracing import ReferenceType

from osprofiler.opentracing_compat import ids
from osprofiler.opentracing_compat.reporting import semconv
from osprofiler.opentracing_compat.reporting import thrift_codec as thrift
from osprofiler.records import flatten

if TYPE_CHECKING:
    from osprofiler.opentracing_compat.span import Span

#: Tags that say what Jaeger's own fields cannot.
NAME, BASE_ID, PARENT_ID, CUT = "osprofiler.name", "osprofiler.base_id", "osprofiler.parent_id", "osprofiler.cut"

_KINDS = {ReferenceType.CHILD_OF: thrift.CHILD_OF, ReferenceType.FOLLOWS_FROM: thrift.FOLLOWS_FROM}
_TAGS: dict[type, Any] = {
    str: thrift.StringTag,
    int: thrift.LongTag,
    bool: thrift.BoolTag,
    float: thrift.DoubleTag,
}
_SHORTEST = 16
_MARK = "...(cut)"


def tag(key: str, value: Any) -> thrift.Tag:
    """One tag in its own type; what has none of Jaeger's becomes JSON."""
    kind = _TAGS.get(type(value))
    made: thrift.Tag = thrift.StringTag(key, json.dumps(value, default=str)) if kind is None else kind(key, value)
    return made


def convert(span: Span) -> thrift.Span:
    """The thrift structure of a finished span."""
    origin = span.origin
    made = thrift.Span()
    made.traceIdLow = thrift.signed(origin.trace_id)
    made.traceIdHigh = thrift.signed(origin.trace_id >> 64)
    made.spanId = thrift.signed(span.span_id)
    made.operationName = span.operation_name
    made.flags = span.flags & 0xFF
    made.startTime = span.start_us
    made.duration = span.duration_us or 0
    parent = span.parent_span_id
    references: list[thrift.SpanRef] = []
    if parent and span.follows:
        # Jaeger knows a parent field of its own only for ChildOf.
        references.append(thrift.SpanRef(thrift.FOLLOWS_FROM, origin.trace_id, parent))
        parent = 0
    made.parentSpanId = thrift.signed(parent)
    if span.links:
        references += [thrift.SpanRef(_KINDS[kind], trace_id, span_id) for kind, trace_id, span_id in span.links]
    made.references = references or None
    made.tags = [tag(key, value) for key, value in _tags(span)]
    logs = span.raw_logs
    made.logs = (
        [thrift.Log(at_us, [tag(key, value) for key, value in fields.items()]) for at_us, fields in logs]
        if logs
        else None
    )
    return made


def _tags(span: Span) -> Iterator[tuple[str, Any]]:
    own = span.raw_tags
    yield from own.items()
    if span.name is not None:
        yield NAME, span.name
    origin = span.origin
    # Ids that the integers do not give back as they came: no UUIDs, or written otherwise.
    if origin.base_id != ids.uuid_text(origin.trace_id):
        yield BASE_ID, origin.base_id
    parent = span.parent_span_id
    if parent and span.parent_uuid and span.parent_uuid != ids.point_uuid(origin.prefix, parent):
        yield PARENT_ID, span.parent_uuid
    if span.info:
        for key, value in semconv.tags(span.info):
            if key not in own:
                yield key, value
        yield from flatten(span.info, "start")
    if span.stop_info:
        yield from flatten(span.stop_info, "stop")


def process(service: str, tags: Mapping[str, Any]) -> thrift.Process:
    """The structure that says whose spans a batch holds."""
    return thrift.Process(service, [tag(key, value) for key, value in tags.items()])


def cut_to(span: thrift.Span, limit_bytes: int, codec: thrift.Codec) -> bytes | None:
    """Encode *span* within *limit_bytes*: its longest texts are cut and the span marked; None if that is not enough."""
    span.tags.append(thrift.BoolTag(CUT, True))
    data = codec.encode(span)
    longest = limit_bytes
    while len(data) > limit_bytes and longest > _SHORTEST:
        longest //= 2
        _shorten(span.tags, longest)
        for log in span.logs or ():
            _shorten(log.fields, longest)
        data = codec.encode(span)
    if len(data) > limit_bytes:
        # Not few long texts but very many short ones.
        span.logs = None
        span.tags = [thrift.BoolTag(CUT, True), *span.tags[:_SHORTEST]]
        data = codec.encode(span)
    return data if len(data) <= limit_bytes else None


def _shorten(tags: list[thrift.Tag], longest: int) -> None:
    for item in tags:
        if isinstance(item, thrift.StringTag) and len(item.vStr) > longest:
            item.vStr = item.vStr[: max(longest - len(_MARK), 0)] + _MARK
            # What has been cut is no JSON any more.
            item.key = item.key.removesuffix("~")
