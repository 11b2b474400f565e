# SPDX-License-Identifier: Apache-2.0
"""The spans of one trace, held back from the reporter until it is decided whether the trace is kept.

No lock: as with the queue, a span may end in a signal handler. The decision is one assignment. A span that comes at the
same time sees it after it has been appended, and then empties what is held too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from osprofiler._runtime import forks, guard
from osprofiler.context.trace_context import DEBUG, SAMPLED

if TYPE_CHECKING:
    from osprofiler.tracer.span import Span

#: Gives a span to the reporter.
Report: TypeAlias = "Callable[[Span], None]"

#: What one trace may hold, and all traces of the process together. Where the reporter wants starts, these count too.
MAX_ENTRIES, MAX_BYTES = 2_000, 2 << 20
MAX_ENTRIES_IN_ALL, MAX_BYTES_IN_ALL = 20_000, 16 << 20

# Why spans are discarded, in the counters ``discarded.<reason>``
#: By the decision.
NOT_SAMPLED = "not_sampled"
#: Before it: they took too much room.
HELD_TOO_MUCH = "held_too_much"


class _InAll:
    """What all traces of this process hold."""

    entries = 0
    bytes = 0


in_all = _InAll()


class HeldSpans:
    """The starts and ends of spans, in their order, and which spans are open."""

    __slots__ = ("_bytes", "_entries", "_number", "_open", "first", "kept")

    def __init__(self) -> None:
        #: The first span of the trace.
        self.first: Span | None = None
        #: The decision; None: not yet.
        self.kept: bool | None = None
        self._entries: deque[tuple[Report, Span]] = deque()
        self._number = self._bytes = 0
        self._open: dict[Span, None] = {}

    def started(self, span: Span, report: Report | None, bytes_: int) -> None:
        """Take a span that has started, of *bytes_* in memory. *report*: None if the reporter does not want starts."""
        self._open[span] = None
        if self.first is None:
            self.first = span
        if report is not None or self.kept is False:
            self._take(span, report, bytes_)

    def ended(self, span: Span, report: Report, bytes_: int) -> None:
        """Take a span that has ended."""
        self._open.pop(span, None)
        self._take(span, report, bytes_)

    @property
    def is_too_much(self) -> bool:
        """Whether it takes more room than there is."""
        return (
            self._number > MAX_ENTRIES
            or self._bytes > MAX_BYTES
            or in_all.entries > MAX_ENTRIES_IN_ALL
            or in_all.bytes > MAX_BYTES_IN_ALL
        )

    def release(self) -> None:
        """Give all to the reporter, now and later: the trace is kept."""
        self.kept = True
        self._empty(NOT_SAMPLED)

    def discard(self, reason: str) -> None:
        """Discard all, now and later, and count it: the trace is not kept. Open spans are not sampled any more."""
        self.kept = False
        self._empty(reason)
        while self._open:
            try:
                span, _ = self._open.popitem()
            except KeyError:  # the last one has ended meanwhile
                break
            _discard(span, reason)

    def forget(self) -> None:
        """Discard all without counting: the spans so far belong to the parent of this process."""
        self._entries.clear()
        self._open.clear()
        self.kept = False

    def _take(self, span: Span, report: Report | None, bytes_: int) -> None:
        if self.kept is None and report is not None:
            self._hold(span, report, bytes_)
        elif self.kept and report is not None:
            report(span)
        elif self.kept is False:
            self._open.pop(span, None)
            _discard(span, NOT_SAMPLED)

    def _hold(self, span: Span, report: Report, bytes_: int) -> None:
        self._number += 1
        self._bytes += bytes_
        in_all.entries += 1
        in_all.bytes += bytes_
        self._entries.append((report, span))
        if self.kept is not None:  # decided meanwhile
            self._empty(NOT_SAMPLED)

    def _empty(self, reason: str) -> None:
        entries = self._entries
        while entries:
            try:
                report, span = entries.popleft()
            except IndexError:  # another flow empties them too
                break
            if self.kept:
                report(span)
            elif span.finished:
                _discard(span, reason)
        in_all.entries, self._number = in_all.entries - self._number, 0
        in_all.bytes, self._bytes = in_all.bytes - self._bytes, 0


def _discard(span: Span, reason: str) -> None:
    """Count *span* as discarded, unless it is already, and let it report nothing more."""
    if span.flags & SAMPLED:
        span.flags &= ~(SAMPLED | DEBUG)
        guard.spans.ended += 1
        guard.count(f"discarded.{reason}")


@forks.in_child
def _start_over() -> None:
    in_all.entries = in_all.bytes = 0
