# SPDX-License-Identifier: Apache-2.0
"""All tags of a span, the same for every transport, so that a report from Jaeger equals one from another store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from osprofiler.records import ids, semconv
from osprofiler.records.flattening import flatten
from osprofiler.records.names import BASE_ID, NAME, PARENT_ID
from osprofiler.records.span_data import SpanData


def identity(span: SpanData) -> Iterator[tuple[str, str]]:
    """Ids as they were received, if they do not follow from the integer ids of the span."""
    if not span.has_verbatim_ids:
        return
    if span.base_id != ids.uuid_text(span.trace_id):
        yield BASE_ID, span.base_id
    parent_id = span.parent_point_id
    if span.parent_span_id and parent_id != ids.point_uuid(ids.point_prefix(span.trace_id), span.parent_span_id):
        yield PARENT_ID, parent_id


def conventional(span: SpanData) -> Iterator[tuple[str, Any]]:
    """The semantic conventions' tags for the info of *span*, except those that were set on it."""
    if span.start_info and not semconv.SHAPES.isdisjoint(span.start_info):
        own = span.own_tags
        yield from ((key, value) for key, value in semconv.tags(span.start_info) if key not in own)


def tags_of(span: SpanData) -> Iterator[tuple[str, Any]]:
    """All tags of *span*. A value may be of a type that Jaeger and OpenTelemetry do not have."""
    yield from span.own_tags.items()
    if span.name is not None:
        yield NAME, span.name
    yield from identity(span)
    yield from conventional(span)
    yield from flatten(span.start_info or {}, "start")
    yield from flatten(span.stop_info or {}, "stop")
