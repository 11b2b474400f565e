# SPDX-License-Identifier: Apache-2.0
"""What a tracer hands its spans to: the reporter's interface and the two that keep no queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jaeger_client.reporter import NullReporter as JaegerReporter

from osprofiler._runtime import guard
from osprofiler.context import scope
from osprofiler.delivery import masking
from osprofiler.delivery.queue import QueuedSpan
from osprofiler.records import span_records


class Reporter(JaegerReporter):
    """jaeger-client's reporter, told of starts too. Nothing here blocks or raises in the caller."""

    #: The transport's limit on the text of one span, in characters; None: no limit of its own.
    max_span_chars: int | None = None

    #: Is to be told of starts, not only of ends.
    wants_starts: bool = True

    def set_process(self, service_name: str, tags: Mapping[str, Any], max_length: int) -> None:
        """Take the name and tags under which this process's spans are delivered."""

    def report_start(self, span: QueuedSpan) -> None:
        """A sampled span has started (record stores get its start record now). Only where it is wanted."""

    def report_span(self, span: QueuedSpan) -> None:
        """A sampled span has finished."""

    def report_record(self, record: dict[str, Any]) -> None:
        """A record that service code made itself and gave to ``notifier.notify``."""

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until what was queued before is out of this process, *timeout* seconds at most; whether it is."""
        return True

    def close(self) -> bool:  # jaeger-client's answers a future
        """Flush with the reporter's own deadline and stop."""
        return True


class NullReporter(Reporter):
    """Keeps nothing: no store has been configured."""

    wants_starts = False

    def report_span(self, span: QueuedSpan) -> None:
        guard.spans.without_store += 1


class CallableReporter(Reporter):
    """Gives each record to a callable at once, in the caller's flow, as stock's ``notifier.set`` promises."""

    def __init__(self, notify: Callable[[dict[str, Any]], object]) -> None:
        self._notify = notify

    def report_start(self, span: QueuedSpan) -> None:
        if not self._give(masking.record(span_records.start(span, plain=True))):
            guard.count("dropped_starts.fault")

    def report_span(self, span: QueuedSpan) -> None:
        guard.spans.ended += 1
        guard.count("delivered" if self._give(masking.record(span_records.stop(span, plain=True))) else "dropped.fault")

    def report_record(self, record: dict[str, Any]) -> None:
        self._give(record)

    def _give(self, record: dict[str, Any]) -> bool:
        # Without a trace of its own: a notifier that calls traced code would be called again by that, without end.
        with guard.Harmless("notifier"), scope.entered(scope.SUPPRESSED):
            self._notify(record)
            return True
        return False
