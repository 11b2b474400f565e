# SPDX-License-Identifier: Apache-2.0
"""A trace of which nobody knows yet whether it is kept: whoever sends the request has still to be found out.

Its points are recorded and held here, before the reporter's queue. The first of these decides: a flow asks whether it
is recorded, and the identity is known by then; the request is answered; the trace takes more room than held spans have.
Then all that is held goes to the reporter, or is discarded and counted. What is sent to other services before that says
"not sampled", so that nobody continues a trace that may be discarded.

No lock: as with the queue, a span may end in a signal handler. A decision is one assignment. A span that comes at the
same time sees it after it has been appended, and then empties the held ones too.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from osprofiler._runtime import forks, guard
from osprofiler.context.identity import NOBODY, Identity
from osprofiler.context.origin import Origin
from osprofiler.context.trace_context import DEBUG, SAMPLED, TraceContext

if TYPE_CHECKING:
    from osprofiler.tracer.span import Span

#: Gives a span to the reporter.
Report: TypeAlias = "Callable[[Span], None]"

#: Whether to record a trace, and tags for its first span.
Verdict: TypeAlias = tuple[bool, Mapping[str, Any]]

#: What may be held in one trace, and in all traces of the process together.
MAX_SPANS, MAX_BYTES = 2_000, 2 << 20
MAX_SPANS_IN_ALL, MAX_BYTES_IN_ALL = 20_000, 16 << 20

# Why held spans are discarded, in the counters ``discarded.<reason>``
NOT_SAMPLED = "not_sampled"
HELD_TOO_MUCH = "held_too_much"


@dataclasses.dataclass(frozen=True, slots=True)
class Later:
    """A decision that needs to know who sends the request."""

    who: Callable[[], Identity | None]  # None: not known yet
    decide: Callable[[Identity], Verdict]


class _Held:
    """How much all undecided traces of this process hold."""

    spans = 0
    bytes = 0


_held = _Held()
_process = object()


class Undecided(Origin):
    """The origin of an undecided trace, and what is held of it. ``later`` decides; see the module."""

    __slots__ = ("_bytes", "_entries", "_first", "_flags", "_kept", "_later", "_open", "_process", "_spans")

    _later: Later | None

    @classmethod
    def until(cls, context: TraceContext, foreign: Mapping[str, Any] | None, later: Later) -> Undecided:
        """Make the origin of a trace with *context* that *later* decides on."""
        origin = cls.continuing(context, foreign)
        assert isinstance(origin, Undecided)
        origin._later = later
        return origin

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._entries: deque[tuple[Report, Span]] = deque()
        self._open: dict[Span, None] = {}
        self._first: Span | None = None
        self._spans = self._bytes = 0
        self._kept: bool | None = None
        self._later = None
        self._process = _process
        super().__init__(*args, **kwargs)

    # A flow that asks whether it is recorded gets the decision, if it can be made.

    @property
    def flags(self) -> int:
        if self._later is not None:
            self._ask()
        return self._flags

    @flags.setter
    def flags(self, value: int) -> None:
        self._flags = value

    def context(
        self, span_id: int, parent_span_id: int, flags: int, baggage: Mapping[str, str], point_id: str | None = None
    ) -> TraceContext:
        if not self.flags & SAMPLED or self._kept is None:
            flags &= ~(SAMPLED | DEBUG)
        return super().context(span_id, parent_span_id, flags, baggage, point_id)

    @property
    def is_kept(self) -> bool | None:
        """Whether the trace is kept; None: not decided yet."""
        return self._kept

    def settle(self) -> None:
        """Decide now. The request is answered: if nobody is known by now, it comes from nobody."""
        self._ask(NOBODY)

    def _ask(self, otherwise: Identity | None = None) -> None:
        """Decide, if the identity is known or *otherwise* is given. Never raises: flows of the service call it."""
        if self._kept is None and self._process is not _process:
            self._leave_to_parent()
        later = self._later
        if later is None:
            return
        with guard.Harmless("undecided"):
            identity = later.who() or otherwise
            if identity is not None and self._claim():
                self._kept_by(*_verdict(later, identity))

    def _claim(self) -> bool:
        """Whether the calling flow is the one that decides."""
        if self._later is None:
            return False
        self._later = None  # no other flow runs between these two lines: see the queue
        return True

    def _kept_by(self, kept: bool, tags: Mapping[str, Any]) -> None:
        if not kept:
            self._discard(NOT_SAMPLED)
            return
        if self._first is not None:
            for name, value in tags.items():
                self._first.set_tag(name, value)
        elif tags:
            self.foreign = {**(self.foreign or {}), **tags}
        self._kept = True
        self._empty()

    # The spans, as the reporter in front of the queue gets them

    def started(self, span: Span, report: Report | None, bytes_: int) -> None:
        """Take a span that has started, of *bytes_* in memory. *report* gives its start to the reporter; None: no."""
        self._open[span] = None
        if self._first is None:
            self._first = span
        self._take(span, report, bytes_)

    def ended(self, span: Span, report: Report, bytes_: int) -> None:
        """Take a span that has ended."""
        self._open.pop(span, None)
        self._take(span, report, bytes_)

    def _take(self, span: Span, report: Report | None, bytes_: int) -> None:
        kept = self._kept
        if kept is None and self._process is not _process:
            self._leave_to_parent()
            kept = False
        if kept is None:
            if report is not None:
                self._hold(span, report, bytes_)
        elif not kept:
            self._open.pop(span, None)
            _discard(span, NOT_SAMPLED)
        elif report is not None:
            report(span)

    def _hold(self, span: Span, report: Report, bytes_: int) -> None:
        self._spans += 1
        self._bytes += bytes_
        _held.spans += 1
        _held.bytes += bytes_
        self._entries.append((report, span))
        is_full = self._spans > MAX_SPANS or self._bytes > MAX_BYTES
        if self._kept is not None:  # decided meanwhile
            self._empty()
        elif (is_full or _held.spans > MAX_SPANS_IN_ALL or _held.bytes > MAX_BYTES_IN_ALL) and self._claim():
            self._discard(HELD_TOO_MUCH)

    def _discard(self, reason: str) -> None:
        self._flags &= ~(SAMPLED | DEBUG)
        self._kept = False
        self._empty(reason)
        while self._open:
            span, _ = self._open.popitem()
            _discard(span, reason)

    def _empty(self, reason: str = NOT_SAMPLED) -> None:
        """Give what is held to the reporter, or discard it."""
        entries = self._entries
        while entries:
            with contextlib.suppress(IndexError):  # another flow empties them too
                report, span = entries.popleft()
                if self._kept:
                    report(span)
                elif span.finished:
                    _discard(span, reason)
        _held.spans, self._spans = _held.spans - self._spans, 0
        _held.bytes, self._bytes = _held.bytes - self._bytes, 0

    def _leave_to_parent(self) -> None:
        """In a forked child: the parent decides about what it holds, and nothing of this trace is recorded here."""
        self._later = None
        self._flags &= ~(SAMPLED | DEBUG)
        self._kept = False
        self._entries.clear()
        self._open.clear()
        guard.count("not_followed.undecided")


def _verdict(later: Later, identity: Identity) -> Verdict:
    try:
        return later.decide(identity)
    except Exception as fault:
        guard.swallow("undecided", fault)
        return False, {}


def _discard(span: Span, reason: str) -> None:
    """Count *span* as discarded, and let it report nothing more. Its children are not sampled either."""
    if span.flags & SAMPLED:
        span.flags &= ~(SAMPLED | DEBUG)
        guard.spans.ended += 1
        guard.count(f"discarded.{reason}")


@forks.in_child
def _start_over() -> None:
    global _process
    _process = object()
    _held.spans = _held.bytes = 0
