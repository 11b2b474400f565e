# SPDX-License-Identifier: Apache-2.0
"""All tags of a span, alike on every transport: a report built from Jaeger equals one built from any other store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from osprofiler.records import ids, semconv
from osprofiler.records.record import flatten

if TYPE_CHECKING:
    from osprofiler.tracer.span import Span

#: Tags that say what Jaeger's own fields cannot.
NAME, BASE_ID, PARENT_ID, CUT = "osprofiler.name", "osprofiler.base_id", "osprofiler.parent_id", "osprofiler.cut"


def identity(span: Span) -> Iterator[tuple[str, str]]:
    """Ids as they came, where the integers that spans are sent with do not give them back."""
    origin, parent_uuid = span.origin, span.parent_uuid
    if not origin.canonical:
        yield BASE_ID, origin.base_id
    if parent_uuid and span.parent_span_id and parent_uuid != ids.point_uuid(origin.prefix, span.parent_span_id):
        yield PARENT_ID, parent_uuid


def conventional(span: Span) -> Iterator[tuple[str, Any]]:
    """Tags by the semantic conventions that a point's info speaks of, unless it has set them itself."""
    if span.start_info and not semconv.SHAPES.isdisjoint(span.start_info):
        own = span.own_tags
        yield from ((key, value) for key, value in semconv.tags(span.start_info) if key not in own)


def tags_of(span: Span) -> Iterator[tuple[str, Any]]:
    """All of them: plain values, or what Jaeger and OpenTelemetry have no type for."""
    yield from span.own_tags.items()
    if span.name is not None:
        yield NAME, span.name
    yield from identity(span)
    yield from conventional(span)
    yield from flatten(span.start_info or {}, "start")
    yield from flatten(span.stop_info or {}, "stop")
