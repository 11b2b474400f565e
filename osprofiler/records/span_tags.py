# SPDX-License-Identifier: Apache-2.0
"""All tags of a span, alike on every transport: a report built from Jaeger equals one built from any other store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from osprofiler.records import ids, semconv
from osprofiler.records.flattening import flatten
from osprofiler.records.names import BASE_ID, NAME, PARENT_ID
from osprofiler.records.span_data import SpanData


def identity(span: SpanData) -> Iterator[tuple[str, str]]:
    """Ids as they came, where the integers that spans are sent with do not give them back."""
    if not span.has_verbatim_ids:
        return
    if span.base_id != ids.uuid_text(span.trace_id):
        yield BASE_ID, span.base_id
    parent_id = span.parent_point_id
    if span.parent_span_id and parent_id != ids.point_uuid(ids.point_prefix(span.trace_id), span.parent_span_id):
        yield PARENT_ID, parent_id


def conventional(span: SpanData) -> Iterator[tuple[str, Any]]:
    """Tags by the semantic conventions that a point's info speaks of, unless it has set them itself."""
    if span.start_info and not semconv.SHAPES.isdisjoint(span.start_info):
        own = span.own_tags
        yield from ((key, value) for key, value in semconv.tags(span.start_info) if key not in own)


def tags_of(span: SpanData) -> Iterator[tuple[str, Any]]:
    """All of them: plain values, or what Jaeger and OpenTelemetry have no type for."""
    yield from span.own_tags.items()
    if span.name is not None:
        yield NAME, span.name
    yield from identity(span)
    yield from conventional(span)
    yield from flatten(span.start_info or {}, "start")
    yield from flatten(span.stop_info or {}, "stop")
