# SPDX-License-Identifier: Apache-2.0
"""Makes Jaeger's thrift structures of a span, encoded for a packet. A span that does not fit is cut, and tagged so."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from osprofiler.delivery import thrift_compact as thrift
from osprofiler.delivery.encoding import TooLarge
from osprofiler.records import names
from osprofiler.records.span_data import SpanData
from osprofiler.records.span_tags import tags_of

_KINDS = {names.CHILD_OF: thrift.CHILD_OF, names.FOLLOWS_FROM: thrift.FOLLOWS_FROM}
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
    """A tag of the type of *value*. A value of another type than Jaeger's becomes JSON."""
    made: thrift.Tag = _kind(type(value), _json_tag)(key, value)
    return made


def _json_tag(key: str, value: Any) -> thrift.Tag:
    return thrift.StringTag(key, json.dumps(value, default=str))


def convert(span: SpanData) -> thrift.Span:
    """The thrift structure of a finished span."""
    trace_id, operation, start_us, duration_us, _ = span.head()
    made = thrift.Span()
    made.traceIdLow, made.traceIdHigh = _trace_id(trace_id)
    made.spanId = thrift.signed(span.span_id)
    made.operationName = operation
    made.flags = span.flags & 0xFF
    made.startTime = start_us
    made.duration = duration_us
    parent = span.parent_span_id
    references: list[thrift.SpanRef] | None = None
    if parent and span.follows:
        # Jaeger's own parent field means ChildOf.
        references = [thrift.SpanRef(thrift.FOLLOWS_FROM, trace_id, parent)]
        parent = 0
    made.parentSpanId = thrift.signed(parent)
    if span.links:
        links = [thrift.SpanRef(_KINDS[kind], trace_id, span_id) for kind, trace_id, span_id in span.links]
        references = [*(references or ()), *links]
    made.references = references
    made.tags = [_kind(type(value), _json_tag)(key, value) for key, value in tags_of(span)]
    logs = span.own_logs
    made.logs = (
        [thrift.Log(at_us, [tag(key, value) for key, value in fields.items()]) for at_us, fields in logs]
        if logs
        else None
    )
    return made


@functools.lru_cache(_CACHED)
def _trace_id(trace_id: int) -> tuple[int, int]:
    """The low and the high half as thrift's integers. Cached: a batch holds many spans of few traces."""
    return thrift.signed(trace_id), thrift.signed(trace_id >> 64)


def process(service: str, tags: Mapping[str, Any]) -> bytes:
    """The encoded process of a batch: its service name and tags."""
    return thrift.encode(thrift.Process(service, [tag(key, value) for key, value in tags.items()]))


def encode(span: SpanData, limit_bytes: int) -> bytes:
    """Encode a finished span within *limit_bytes*; its longest texts are cut if necessary.

    Raises TooLarge if that is not enough, and exceptions of the codec for a value that it cannot encode.
    """
    made = convert(span)
    data = thrift.encode(made)
    return data if len(data) <= limit_bytes else cut_to(made, limit_bytes)


def cut_to(span: thrift.Span, limit_bytes: int) -> bytes:
    """Encode *span* within *limit_bytes*: cut its longest texts, and tag it as cut. Raises TooLarge."""
    span.tags.append(thrift.BoolTag(names.CUT, True))
    data = thrift.encode(span)
    longest = limit_bytes
    while len(data) > limit_bytes and longest > _SHORTEST:
        longest //= 2
        _shorten(span.tags, longest)
        for log in span.logs or ():
            _shorten(log.fields, longest)
        data = thrift.encode(span)
    if len(data) > limit_bytes:
        # It does not have a few long texts but very many short ones.
        span.logs = None
        span.tags = [thrift.BoolTag(names.CUT, True), *span.tags[:_SHORTEST]]
        data = thrift.encode(span)
    if len(data) > limit_bytes:
        raise TooLarge
    return data


def _shorten(tags: list[thrift.Tag], longest: int) -> None:
    for item in tags:
        if isinstance(item, thrift.StringTag) and len(item.vStr) > longest:
            item.vStr = item.vStr[: max(longest - len(_MARK), 0)] + _MARK
            # JSON that was cut cannot be read as JSON.
            item.key = item.key.removesuffix("~")
