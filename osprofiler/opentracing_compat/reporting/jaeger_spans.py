# SPDX-License-Identifier: Apache-2.0
"""From a span of ours to Jaeger's, without loss: a report built from Jaeger equals one built from any other store."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
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
_kind = _TAGS.get
_SHORTEST = 16
_CACHED = 256  # traces at a time
_MARK = "...(cut)"


def tag(key: str, value: Any) -> thrift.Tag:
    """One tag in its own type; what has none of Jaeger's becomes JSON."""
    made: thrift.Tag = _kind(type(value), _json_tag)(key, value)
    return made


def _json_tag(key: str, value: Any) -> thrift.Tag:
    return thrift.StringTag(key, json.dumps(value, default=str))


def convert(span: Span) -> thrift.Span:
    """The thrift structure of a finished span."""
    origin = span.origin
    made = thrift.Span()
    made.traceIdLow, made.traceIdHigh = _trace_id(origin.trace_id)
    made.spanId = thrift.signed(span.span_id)
    made.operationName = span.operation_name
    made.flags = span.flags & 0xFF
    made.startTime = span.start_us
    made.duration = span.duration_us or 0
    parent = span.parent_span_id
    references: list[thrift.SpanRef] | None = None
    if parent and span.follows:
        # Jaeger knows a parent field of its own only for ChildOf.
        references = [thrift.SpanRef(thrift.FOLLOWS_FROM, origin.trace_id, parent)]
        parent = 0
    made.parentSpanId = thrift.signed(parent)
    if span.links:
        links = [thrift.SpanRef(_KINDS[kind], trace_id, span_id) for kind, trace_id, span_id in span.links]
        references = [*(references or ()), *links]
    made.references = references
    made.tags = [_kind(type(value), _json_tag)(key, value) for key, value in tags_of(span)]
    logs = span.raw_logs
    made.logs = (
        [thrift.Log(at_us, [tag(key, value) for key, value in fields.items()]) for at_us, fields in logs]
        if logs
        else None
    )
    return made


@functools.lru_cache(_CACHED)
def _trace_id(trace_id: int) -> tuple[int, int]:
    """The low and the high half as thrift has them; a batch holds many spans of few traces."""
    return thrift.signed(trace_id), thrift.signed(trace_id >> 64)


@functools.lru_cache(_CACHED)
def _given_back(base_id: str, trace_id: int) -> bool:
    """Whether the integer gives the base_id back as it came: else it is no UUID, or written otherwise."""
    return base_id == ids.uuid_text(trace_id)


def tags_of(span: Span) -> list[tuple[str, Any]]:
    """All tags of a span: its own, those that keep what Jaeger's fields do not, and its info's."""
    own = span.raw_tags
    pairs = list(own.items()) if own else []
    if span.name is not None:
        pairs.append((NAME, span.name))
    origin = span.origin
    if not _given_back(origin.base_id, origin.trace_id):
        pairs.append((BASE_ID, origin.base_id))
    parent = span.parent_span_id
    if parent and span.parent_uuid and span.parent_uuid != ids.point_uuid(origin.prefix, parent):
        pairs.append((PARENT_ID, span.parent_uuid))
    info = span.info
    if info:
        if not semconv.SHAPES.isdisjoint(info):
            pairs += [(key, value) for key, value in semconv.tags(info) if key not in own]
        _add_info(pairs, info, "start")
    if span.stop_info:
        _add_info(pairs, span.stop_info, "stop")
    return pairs


def _add_info(pairs: list[tuple[str, Any]], info: Mapping[str, Any], prefix: str) -> None:
    """Add what :func:`osprofiler.records.flatten` gives. Plain names with plain values, which nearly all info is made
    of, are done here at a third of its cost."""
    for key, value in info.items():
        if type(value) in _TAGS and key.isidentifier():
            pairs.append((f"{prefix}.{key}", value))
        else:
            pairs += flatten({key: value}, prefix)


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
