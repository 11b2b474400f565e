# SPDX-License-Identifier: Apache-2.0
"""In front of a reporter: the spans of undecided traces wait at their origin, all others go through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from osprofiler.context.undecided import Undecided
from osprofiler.delivery.base import Reporter
from osprofiler.delivery.queue import ENTRY_BYTES

if TYPE_CHECKING:
    from osprofiler.tracer.span import Span


class Holding:
    """Takes what the tracer gives to a reporter, and the starts of spans even if the reporter does not want them."""

    __slots__ = ("_report_span", "_report_start")

    def __init__(self, reporter: Reporter) -> None:
        self._report_span = reporter.report_span
        self._report_start = reporter.report_start if reporter.wants_starts else None

    def report_start(self, span: Span) -> None:
        """See :class:`Reporter`."""
        origin = span.origin
        if type(origin) is Undecided:
            origin.started(span, self._report_start, ENTRY_BYTES + span.chars)
        elif self._report_start is not None:
            self._report_start(span)

    def report_span(self, span: Span) -> None:
        """See :class:`Reporter`."""
        origin = span.origin
        if type(origin) is Undecided:
            origin.ended(span, self._report_span, ENTRY_BYTES + span.chars)
        else:
            self._report_span(span)
