# SPDX-License-Identifier: Apache-2.0
"""The context of a trace at one point, as one value. Points create it; every wire format writes and reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from osprofiler.records import ids
from osprofiler.records.span_data import DEBUG as DEBUG
from osprofiler.records.span_data import SAMPLED as SAMPLED

NO_BAGGAGE: Mapping[str, str] = {}

#: What a request asks for in addition, if it asks for nothing.
NOTHING: frozenset[str] = frozenset()


class TraceContext(NamedTuple):
    """The context of the calling point: a call made under the point continues it."""

    base_id: str  # verbatim, as records and headers show it
    trace_id: int  # 1 .. 2**128-1
    point_id: str | None  # the id of the calling point, verbatim; None for a virtual root
    span_id: int  # of the calling point, 1 .. 2**64-1; 0 for a virtual root
    parent_span_id: int = 0  # of the parent of the calling point; 0 if it has none, or if the wire does not show it
    flags: int = SAMPLED  # one byte, as Jaeger's
    hmac_key: str | None = None  # the key that signs it; written to no wire, except for plain peers
    baggage: Mapping[str, str] = NO_BAGGAGE
    tracestate: str = ""  # of other W3C vendors; passed on unchanged
    w3c_flags: int = 0  # the flags of ``traceparent`` except "sampled"; passed on unchanged
    asked: frozenset[str] = NOTHING  # what its request may show beyond the settings, by the names of ``on_request``

    @classmethod
    def from_osprofiler(
        cls, hmac_key: str | None, base_id: str | None = None, parent_id: str | None = None, flags: int = SAMPLED
    ) -> TraceContext:
        """Make a context from osprofiler's ids. Without *base_id*: a new trace. Parent equal to base: virtual root."""
        if not base_id:
            trace_id = ids.new_trace_id()
            base_id = ids.uuid_text(trace_id)
        else:
            base_id = str(base_id)
            trace_id = ids.trace_id_of(base_id)
        if not parent_id or parent_id == base_id:
            return cls(base_id, trace_id, None, 0, flags=flags, hmac_key=hmac_key)
        parent_id = str(parent_id)
        return cls(base_id, trace_id, parent_id, ids.span_id_of(parent_id), flags=flags, hmac_key=hmac_key)

    @classmethod
    def from_ids(
        cls,
        trace_id: int,
        span_id: int,
        *,
        flags: int = SAMPLED,
        hmac_key: str | None = None,
        baggage: Mapping[str, str] = NO_BAGGAGE,
    ) -> TraceContext:
        """Make a context from integer ids, as wire formats have them. *span_id* 0 is a virtual root."""
        point_id = ids.point_uuid(ids.point_prefix(trace_id), span_id) if span_id else None
        return cls(
            ids.uuid_text(trace_id), trace_id, point_id, span_id, flags=flags, hmac_key=hmac_key, baggage=baggage
        )

    @property
    def sampled(self) -> bool:
        return bool(self.flags & SAMPLED)

    def __repr__(self) -> str:
        """The ids and flags, but not the key."""
        return f"<TraceContext {self.trace_id:032x}:{self.span_id:016x} flags={self.flags:#04x}>"
