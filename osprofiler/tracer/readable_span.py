# SPDX-License-Identifier: Apache-2.0
"""The fields of a span, and what other code reads of it: encoders, records of osprofiler 4, and users of jaeger-client.

A span holds plain text and numbers only. Contexts, thrift structures, tags and records are made when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jaeger_client
from jaeger_client import thrift
from opentracing.ext import tags as ext_tags

from osprofiler.context.origin import Origin
from osprofiler.context.trace_context import DEBUG, SAMPLED
from osprofiler.records import ids, naming
from osprofiler.tracer.span_context import SpanContext

if TYPE_CHECKING:
    from osprofiler.tracer.tracer import Tracer

_NO_LIMIT = 1 << 20  # of a thrift tag, in characters: values were bounded when they were set


class ReadableSpan(jaeger_client.Span):
    """A span without the methods that change it. It implements :class:`osprofiler.records.span_data.SpanData`.

    Ticks are nanoseconds of the monotonic clock. ``Origin.epoch_ns`` maps them to the time since the epoch.
    """

    __slots__ = (
        "_baggage",
        "_operation",
        "_tracer",
        "chars",
        "end_tick",
        "flags",
        "follows",
        "links",
        "name",
        "origin",
        "own_logs",
        "own_tags",
        "parent_span_id",
        "parent_uuid",
        "span_id",
        "start_info",
        "start_tick",
        "stop_info",
    )

    _tracer: Tracer
    _baggage: Mapping[str, str]
    _operation: str | None  # None: not worked out yet
    origin: Origin
    span_id: int
    parent_span_id: int
    parent_uuid: str | None  # None: made from the parent's ids
    flags: int
    name: str | None  # of the trace point; None for a span that is not a trace point
    start_info: dict[str, Any] | None
    stop_info: dict[str, Any] | None
    chars: int  # how many of the tracer's max_span_chars its text has taken
    follows: bool  # the parent does not wait for this span
    links: list[tuple[str, int, int]] | None  # further references: (type, trace id, span id)
    own_tags: dict[str, Any]  # values: text, numbers and booleans
    own_logs: list[tuple[int, dict[str, Any]]]  # (microseconds since the epoch, fields)
    start_tick: int
    end_tick: int | None  # None: open; points.LEFT_TO_PARENT: another process ends it

    # Ids

    @property
    def point_id(self) -> str:
        """The trace point's UUID."""
        return ids.point_uuid(self.origin.prefix, self.span_id)

    @property
    def parent_point_id(self) -> str:
        """The parent trace point's id as records show it; under a virtual root, the base_id."""
        return self.parent_uuid or ids.point_uuid(self.origin.prefix, self.parent_span_id)

    @property
    def base_id(self) -> str:
        return self.origin.base_id

    @property
    def has_verbatim_ids(self) -> bool:
        """See :class:`SpanData`."""
        return self.parent_uuid is not None or not self.origin.canonical

    @property
    def trace_id(self) -> int:
        return self.origin.trace_id

    @property
    def parent_id(self) -> int | None:
        return self.parent_span_id or None

    @property
    def context(self) -> SpanContext:
        return SpanContext(
            self.origin.trace_id,
            self.span_id,
            self.parent_span_id or None,
            self.flags,
            dict(self._baggage),
            origin=self.origin,
        )

    @property
    def _context(self) -> SpanContext:
        return self.context

    @property
    def baggage(self) -> Mapping[str, str]:
        return self._baggage

    def get_baggage_item(self, key: str) -> str | None:
        return self._baggage.get(key)

    # Operation and times

    @property
    def operation_name(self) -> str:
        """The operation as Jaeger's drop-down shows it. Few values: ids and paths are tags."""
        if self._operation is None:
            self._operation = naming.operation(self.name or "", self.start_info)
        return self._operation

    @property
    def start_us(self) -> int:
        """Microseconds since the epoch."""
        return (self.start_tick + self.origin.epoch_ns) // 1000

    @property
    def duration_us(self) -> int | None:
        """Microseconds; None if the span has not ended in this process."""
        return (self.end_tick - self.start_tick) // 1000 if self.end_tick else None

    def head(self) -> tuple[int, str, int, int, bool]:
        """See :class:`SpanData`."""
        origin, start, end = self.origin, self.start_tick, self.end_tick
        return (
            origin.trace_id,
            self._operation or self.operation_name,
            (start + origin.epoch_ns) // 1000,
            (end - start) // 1000 if end else 0,
            self.parent_uuid is not None or not origin.canonical,
        )

    @property
    def finished(self) -> bool:
        """Whether it has ended, or another process ends it."""
        return self.end_tick is not None

    @property
    def start_time(self) -> float:
        """Seconds since the epoch."""
        return self.start_us / 1e6

    @property
    def end_time(self) -> float | None:
        """Seconds since the epoch; None if the span has not ended in this process."""
        duration_us = self.duration_us
        return None if duration_us is None else (self.start_us + duration_us) / 1e6

    # Tags and logs

    @property
    def tags(self) -> list[Any]:
        """The tags as thrift structures, as in jaeger-client."""
        return [thrift.make_tag(key, value, _NO_LIMIT, _NO_LIMIT) for key, value in self.own_tags.items()]

    @property
    def logs(self) -> list[Any]:
        """The logs as thrift structures, as in jaeger-client."""
        return [thrift.make_log(at_us / 1e6, fields, _NO_LIMIT, _NO_LIMIT) for at_us, fields in self.own_logs]

    def is_sampled(self) -> bool:
        return bool(self.flags & SAMPLED)

    def is_debug(self) -> bool:
        return bool(self.flags & DEBUG)

    def is_rpc(self) -> bool:
        return self.own_tags.get(ext_tags.SPAN_KIND) in (ext_tags.SPAN_KIND_RPC_CLIENT, ext_tags.SPAN_KIND_RPC_SERVER)

    def is_rpc_client(self) -> bool:
        return bool(self.own_tags.get(ext_tags.SPAN_KIND) == ext_tags.SPAN_KIND_RPC_CLIENT)
