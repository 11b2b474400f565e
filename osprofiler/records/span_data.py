# SPDX-License-Identifier: Apache-2.0
"""The protocol of a span for encoders, stores and masking. A tracer makes such spans, and so does ``stored_span``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

#: Bits of a span's flags, as in Jaeger's ``uber-trace-id``.
SAMPLED = 0x01
DEBUG = 0x02


class SpanData(Protocol):
    """A span that has started. It has only numbers, texts and containers of these, so any thread can read it."""

    @property
    def trace_id(self) -> int:
        """1 .. 2**128-1."""

    @property
    def span_id(self) -> int:
        """1 .. 2**64-1."""

    @property
    def parent_span_id(self) -> int:
        """1 .. 2**64-1; 0 without a parent."""

    @property
    def base_id(self) -> str:
        """The trace's id as records show it."""

    @property
    def point_id(self) -> str:
        """The trace point's id as records show it."""

    @property
    def parent_point_id(self) -> str:
        """The parent's id as records show it; the base_id without a parent."""

    @property
    def has_verbatim_ids(self) -> bool:
        """Whether the base_id or the parent's id was received as text, which the integers may not give back."""

    @property
    def flags(self) -> int:
        """SAMPLED, DEBUG; one byte goes on the wire."""

    @property
    def follows(self) -> bool:
        """Whether the reference to the parent is FollowsFrom: the parent does not wait for this span."""

    @property
    def links(self) -> Sequence[tuple[str, int, int]] | None:
        """Further references: (``names.CHILD_OF`` or ``FOLLOWS_FROM``, trace id, span id)."""

    @property
    def name(self) -> str | None:
        """The trace point's name; None for a span that is not a trace point."""

    @property
    def operation_name(self) -> str:
        """The operation as Jaeger shows it."""

    @property
    def start_us(self) -> int:
        """Microseconds since the epoch."""

    @property
    def duration_us(self) -> int | None:
        """Microseconds; None if the span has not ended in this process."""

    def head(self) -> tuple[int, str, int, int, bool]:
        """``trace_id``, ``operation_name``, ``start_us``, ``duration_us`` (0 for None) and ``has_verbatim_ids``.

        A live span computes each of them in a call; this is one call for all of them.
        """

    @property
    def start_info(self) -> Mapping[str, Any] | None:
        """The info that the trace point was started with."""

    @property
    def stop_info(self) -> Mapping[str, Any] | None:
        """The info that the trace point was stopped with."""

    @property
    def own_tags(self) -> Mapping[str, Any]:
        """Tags that were set on the span. Encoders make further tags of its ids and info."""

    @property
    def own_logs(self) -> Sequence[tuple[int, Mapping[str, Any]]]:
        """Logs: (microseconds since the epoch, fields)."""
