# SPDX-License-Identifier: Apache-2.0
"""The conditions of a search for traces."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from osprofiler.reports import wording
from osprofiler.reports.model import SpanNode, Trace


@dataclass(frozen=True, slots=True)
class Wanted:
    """Conditions for traces. All that are not None must hold. In names ``*``, ``?`` and ``[]`` are wildcards.

    One span of the trace must match *service*, *operation*, *min_duration_us*, *http_status* and *tags*.
    """

    service: str | None = None  # the span's service, or project-service
    operation: str | None = None  # the span's operation, or its name
    min_duration_us: int | None = None  # of the span; without a condition for a span, of the whole trace
    error: bool = False  # the trace has an error
    since_us: int | None = None  # the trace began at this time or later, microseconds since the epoch
    until_us: int | None = None  # the trace began before this time
    limit: int | None = None  # only the newest of the matching traces, at most so many
    http_status: range | None = None  # the status of the span's HTTP request
    tags: tuple[tuple[str, str], ...] = ()  # tags of the span: names, and values with wildcards

    @property
    def needs_reading(self) -> bool:
        """Whether the traces themselves must be read."""
        return self._names_a_span or self.min_duration_us is not None

    @property
    def _names_a_span(self) -> bool:
        conditions = (self.service, self.operation, self.http_status)
        return bool(self.tags) or any(condition is not None for condition in conditions)

    def matches(self, trace: Trace) -> bool:
        """Whether the spans of *trace* match."""
        least_us = self.min_duration_us or 0
        if self.error and not any(span.error for span in trace.spans.values()):
            return False
        if not self._names_a_span:
            return trace.end_us - trace.start_us >= least_us
        return any((span.duration_us or 0) >= least_us and self._is_of(span) for span in trace.spans.values())

    def chooses(self, trace: Trace) -> bool:
        """Whether *trace* matches, its time too; for traces that come from files. The limit does not count here."""
        return self.is_in_time(trace.start_us) and self.matches(trace)

    def is_in_time(self, began_us: int) -> bool:
        """Whether a trace that began at *began_us* matches *since_us* and *until_us*."""
        since_us, until_us = self.since_us, self.until_us
        return (since_us is None or began_us >= since_us) and (until_us is None or began_us < until_us)

    def _is_of(self, span: SpanNode) -> bool:
        return (
            _is_one(self.service, span.service, wording.place(span))
            and _is_one(self.operation, span.operation, span.name)
            and (self.http_status is None or wording.http_status(span) in self.http_status)
            and all(_is_one(value, wording.tag(span, name)) for name, value in self.tags)
        )


def _is_one(pattern: str | None, *names: str | None) -> bool:
    return pattern is None or any(name is not None and fnmatchcase(name, pattern) for name in names)
