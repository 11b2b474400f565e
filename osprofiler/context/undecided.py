# SPDX-License-Identifier: Apache-2.0
"""The origin of a trace of which nobody knows yet whether it is kept: who sends the request has still to be found out.

Its points are recorded and held here, before the reporter's queue. The first of these decides: a flow asks whether it
is recorded, and the identity is known by then; the request is answered; the trace takes more room than held spans have.
Then all that is held goes to the reporter, or is discarded and counted. What is sent to other services before that says
"not sampled", so that nobody continues a trace that may be discarded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from osprofiler._runtime import forks, guard
from osprofiler.context import held_spans
from osprofiler.context.held_spans import HeldSpans, Report
from osprofiler.context.identity import NOBODY, Identity
from osprofiler.context.origin import Origin
from osprofiler.context.trace_context import DEBUG, SAMPLED, TraceContext

if TYPE_CHECKING:
    from osprofiler.tracer.span import Span

#: Whether to record a trace, and tags for its first span.
Verdict: TypeAlias = tuple[bool, Mapping[str, Any]]


@dataclasses.dataclass(frozen=True, slots=True)
class Later:
    """A decision that needs to know who sends the request."""

    who: Callable[[], Identity | None]  # None: not known yet
    decide: Callable[[Identity], Verdict]


_process = object()


class Undecided(Origin):
    """The origin of an undecided trace. It stays the origin of the trace after the decision."""

    __slots__ = ("_flags", "_held", "_later", "_process")

    _held: HeldSpans
    _later: Later | None
    _process: object

    @classmethod
    def until(cls, context: TraceContext, foreign: Mapping[str, Any] | None, later: Later) -> Undecided:
        """Make the origin of a trace with *context* that *later* decides on."""
        origin = cls(context, foreign)
        origin._held = HeldSpans()
        origin._later = later
        origin._process = _process  # a forked child has another one
        return origin

    @property
    def flags(self) -> int:
        """Those of Jaeger. Each flow that is about to record reads them, so the decision is made as early as it can."""
        if self._later is not None:
            self._ask()
        return self._flags

    @flags.setter
    def flags(self, value: int) -> None:
        self._flags = value

    def context(
        self, span_id: int, parent_span_id: int, flags: int, baggage: Mapping[str, str], point_id: str | None = None
    ) -> TraceContext:
        """As of any origin, but "not sampled" until the trace is kept."""
        if not (self.flags & SAMPLED and self._held.kept):
            flags &= ~(SAMPLED | DEBUG)
        return super().context(span_id, parent_span_id, flags, baggage, point_id)

    # The decision

    def settle(self) -> bool:
        """Decide now, and return whether the trace is kept.

        The request is answered: if nobody is known by now, it comes from nobody.
        """
        self._ask(NOBODY)
        return bool(self._held.kept)

    def _ask(self, otherwise: Identity | None = None) -> None:
        """Decide, if the identity is known or *otherwise* is given. Never raises: flows of the service call it."""
        if self._process is not _process:
            self._leave_to_parent()
        later = self._later
        if later is None:
            return
        identity = None
        with guard.Harmless("undecided"):
            identity = later.who()
        identity = identity or otherwise
        if identity is None or not self._claim():
            return
        verdict: Verdict = (False, {})
        with guard.Harmless("undecided"):
            verdict = later.decide(identity)
        with guard.Harmless("undecided"):
            self._decide(*verdict)

    def _claim(self) -> bool:
        """Whether the calling flow is the one that decides."""
        if self._later is None:
            return False
        self._later = None  # no other flow runs between these two lines: see ``delivery.queue``
        return True

    def _decide(self, kept: bool, tags: Mapping[str, Any]) -> None:
        first = self._held.first
        if not kept:
            self._discard(held_spans.NOT_SAMPLED)
            return
        if first is None:
            self.foreign = {**(self.foreign or {}), **tags}
        else:
            for name, value in tags.items():
                first.set_tag(name, value)
        self._held.release()

    def _discard(self, reason: str) -> None:
        self._flags &= ~(SAMPLED | DEBUG)
        self._held.discard(reason)

    def _leave_to_parent(self) -> None:
        """In a forked child: the parent decides about what it holds, and nothing of this trace is recorded here."""
        self._process = _process
        if self._claim():
            self._flags &= ~(SAMPLED | DEBUG)
            self._held.forget()
            guard.count("not_followed.undecided")

    # The spans, as the reporter would get them

    def started(self, span: Span, report: Report | None, bytes_: int) -> None:
        """See :meth:`HeldSpans.started`."""
        if self._process is not _process:
            self._leave_to_parent()
        self._held.started(span, report, bytes_)
        self._check_room()

    def ended(self, span: Span, report: Report, bytes_: int) -> None:
        """See :meth:`HeldSpans.ended`."""
        self._held.ended(span, report, bytes_)
        self._check_room()

    def _check_room(self) -> None:
        if self._held.kept is None and self._held.is_too_much and self._claim():
            self._discard(held_spans.HELD_TOO_MUCH)


@forks.in_child
def _start_over() -> None:
    global _process
    _process = object()
