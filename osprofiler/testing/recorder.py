# SPDX-License-Identifier: Apache-2.0
"""The spans of a block of code as a list, for the tests of services and of instrumentation.

::

    from osprofiler.testing import recording

    def test_boot_is_traced():
        with recording() as spans:
            manager.boot("server-1")
        assert spans.names() == ["schedule", "boot"]
        assert spans.one("schedule").parent_id == spans.one("boot").point_id
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from osprofiler._runtime import guard
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.delivery.base import Reporter
from osprofiler.delivery.queue import QueuedSpan
from osprofiler.records import ids, names, span_tags
from osprofiler.tracer import global_tracer

if TYPE_CHECKING:
    from osprofiler.tracer.span import Span

#: The key that signs the headers of a trace which :func:`recording` begins.
KEY = "osprofiler testing key"

_T = TypeVar("_T")


@dataclass(frozen=True)
class RecordedReference:
    """A reference of a span to another one, in this trace or in another."""

    kind: str  # ``names.CHILD_OF`` or ``names.FOLLOWS_FROM``
    base_id: str  # UUID of the trace
    point_id: str  # UUID of the trace point


@dataclass(frozen=True)
class RecordedLog:
    """A log of a span."""

    time_us: int  # microseconds since the epoch
    fields: dict[str, Any]


@dataclass(frozen=True)
class RecordedSpan:
    """A finished span, in plain values that do not change."""

    name: str  # of the trace point; for a span that is not a trace point, the operation
    operation: str  # as Jaeger shows it
    base_id: str  # UUID of the trace
    point_id: str  # UUID of this trace point
    parent_id: str  # UUID of the parent; the base_id if the span has no parent
    start_us: int  # microseconds since the epoch
    duration_us: int  # microseconds
    error: str | None  # class of the exception; "error" if there is only the tag; None: no error
    tags: dict[str, Any] = field(default_factory=dict)  # text, numbers and booleans, by name
    logs: tuple[RecordedLog, ...] = ()
    references: tuple[RecordedReference, ...] = ()  # the parent first, then those of a join
    info: dict[str, Any] = field(default_factory=dict)  # of the start of the trace point
    stop_info: dict[str, Any] = field(default_factory=dict)  # of its stop


class Recording(list[RecordedSpan]):
    """The spans of a block, in the order in which they finished."""

    def __init__(self, recorder: SpanRecorder) -> None:
        super().__init__()
        self._recorder = recorder

    def names(self) -> list[str]:
        """The name of each span, in the order of the list."""
        return [span.name for span in self]

    def one(self, name: str) -> RecordedSpan:
        """The span called *name*. Raises AssertionError if there is not exactly one."""
        return _one(name, [span for span in self if span.name == name], self.names())

    def tree(self) -> list[tuple[str, str | None]]:
        """The name and the parent's name (None: not recorded) of each span, in the order of their starts."""
        return self._recorder.tree()

    def unfinished(self) -> list[str]:
        """The names of the spans that have started in the block and have not finished."""
        return self._recorder.unfinished()


class SpanRecorder(Reporter):
    """A reporter that collects the tracer's own span objects, for tests that inspect these."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[Span] = []
        self.finished: list[Span] = []
        self.expected_faults: set[str] = set()  # counters of faults that a test causes on purpose

    def report_start(self, span: QueuedSpan) -> None:
        """Collect a span that has started."""
        self.started.append(cast("Span", span))

    def report_span(self, span: QueuedSpan) -> None:
        """Collect a span that has finished, and count it as delivered."""
        guard.spans.ended += 1
        guard.count("delivered")
        self.finished.append(cast("Span", span))

    def by_name(self, name: str) -> Span:
        """The finished trace point called *name*. Raises AssertionError if there is not exactly one."""
        return _one(name, [span for span in self.finished if span.name == name], self.names())

    def names(self) -> list[str | None]:
        """The names of the finished trace points, in the order of their ends; None for a span of another kind."""
        return [span.name for span in self.finished]

    def tree(self) -> list[tuple[str, str | None]]:
        """The name and the parent's name (None: not recorded) of each span, in the order of their starts."""
        names = {span.span_id: _name(span) for span in self.started}
        return [(names[span.span_id], names.get(span.parent_span_id)) for span in self.started]

    def unfinished(self) -> list[str]:
        """The names of the spans that have started and have not finished."""
        finished = {span.span_id for span in self.finished}
        return [_name(span) for span in self.started if span.span_id not in finished]


class _PlainRecorder(SpanRecorder):
    """Also converts each span to plain values when it finishes."""

    def __init__(self) -> None:
        super().__init__()
        self.recording = Recording(self)

    def report_span(self, span: QueuedSpan) -> None:
        super().report_span(span)
        self.recording.append(_recorded(self.finished[-1]))


@contextmanager
def recording(*, trace: bool = True) -> Iterator[Recording]:
    """Record the spans of a block, in every thread of the process, as a list.

    In the block, spans only go to the list: nothing is delivered to the configured store. After the block, the former
    reporter and the former current point are restored. If the block itself configures a reporter (``notifier.set``,
    ``init_from_conf``), the recording ends there, and this reporter stays.

    If no sampled trace is on in this flow of control, the block runs in a new trace, signed with :data:`KEY`. It does
    not need ``profiler.init`` or ``[profiler] enabled``. With *trace* false, the code in the block begins its own
    traces: for tests of a middleware or of an RPC server.
    """
    recorder = _PlainRecorder()
    with recorder_in_use(recorder), ExitStack() as stack:
        here = current.point.get()
        if trace and (here is None or not here.origin.sampled):
            stack.enter_context(scope.entered(Point(None, None, Origin.from_osprofiler(KEY))))
        else:
            stack.enter_context(scope.entered(here))
        yield recorder.recording


@contextmanager
def recorder_in_use(recorder: SpanRecorder) -> Iterator[SpanRecorder]:
    """In a block, the tracer of the process reports to *recorder*."""
    tracer = global_tracer.get_tracer()
    before = tracer.reporter
    tracer.report_to(recorder)
    try:
        yield recorder
    finally:
        if tracer.reporter is recorder:
            tracer.report_to(before)


def _name(span: Span) -> str:
    return span.name or span.operation_name


def _one(name: str, spans: list[_T], names: list[Any]) -> _T:
    if len(spans) != 1:
        raise AssertionError(f"{len(spans)} spans are called {name!r}, not one; all: {names}")
    return spans[0]


def _recorded(span: Span) -> RecordedSpan:
    base_id = span.origin.base_id
    references = []
    if span.parent_span_id:
        references.append(
            RecordedReference(names.FOLLOWS_FROM if span.follows else names.CHILD_OF, base_id, span.parent_point_id)
        )
    for kind, trace_id, span_id in span.links or ():
        linked_base_id = base_id if trace_id == span.trace_id else ids.uuid_text(trace_id)
        point_id = ids.point_uuid(ids.point_prefix(trace_id), span_id)
        references.append(RecordedReference(kind, linked_base_id, point_id))
    logs = tuple(RecordedLog(time_us, dict(fields)) for time_us, fields in span.own_logs)
    return RecordedSpan(
        name=_name(span),
        operation=span.operation_name,
        base_id=base_id,
        point_id=span.point_id,
        parent_id=span.parent_point_id,
        start_us=span.start_us,
        duration_us=span.duration_us or 0,
        error=_error(dict(span.own_tags), logs),
        tags={**dict(span_tags.conventional(span)), **span.own_tags},
        logs=logs,
        references=tuple(references),
        info=dict(span.start_info or {}),
        stop_info=dict(span.stop_info or {}),
    )


def _error(tags: dict[str, Any], logs: tuple[RecordedLog, ...]) -> str | None:
    if not tags.get("error"):
        return None
    kinds = [str(log.fields["error.kind"]) for log in logs if log.fields.get("error.kind")]
    return kinds[-1] if kinds else "error"
