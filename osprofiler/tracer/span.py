# SPDX-License-Identifier: Apache-2.0
"""The span of the tracer: it starts, takes tags and logs within its bounds, ends, and goes to the reporter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentracing.ext import tags as ext_tags

from osprofiler._runtime import clocks, guard
from osprofiler.context import faults
from osprofiler.context.origin import Origin
from osprofiler.context.rendering import MAX_DEPTH
from osprofiler.context.trace_context import DEBUG, SAMPLED
from osprofiler.context.values import (
    CONTAINER_CHARS,
    ITEM_CHARS,
    bounded_copy,
    frozen,
    frozen_info,
    label,
    plain_copy,
    text,
)
from osprofiler.records import ids, names
from osprofiler.tracer.readable_span import ReadableSpan

if TYPE_CHECKING:
    from osprofiler.tracer.tracer import Tracer

_TAG_CHARS = 4096  # of a tag whose value is a container

# What a span has until something is set: one of each for all of them.
_NO_TAGS: dict[str, Any] = {}
_NO_LOGS: list[tuple[int, dict[str, Any]]] = []

_tick_ns = clocks.tick_ns
_counted = guard.spans
_new = object.__new__
_new_span_id = ids.new_span_id


class Span(ReadableSpan):
    """One trace point, or one span of any other OpenTracing instrumentation in the process. :func:`begin` makes it."""

    __slots__ = ()

    def __init__(self) -> None:
        raise TypeError("spans are begun by a tracer's start_span")

    def set_operation_name(self, operation_name: str) -> Span:
        self._operation = label(operation_name)
        return self

    def started_at(self, start_time: float) -> None:
        """Move the start to *start_time*, in seconds since the epoch."""
        self.start_tick = int(start_time * 1e6) * 1000 - self.origin.epoch_ns

    # Tags, logs, baggage

    def set_tag(self, key: str, value: Any) -> Span:
        """Set a tag. A value that is not a bool, a number or a short string becomes a bounded string."""
        name = label(key)
        if name == ext_tags.SAMPLING_PRIORITY and not self._set_sampling_priority(value):
            return self
        if self.flags & SAMPLED and self.end_tick is None and (room := self._room_for("tags")):
            plain, chars = frozen(value, room)
            self.chars += chars + len(name) + ITEM_CHARS
            if not isinstance(plain, (str, int, float)):
                plain = text(plain, _TAG_CHARS)
            if self.own_tags is _NO_TAGS:
                self.own_tags = {}
            self.own_tags[name] = plain
        return self

    def set_first_tags(self, tags: Mapping[str, Any] | None) -> None:
        """Set the tags that the span starts with. The first span under a remote parent also gets those of its origin.

        A tag that fails is counted and never raised.
        """
        try:
            if self.origin.foreign and self.parent_uuid is not None:
                tags = {**self.origin.foreign, **(tags or {})}
            if tags:
                self.set_tags(tags)
        except Exception as fault:
            guard.swallow("span.set_tag", fault)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set several tags, in one go if they are as handlers give them."""
        if not self._set_plain_tags(tags):
            for key, value in tags.items():
                self.set_tag(key, value)

    def _set_plain_tags(self, tags: Mapping[str, Any]) -> bool:
        """Set *tags* if they are plain; whether it did. Each span pays for this."""
        if not self.flags & SAMPLED or self.end_tick is not None or ext_tags.SAMPLING_PRIORITY in tags:
            return False
        plain = plain_copy(tags, self.room, MAX_DEPTH)  # a mapping becomes text
        if plain is None or None in plain[0].values():
            return False
        if self.own_tags is _NO_TAGS:
            self.own_tags = plain[0]
        else:
            self.own_tags.update(plain[0])
        self.chars += plain[1]
        return True

    def log_kv(self, key_values: Mapping[str, Any], timestamp: float | None = None) -> Span:
        """Add a log; *timestamp* in seconds since the epoch, None for now."""
        if self.flags & SAMPLED and self.end_tick is None and (room := self._room_for("logs")):
            at_us = (_tick_ns() + self.origin.epoch_ns) // 1000 if timestamp is None else int(timestamp * 1e6)
            fields, chars = frozen_info(key_values, room)
            self.chars += chars + CONTAINER_CHARS
            if self.own_logs is _NO_LOGS:
                self.own_logs = []
            self.own_logs.append((at_us, fields))
        return self

    def set_baggage_item(self, key: str, value: str | None) -> Span:
        """Set a baggage item, or remove it if *value* is None, for this span and spans that start under it later."""
        before = self._baggage.get(key)
        self._baggage = self.context.with_baggage_item(key, value).baggage
        fields: dict[str, Any] = {"event": "baggage", "key": key, "value": value}
        if before:
            fields["override"] = "true"
        return self.log_kv(fields)

    @property
    def room(self) -> int:
        """How many more characters this span may take."""
        return self._tracer.max_span_chars - self.chars

    def _room_for(self, kind: str) -> int:
        """The room for one more tag or log. If there is none, return 0, and count one of *kind* as cut."""
        room = self._tracer.max_span_chars - self.chars
        if room > 0:
            return room
        guard.count(f"cut.{kind}")
        return 0

    def _set_sampling_priority(self, value: Any) -> bool:
        """Apply OpenTracing's ``sampling.priority``. Return whether to keep the tag itself."""
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
        """Record the end of a trace point: its stop info, and the exception that ended its work.

        *fault*, that exception, becomes ``etype`` and ``message`` of the stop info. It marks the span as an error, and
        so does an ``etype`` in *info*. *inner* is the passage of the last exception that ended a point inside this one.
        Return the passage of *fault*, for the next outer point.
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
        """Mark this span as ended by *fault*."""
        if inner is not None and inner.is_of(fault):
            kind, message, raised_in = inner.kind, inner.message, inner.raised_in
            self._fail(kind, message, **{names.RAISED_IN: raised_in})
        else:
            kind, message = faults.class_name(type(fault)), text(fault, faults.MAX_MESSAGE_CHARS)
            raised_in = f"{self.span_id:016x}"
            self._fail(kind, message, stack=faults.stack(fault, message, inner))
        return faults.Passage(fault, kind, message, raised_in)

    def _fail(self, kind: str, message: str | None, /, **more: str) -> None:
        """Mark this span as an error, as the semantic conventions want it."""
        self.set_tag(ext_tags.ERROR, True)
        self.log_kv({"event": "error", "error.kind": kind, "message": message, **more})

    def finish(self, finish_time: float | None = None) -> None:
        """End the span and give it to the reporter. A second call does nothing, and is counted.

        *finish_time* is in seconds since the epoch, None for now.
        """
        if self.end_tick is not None:
            guard.count("fault.finished_twice")
            return
        start = self.start_tick
        end = _tick_ns() if finish_time is None else start + (int(finish_time * 1e6) - self.start_us) * 1000
        self.end_tick = end if end > start else start
        if self.flags & SAMPLED:
            tracer = self._tracer
            try:
                tracer.receiver.report_span(self)
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
    """Start a span now, under *parent*. If that is None or has another origin, the parent is the one of *origin*.

    This is a function, because CPython before 3.13 takes twice the time to call an ``__init__``. It does not call
    jaeger-client's ``__init__``, which makes a lock and a context for each span.
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
        room = tracer.max_span_chars
        span.start_info, span.chars = plain_copy(info, room) or bounded_copy(info, room)  # as frozen_info()
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
