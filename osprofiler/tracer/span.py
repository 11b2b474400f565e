# SPDX-License-Identifier: Apache-2.0
"""Span and span context: jaeger-client's types, with slots, lazy contexts and bounded values.

A span holds plain text and numbers only. Thrift structures, tags by the semantic conventions and records are made
from it by the reporter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jaeger_client
import jaeger_client.span_context
from jaeger_client import thrift
from opentracing.ext import tags as ext_tags

from osprofiler._runtime import clocks, guard
from osprofiler.context import faults
from osprofiler.context.origin import Origin
from osprofiler.context.trace_context import DEBUG, SAMPLED
from osprofiler.context.values import CONTAINER_CHARS, ITEM_CHARS, frozen, frozen_info, label, text
from osprofiler.records import ids, names, naming

if TYPE_CHECKING:
    from osprofiler.tracer.tracer import Tracer

_TAG_CHARS = 4096  # of a tag that is a container
_BAGGAGE_CHARS = 1 << 16  # of an item of baggage, far beyond what a header carries

# What a span has until something is set: one of each for all of them.
_NO_TAGS: dict[str, Any] = {}
_NO_LOGS: list[tuple[int, dict[str, Any]]] = []

_tick_ns = clocks.tick_ns
_counted = guard.spans
_new = object.__new__
_new_span_id = ids.new_span_id


class SpanContext(jaeger_client.span_context.SpanContext):
    """Jaeger's span context that also knows the trace's osprofiler identity, its *origin*.

    *foreign* are tags for the first span of a trace that begins with this context: ids that are not continued.
    """

    __slots__ = ("foreign", "origin")

    def __init__(
        self,
        trace_id: int,
        span_id: int,
        parent_id: int | None,
        flags: int,
        baggage: dict[str, str] | None = None,
        debug_id: str | None = None,
        origin: Origin | None = None,
        foreign: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(trace_id, span_id, parent_id, flags, baggage, debug_id)
        self.origin = origin
        self.foreign = foreign

    @property
    def has_trace(self) -> bool:
        """Whether it says which trace; a virtual root does, and has no span of its own."""
        return bool(self.trace_id and (self.span_id or self.origin is not None))

    def with_baggage_item(self, key: str, value: str | None) -> SpanContext:
        """A copy with the baggage item *key* set, or removed where *value* is None; both become text."""
        baggage = dict(self.baggage)
        if value is None:
            baggage.pop(label(key), None)
        else:
            baggage[label(key)] = text(value, _BAGGAGE_CHARS)
        ids_ = (self.trace_id, self.span_id, self.parent_id, self.flags)
        return SpanContext(*ids_, baggage, self.debug_id, self.origin, self.foreign)


class Span(jaeger_client.Span):
    """One trace point, or one span of any other OpenTracing instrumentation in the process.

    :func:`begin` makes it. Both its times are of the monotonic clock, in nanoseconds; ``start_us``, microseconds since
    the epoch, comes from when its flow joined the trace (see ``Origin.epoch_ns``), and is worked out by who asks.
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
    _operation: str | None
    origin: Origin
    span_id: int
    parent_span_id: int
    parent_uuid: str | None  # None: the parent's ids say it
    flags: int
    name: str | None  # the trace point's name, None for a span that is no trace point
    start_info: dict[str, Any] | None
    stop_info: dict[str, Any] | None  # as given to stop
    chars: int  # that the span's text has taken of the tracer's max_span_chars
    follows: bool  # the parent will not wait for this span
    links: list[tuple[str, int, int]] | None  # further references: (type, trace id, span id)
    own_tags: dict[str, Any]  # those set so far: text, numbers and booleans
    own_logs: list[tuple[int, dict[str, Any]]]  # those so far: (microseconds since the epoch, fields)
    start_tick: int
    end_tick: int | None  # None: open; points.LEFT_TO_PARENT: another process's to end

    def __init__(self) -> None:
        raise TypeError("spans are begun by a tracer's start_span")

    # What stock records and plain OpenTracing code call it

    @property
    def point_id(self) -> str:
        """The trace point's UUID."""
        return ids.point_uuid(self.origin.prefix, self.span_id)

    @property
    def parent_point_id(self) -> str:
        """The parent trace point's id as records show it; the base_id under a virtual root."""
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
    def baggage(self) -> Mapping[str, str]:
        return self._baggage

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
    def operation_name(self) -> str:
        """The operation as Jaeger's drop-down shows it: low in cardinality; ids and paths are tags."""
        if self._operation is None:
            self._operation = naming.operation(self.name or "", self.start_info)
        return self._operation

    def set_operation_name(self, operation_name: str) -> Span:
        self._operation = label(operation_name)
        return self

    def started_at(self, start_time: float) -> None:
        """Move the start to *start_time*, in seconds since the epoch."""
        self.start_tick = int(start_time * 1e6) * 1000 - self.origin.epoch_ns

    @property
    def start_us(self) -> int:
        """Microseconds since the epoch."""
        return (self.start_tick + self.origin.epoch_ns) // 1000

    @property
    def duration_us(self) -> int | None:
        """Microseconds; None where it has not ended in this process."""
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
        """Whether it has ended, or is not this process's to end."""
        return self.end_tick is not None

    @property
    def start_time(self) -> float:
        """Seconds since the epoch, as jaeger-client has it."""
        return self.start_us / 1e6

    @property
    def end_time(self) -> float | None:
        duration_us = self.duration_us
        return None if duration_us is None else (self.start_us + duration_us) / 1e6

    # Tags, logs, baggage

    def set_tag(self, key: str, value: Any) -> Span:
        """Set a tag; the value becomes a bounded string unless it is a bool, a number or a short string."""
        name = label(key)
        if name == ext_tags.SAMPLING_PRIORITY and not self._set_sampling_priority(value):
            return self
        if self.flags & SAMPLED and self.end_tick is None and self._has_room("tags"):
            kept, chars = frozen(value, self.room)
            self.chars += chars + len(name) + ITEM_CHARS
            if not isinstance(kept, (str, int, float)):
                kept = text(kept, _TAG_CHARS)
            if self.own_tags is _NO_TAGS:
                self.own_tags = {}
            self.own_tags[name] = kept
        return self

    def set_first_tags(self, tags: Mapping[str, Any] | None) -> None:
        """Set the tags that the span starts with; the first span under a remote parent also gets its origin's."""
        try:
            if self.origin.foreign and self.parent_uuid is not None:
                tags = {**self.origin.foreign, **(tags or {})}
            for key, value in (tags or {}).items():
                self.set_tag(key, value)
        except Exception as fault:
            guard.swallow("span.set_tag", fault)

    def log_kv(self, key_values: Mapping[str, Any], timestamp: float | None = None) -> Span:
        """Add a log; *timestamp* in seconds since the epoch, now if None."""
        if self.flags & SAMPLED and self.end_tick is None and self._has_room("logs"):
            at_us = (_tick_ns() + self.origin.epoch_ns) // 1000 if timestamp is None else int(timestamp * 1e6)
            fields, chars = frozen_info(key_values, self.room)
            self.chars += chars + CONTAINER_CHARS
            if self.own_logs is _NO_LOGS:
                self.own_logs = []
            self.own_logs.append((at_us, fields))
        return self

    def set_baggage_item(self, key: str, value: str | None) -> Span:
        """Set (or with None remove) a baggage item for this span and the spans under it that start later."""
        before = self._baggage.get(key)
        self._baggage = self.context.with_baggage_item(key, value).baggage
        fields: dict[str, Any] = {"event": "baggage", "key": key, "value": value}
        if before:
            fields["override"] = "true"
        return self.log_kv(fields)

    def get_baggage_item(self, key: str) -> str | None:
        return self._baggage.get(key)

    @property
    def room(self) -> int:
        """How many characters this span may still take."""
        return self._tracer.max_span_chars - self.chars

    def _has_room(self, kind: str) -> bool:
        """Whether one more tag or log may be taken; if not, that is counted by *kind*."""
        if self.room > 0:
            return True
        guard.count(f"cut.{kind}")
        return False

    @property
    def tags(self) -> list[Any]:
        """The tags as thrift structures, as jaeger-client keeps them."""
        return [thrift.make_tag(key, value, 1 << 20, 1 << 20) for key, value in self.own_tags.items()]

    @property
    def logs(self) -> list[Any]:
        """The logs as thrift structures, as jaeger-client keeps them."""
        return [thrift.make_log(at_us / 1e6, fields, 1 << 20, 1 << 20) for at_us, fields in self.own_logs]

    def is_sampled(self) -> bool:
        return bool(self.flags & SAMPLED)

    def is_debug(self) -> bool:
        return bool(self.flags & DEBUG)

    def _kind(self) -> Any:
        return self.own_tags.get(ext_tags.SPAN_KIND)

    def is_rpc(self) -> bool:
        return self._kind() in (ext_tags.SPAN_KIND_RPC_CLIENT, ext_tags.SPAN_KIND_RPC_SERVER)

    def is_rpc_client(self) -> bool:
        return bool(self._kind() == ext_tags.SPAN_KIND_RPC_CLIENT)

    def _set_sampling_priority(self, value: Any) -> bool:
        """Follow OpenTracing's ``sampling.priority``; whether the tag itself is to be kept."""
        try:
            priority = int(value)
        except (TypeError, ValueError):
            return False
        is_open = self.end_tick is None
        if priority <= 0:
            if is_open and self.flags & SAMPLED:
                _counted.ended += 1
                guard.count("dropped.unsampled")
            self.flags &= ~(SAMPLED | DEBUG)
            return False
        if self.is_debug() or not self._tracer.is_debug_allowed(self.operation_name):
            return False
        if is_open and not self.flags & SAMPLED:
            _counted.started += 1
        self.flags |= SAMPLED | DEBUG
        return True

    # The end

    def conclude(
        self, info: Mapping[str, Any] | None, fault: BaseException | None, inner: faults.Passage | None = None
    ) -> faults.Passage | None:
        """Take what a trace point is stopped with.

        *fault* is the exception that ended its work; it becomes ``etype`` and ``message`` of the stop info. It, or an
        ``etype`` in *info*, marks the span as an error. *inner* is the last exception that a point inside was ended
        by; what is returned is the same for the points around this one.
        """
        passage = None
        if fault is not None:
            passage = self._raised(fault, inner)
            info = {**(info or {}), "etype": passage.kind, "message": passage.message}
        self.stop_info, chars = frozen_info(info, self.room)
        self.chars += chars
        if fault is None and self.stop_info.get("etype"):
            self._fail(self.stop_info["etype"], self.stop_info.get("message"))
        return passage

    def _raised(self, fault: BaseException, inner: faults.Passage | None) -> faults.Passage:
        """Record *fault* as what ended this span."""
        if inner is not None and inner.is_of(fault):
            kind, message, span_id = inner.kind, inner.message, inner.span_id
            self._fail(kind, message, **{names.RAISED_IN: f"{span_id:016x}"})
        else:
            kind, message, span_id = faults.class_name(type(fault)), text(fault, faults.MAX_MESSAGE_CHARS), self.span_id
            self._fail(kind, message, stack=faults.stack(fault, message, inner))
        return faults.Passage(fault, kind, message, span_id)

    def _fail(self, kind: str, message: str | None, /, **more: str) -> None:
        """Mark an error by the semantic conventions."""
        self.set_tag(ext_tags.ERROR, True)
        self.log_kv({"event": "error", "error.kind": kind, "message": message, **more})

    def finish(self, finish_time: float | None = None) -> None:
        """End the span and hand it to the reporter, once; *finish_time* in seconds since the epoch."""
        if self.end_tick is not None:
            guard.count("fault.finished_twice")
            return
        start = self.start_tick
        end = _tick_ns() if finish_time is None else start + (int(finish_time * 1e6) - self.start_us) * 1000
        self.end_tick = end if end > start else start
        if self.flags & SAMPLED:
            tracer = self._tracer
            try:
                tracer.reporter.report_span(self)
            except Exception as fault:
                _counted.ended += 1
                guard.count("dropped.fault")
                guard.swallow("report", fault)
            if tracer.keeps_metrics:
                with guard.Harmless("metrics"):
                    tracer.metrics.spans_finished(1)


def begin(
    tracer: Tracer,
    origin: Origin,
    parent: Span | None,
    name: str | None = None,
    operation: str | None = None,
    info: Mapping[str, Any] | None = None,
    span_id: int | None = None,
    follows: bool = False,
) -> Span:
    """A span that starts now, under *parent* or, without one of the same flow, under what *origin* knows.

    It is no ``__init__``, since CPython calls a function in half the time; nor is jaeger-client's called, which makes a
    lock and a context: these are made when they are asked for.
    """
    span = _new(Span)
    span._tracer = tracer
    span.origin = origin
    span.span_id = span_id or _new_span_id()
    if parent is not None and parent.origin is origin:
        span.parent_span_id = parent.span_id
        span.parent_uuid = None
        span.flags = flags = parent.flags
        span._baggage = parent._baggage
    else:
        span.parent_span_id = origin.parent_span_id
        span.parent_uuid = origin.parent_id or origin.base_id
        span.flags = flags = origin.flags
        span._baggage = origin.baggage
    span.name = name
    span._operation = operation
    if info is None:
        span.start_info = None
        span.chars = 0
    else:
        span.start_info, span.chars = frozen_info(info, tracer.max_span_chars)
    span.stop_info = None
    span.follows = follows
    span.links = None
    span.own_tags = _NO_TAGS
    span.own_logs = _NO_LOGS
    span.end_tick = None
    if flags & SAMPLED:
        _counted.started += 1
    span.start_tick = _tick_ns()
    return span
