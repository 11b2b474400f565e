# SPDX-License-Identifier: Apache-2.0
"""Span and span context: jaeger-client's types, with slots, lazy contexts and bounded values.

A span holds plain text and numbers only. Thrift structures, tags by the semantic conventions and records are made
from it by the reporter.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jaeger_client
import jaeger_client.span_context
from jaeger_client import thrift
from opentracing.ext import tags as ext_tags

from osprofiler import _guard
from osprofiler.opentracing_compat import ids, naming
from osprofiler.opentracing_compat.scope import DEBUG, SAMPLED, Origin
from osprofiler.opentracing_compat.values import Budget, label, text

if TYPE_CHECKING:
    from osprofiler.opentracing_compat.tracer import Tracer

#: How many of the innermost frames the log of an error keeps.
STACK_FRAMES = 20
_TAG_CHARS = 4096  # of a tag that is a container
_ITEM_CHARS = 16  # what a tag or a log costs beside its text

_now_ns = time.time_ns
_tick_ns = time.perf_counter_ns


class SpanContext(jaeger_client.span_context.SpanContext):
    """Jaeger's span context that also knows the trace's osprofiler identity, its *origin*."""

    __slots__ = ("origin",)

    def __init__(
        self,
        trace_id: int,
        span_id: int,
        parent_id: int | None,
        flags: int,
        baggage: dict[str, str] | None = None,
        debug_id: str | None = None,
        origin: Origin | None = None,
    ) -> None:
        super().__init__(trace_id, span_id, parent_id, flags, baggage, debug_id)
        self.origin = origin

    @property
    def has_trace(self) -> bool:
        """Whether it says which trace; a virtual root does, and has no span of its own."""
        return bool(self.trace_id and (self.span_id or self.origin is not None))

    def with_baggage_item(self, key: str, value: str | None) -> SpanContext:
        """A copy with the baggage item *key* set, or removed where *value* is None."""
        baggage = dict(self.baggage)
        if value is None:
            baggage.pop(key, None)
        else:
            baggage[key] = value
        return SpanContext(self.trace_id, self.span_id, self.parent_id, self.flags, baggage, self.debug_id, self.origin)


class Span(jaeger_client.Span):
    """One trace point, or one span of any other OpenTracing instrumentation in the process.

    Times: ``start_us`` is wall-clock microseconds since the epoch; ``duration_us`` comes from the monotonic clock.
    """

    __slots__ = (
        "_baggage",
        "_budget",
        "_is_first",
        "_logs",
        "_operation",
        "_start_tick",
        "_tags",
        "_tracer",
        "duration_us",
        "finished",
        "flags",
        "follows",
        "info",
        "links",
        "name",
        "origin",
        "parent_span_id",
        "parent_uuid",
        "span_id",
        "start_us",
        "stop_info",
    )

    def __init__(
        self,
        tracer: Tracer,
        origin: Origin,
        parent: Span | None,
        name: str | None = None,
        operation: str | None = None,
        info: Mapping[str, Any] | None = None,
        span_id: int | None = None,
        follows: bool = False,
    ) -> None:
        # jaeger-client's own constructor makes a lock and a context a span; both are made here when asked for.
        self._tracer = tracer
        self.origin = origin
        self.span_id = span_id or ids.new_span_id()
        if parent is not None and parent.origin is origin:
            self.parent_span_id: int = parent.span_id
            self.parent_uuid: str | None = None  # computed from the ids when asked for
            self.flags: int = parent.flags
            self._baggage: Mapping[str, str] = parent._baggage
            self._is_first = False
        else:
            self.parent_span_id = origin.parent_span_id
            self.parent_uuid = origin.parent_id or origin.base_id
            self.flags = origin.flags
            self._baggage = origin.baggage
            self._is_first = True
        self.name = name  # the trace point's name, None for a span that is no trace point
        self._operation = operation
        self.info = info  # frozen, as given to start
        self.stop_info: Mapping[str, Any] | None = None  # frozen, as given to stop
        self.follows = follows  # the parent will not wait for this span
        self.links: list[tuple[str, int, int]] | None = None  # further references: (type, trace id, span id)
        self._tags: dict[str, Any] | None = None
        self._logs: list[tuple[int, dict[str, Any]]] | None = None
        self._budget: Budget | None = None
        self.finished = False
        self.duration_us: int | None = None
        self.start_us = _now_ns() // 1000
        self._start_tick = _tick_ns()

    # What stock records and plain OpenTracing code call it

    @property
    def uuid(self) -> str:
        """The trace point's UUID."""
        return ids.point_uuid(self.origin.prefix, self.span_id)

    @property
    def parent_point_id(self) -> str:
        """The parent trace point's id as records show it; the base_id under a virtual root."""
        return self.parent_uuid or ids.point_uuid(self.origin.prefix, self.parent_span_id)

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
    def operation_name(self) -> str:
        """The operation as Jaeger's drop-down shows it: low in cardinality; ids and paths are tags."""
        if self._operation is None:
            self._operation = naming.operation(self.name or "", self.info)
        return self._operation

    def set_operation_name(self, operation_name: str) -> Span:
        self._operation = label(operation_name)
        return self

    def started_at(self, start_time: float) -> None:
        """Move the start to *start_time*, in seconds since the epoch."""
        before_us, self.start_us = self.start_us, int(start_time * 1e6)
        self._start_tick += (self.start_us - before_us) * 1000

    @property
    def start_time(self) -> float:
        """Seconds since the epoch, as jaeger-client has it."""
        return self.start_us / 1e6

    @property
    def end_time(self) -> float | None:
        return None if self.duration_us is None else (self.start_us + self.duration_us) / 1e6

    # Tags, logs, baggage

    def set_tag(self, key: str, value: Any) -> Span:
        """Set a tag; the value becomes a bounded string unless it is a bool, a number or a short string."""
        name = label(key)
        if name == ext_tags.SAMPLING_PRIORITY and not self._set_sampling_priority(value):
            return self
        if self.flags & SAMPLED and not self.finished and self._has_room(len(name), "tags"):
            frozen = self.budget().freeze(value)
            if not isinstance(frozen, (str, int, float)):
                frozen = text(frozen, _TAG_CHARS)
            if self._tags is None:
                self._tags = {}
            self._tags[name] = frozen
        return self

    def set_first_tags(self, tags: Mapping[str, Any] | None) -> None:
        """Set the tags that the span starts with; the first span under a remote parent also gets its origin's."""
        try:
            if self._is_first and self.origin.foreign:
                tags = {**self.origin.foreign, **(tags or {})}
            for key, value in (tags or {}).items():
                self.set_tag(key, value)
        except Exception as fault:
            _guard.swallow("span.set_tag", fault)

    def log_kv(self, key_values: Mapping[str, Any], timestamp: float | None = None) -> Span:
        """Add a log; *timestamp* in seconds since the epoch, now if None."""
        if self.flags & SAMPLED and not self.finished and self._has_room(0, "logs"):
            at_us = _now_ns() // 1000 if timestamp is None else int(timestamp * 1e6)
            fields = self.budget().freeze_info(key_values)
            if self._logs is None:
                self._logs = []
            self._logs.append((at_us, fields))
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

    def budget(self) -> Budget:
        """What this span may still take, in characters."""
        if self._budget is None:
            self._budget = Budget(self._tracer.max_span_chars)
        return self._budget

    def _has_room(self, chars: int, kind: str) -> bool:
        """Pay for one more tag or log; False, counted by *kind*, where the span is full."""
        budget = self.budget()
        if budget.left <= 0:
            _guard.count(f"cut.{kind}")
            return False
        budget.left -= chars + _ITEM_CHARS
        return True

    @property
    def raw_tags(self) -> Mapping[str, Any]:
        """The tags set so far: text, numbers and booleans."""
        return self._tags or {}

    @property
    def raw_logs(self) -> list[tuple[int, dict[str, Any]]]:
        """The logs so far: (microseconds since the epoch, fields)."""
        return self._logs or []

    @property
    def tags(self) -> list[Any]:
        """The tags as thrift structures, as jaeger-client keeps them."""
        return [thrift.make_tag(key, value, 1 << 20, 1 << 20) for key, value in self.raw_tags.items()]

    @property
    def logs(self) -> list[Any]:
        """The logs as thrift structures, as jaeger-client keeps them."""
        return [thrift.make_log(at_us / 1e6, fields, 1 << 20, 1 << 20) for at_us, fields in self.raw_logs]

    def is_sampled(self) -> bool:
        return bool(self.flags & SAMPLED)

    def is_debug(self) -> bool:
        return bool(self.flags & DEBUG)

    def _kind(self) -> Any:
        return self.raw_tags.get(ext_tags.SPAN_KIND)

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
        if priority <= 0:
            self.flags &= ~(SAMPLED | DEBUG)
            return False
        if self.is_debug() or not self._tracer.is_debug_allowed(self.operation_name):
            return False
        self.flags |= SAMPLED | DEBUG
        return True

    # The end

    def fail(self, fault: BaseException, kind: str, message: str) -> None:
        """Mark the span as an error and log *fault* with its stack, by the semantic conventions."""
        self.set_tag(ext_tags.ERROR, True)
        self.log_kv({"event": "error", "error.kind": kind, "message": message, "stack": _stack(fault)})

    def finish(self, finish_time: float | None = None) -> None:
        """End the span and hand it to the reporter, once; *finish_time* in seconds since the epoch."""
        if self.finished:
            _guard.count("fault.finished_twice")
            return
        self.finished = True
        if finish_time is None:
            elapsed_us = (_tick_ns() - self._start_tick) // 1000
            self.duration_us = elapsed_us if elapsed_us > 0 else 0
        else:
            self.duration_us = max(int(finish_time * 1e6) - self.start_us, 0)
        if self.flags & SAMPLED:
            self._tracer.report_span(self)


def _stack(fault: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(type(fault), fault, fault.__traceback__, limit=-STACK_FRAMES))
    except Exception as own:  # the exception is the application's, and so is what it shows of itself
        return f"<no stack: {type(own).__name__}>"
