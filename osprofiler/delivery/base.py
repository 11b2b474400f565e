# SPDX-License-Identifier: Apache-2.0
"""The interface of the reporters to which a tracer gives its spans, and the two reporters without a queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jaeger_client.reporter import NullReporter as JaegerReporter

from osprofiler._runtime import guard
from osprofiler.context import scope
from osprofiler.delivery.masking import applying
from osprofiler.delivery.queue import QueuedSpan
from osprofiler.records import span_records


class Reporter(JaegerReporter):
    """jaeger-client's reporter, which also takes the starts of spans. Nothing here blocks or raises in the caller."""

    #: The limit of the transport on the text of one span, in characters; None: no limit.
    max_span_chars: int | None = None

    #: Whether the tracer reports starts, not only ends.
    wants_starts: bool = True

    def set_process(self, service_name: str, tags: Mapping[str, Any], max_length: int) -> None:
        """Set the name and tags of this process. *max_length* is jaeger-client's, and not used."""

    def report_start(self, span: QueuedSpan) -> None:
        """Take a sampled span that has started. Record stores get its start record now. Only if ``wants_starts``."""

    def report_span(self, span: QueuedSpan) -> None:
        """Take a sampled span that has finished."""

    def report_record(self, record: dict[str, Any]) -> None:
        """Take a record that service code made itself and gave to ``notifier.notify``."""

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was reported before has left this process, *timeout* seconds at most.

        Return whether it has. Without *timeout* the reporter chooses one.
        """
        return True

    def close(self) -> bool:  # jaeger-client's returns a future
        """Flush and stop. Return whether all has left this process."""
        return True


class NullReporter(Reporter):
    """Drops and counts every span: no store is configured."""

    wants_starts = False

    def report_span(self, span: QueuedSpan) -> None:
        guard.spans.without_store += 1


class CallableReporter(Reporter):
    """Gives each record to a callable at once, in the flow of the caller, as ``notifier.set`` of osprofiler 4 does."""

    def __init__(self, notify: Callable[[dict[str, Any]], object]) -> None:
        self._notify = notify

    def report_start(self, span: QueuedSpan) -> None:
        if not self._give(applying.record(span_records.start(span, plain=True))):
            guard.count("dropped_starts.fault")

    def report_span(self, span: QueuedSpan) -> None:
        guard.spans.ended += 1
        stop = applying.record(span_records.stop(span, plain=True))
        guard.count("delivered" if self._give(stop) else "dropped.fault")

    def report_record(self, record: dict[str, Any]) -> None:
        self._give(record)

    def _give(self, record: dict[str, Any]) -> bool:
        # Suppressed: traced code that the notifier calls would call the notifier again, without end.
        with guard.Harmless("notifier"), scope.entered(scope.SUPPRESSED):
            self._notify(record)
            return True
        return False
