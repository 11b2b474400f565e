# SPDX-License-Identifier: Apache-2.0
"""What tests of integrations look at: the spans that finished, and that nothing was left open or current."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from osprofiler import config, profiler
from osprofiler._runtime import guard
from osprofiler.context import current
from osprofiler.delivery.base import Reporter
from osprofiler.tracer import global_tracer
from osprofiler.tracer.span import Span


class Recorder(Reporter):
    """Keeps the spans themselves, in the order in which they started and finished."""

    def __init__(self) -> None:
        self.started: list[Span] = []
        self.finished: list[Span] = []
        self.expected_faults: set[str] = set()  # counters that the test means to raise

    def report_start(self, span: Span) -> None:
        self.started.append(span)

    def report_span(self, span: Span) -> None:
        self.finished.append(span)

    def by_name(self, name: str) -> Span:
        """The one finished trace point called *name*."""
        (found,) = [span for span in self.finished if span.name == name]
        return found

    def names(self) -> list[str | None]:
        return [span.name for span in self.finished]

    def tree(self) -> list[tuple[str, str | None]]:
        """(name, name of the parent or None), in the order of starting."""
        names = {span.span_id: span.name or span.operation_name for span in self.started}
        return [(names[span.span_id], names.get(span.parent_span_id)) for span in self.started]


@pytest.fixture
def spans() -> Iterator[Recorder]:
    """Records every span of the test; fails where one was left open, a point current, or a fault swallowed."""
    tracer = global_tracer.get_tracer()
    before, recorder = tracer.reporter, Recorder()
    tracer.report_to(recorder)
    config.reset()
    current.point.set(None)
    counters = dict(guard.counters)
    yield recorder
    left = current.point.get()
    profiler.clean()
    tracer.report_to(before)
    config.reset()
    faults = {
        name: count - counters.get(name, 0)
        for name, count in guard.counters.items()
        if name.startswith("fault.") and count != counters.get(name, 0) and name not in recorder.expected_faults
    }
    assert left is None, "a trace point was left current"
    assert {span.span_id for span in recorder.started} == {span.span_id for span in recorder.finished}
    assert not faults, f"faults were swallowed: {faults}"
