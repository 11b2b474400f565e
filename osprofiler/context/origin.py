# SPDX-License-Identifier: Apache-2.0
"""The trace that a flow of control belongs to, as it was received or begun."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osprofiler._runtime import clocks
from osprofiler.context.trace_context import NO_BAGGAGE, NOTHING, SAMPLED, TraceContext
from osprofiler.records import ids

_tick_ns = clocks.tick_ns
_wall_ns = clocks.wall_ns


class Origin:
    """Identity, key, sampling decision and remote parent of the trace of one flow of control.

    ``parent_span_id`` is 0 for a virtual root: the trace is on, but has no span above. Only this field says whether
    there is a parent; ids are never compared for it.
    """

    __slots__ = (
        "asked",
        "baggage",
        "base_id",
        "canonical",
        "epoch_ns",
        "flags",
        "foreign",
        "hmac_key",
        "parent_id",
        "parent_span_id",
        "prefix",
        "trace_id",
        "tracestate",
        "w3c_flags",
    )

    def __init__(self, context: TraceContext, foreign: Mapping[str, Any] | None = None) -> None:
        """The origin that continues *context*. *foreign*: see the field."""
        self.base_id = context.base_id
        self.trace_id = context.trace_id
        self.parent_id = context.point_id
        self.parent_span_id = context.span_id
        self.hmac_key = context.hmac_key  # the real key: plain service code reads it from the profiler
        self.flags = context.flags
        self.baggage = context.baggage
        self.foreign = foreign  # tags for the first span: of the sampler, and ids of foreign traces not continued
        self.tracestate = context.tracestate
        self.w3c_flags = context.w3c_flags
        self.asked = context.asked
        self.prefix = ids.point_prefix(self.trace_id)
        # False: not a UUID, or not in the usual spelling
        self.canonical = self.base_id == ids.point_uuid(self.prefix, self.trace_id & ids.MASK_64)
        # Wall clock minus monotonic clock when this flow joined the trace. With this fixed offset the spans of one
        # flow stay in order even if the wall clock is set meanwhile.
        self.epoch_ns = _wall_ns() - _tick_ns()

    @classmethod
    def from_osprofiler(
        cls,
        hmac_key: str | None,
        base_id: str | None = None,
        parent_id: str | None = None,
        flags: int = SAMPLED,
        asked: frozenset[str] = NOTHING,
    ) -> Origin:
        """See :meth:`TraceContext.from_osprofiler`."""
        return cls(TraceContext.from_osprofiler(hmac_key, base_id, parent_id, flags)._replace(asked=asked))

    @classmethod
    def from_ids(
        cls,
        trace_id: int,
        span_id: int,
        *,
        flags: int = SAMPLED,
        hmac_key: str | None = None,
        baggage: Mapping[str, str] = NO_BAGGAGE,
    ) -> Origin:
        """See :meth:`TraceContext.from_ids`; *span_id* is the remote parent."""
        return cls(TraceContext.from_ids(trace_id, span_id, flags=flags, hmac_key=hmac_key, baggage=baggage))

    @property
    def sampled(self) -> bool:
        return bool(self.flags & SAMPLED)

    def context(
        self, span_id: int, parent_span_id: int, flags: int, baggage: Mapping[str, str], point_id: str | None = None
    ) -> TraceContext:
        """The context that the span *span_id* of this trace (0: the virtual root) passes on; *point_id*: its UUID."""
        if span_id == self.parent_span_id:
            point_id = self.parent_id  # verbatim, as it was received
        return TraceContext(
            self.base_id,
            self.trace_id,
            point_id or ids.point_uuid(self.prefix, span_id) if span_id else None,
            span_id,
            parent_span_id,
            flags,
            self.hmac_key,
            baggage,
            self.tracestate,
            self.w3c_flags,
            self.asked,
        )
