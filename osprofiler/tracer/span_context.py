# SPDX-License-Identifier: Apache-2.0
"""The context of a span, as jaeger-client has it and with the ids of osprofiler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jaeger_client.span_context

from osprofiler.context.origin import Origin
from osprofiler.context.trace_context import TraceContext
from osprofiler.context.values import label, text

_BAGGAGE_CHARS = 1 << 16  # of an item of baggage: far more than a header can hold


class SpanContext(jaeger_client.span_context.SpanContext):
    """Jaeger's span context that also has the *origin* of its trace, with osprofiler's ids.

    *foreign* are ids that are not continued. They become tags of the first span of the trace that begins here. *joins*
    is the trace in which the first span is recorded if the sampler selects it; then there are no ids here.
    """

    __slots__ = ("foreign", "joins", "origin")

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
        joins: TraceContext | None = None,
    ) -> None:
        super().__init__(trace_id, span_id, parent_id, flags, baggage, debug_id)
        self.origin = origin
        self.foreign = foreign
        self.joins = joins

    @property
    def has_trace(self) -> bool:
        """Whether this names a trace. The context of a virtual root does, though it has no span id."""
        return bool(self.trace_id and (self.span_id or self.origin is not None))

    def with_baggage_item(self, key: str, value: str | None) -> SpanContext:
        """A copy with the baggage item *key* set, or removed if *value* is None. Both become text."""
        baggage = dict(self.baggage)
        if value is None:
            baggage.pop(label(key), None)
        else:
            baggage[label(key)] = text(value, _BAGGAGE_CHARS)
        trace_and_span = (self.trace_id, self.span_id, self.parent_id, self.flags)
        return SpanContext(*trace_and_span, baggage, self.debug_id, self.origin, self.foreign, self.joins)
