# SPDX-License-Identifier: Apache-2.0
"""What the tests of the facade and the core share: records caught as they are made, and a trace told as text."""

import contextlib
from collections.abc import Iterator
from typing import Any

from osprofiler import config, notifier, profiler
from osprofiler._runtime import guard
from osprofiler.context import current, scope
from osprofiler.delivery.base import Reporter
from osprofiler.tracer import global_tracer
from osprofiler.tracer.span import Span


class Caught(list[dict[str, Any]]):
    """Records in the order in which they came."""

    @property
    def starts(self) -> list[dict[str, Any]]:
        return [record for record in self if record["name"].endswith("-start")]

    @property
    def stops(self) -> list[dict[str, Any]]:
        return [record for record in self if record["name"].endswith("-stop")]

    def stop_of(self, name: str) -> dict[str, Any]:
        """The stop record of the only point called *name*."""
        (found,) = [record for record in self.stops if record["name"] == f"{name}-stop"]
        return found

    def start_of(self, name: str) -> dict[str, Any]:
        (found,) = [record for record in self.starts if record["name"] == f"{name}-start"]
        return found

    def paths(self) -> list[str]:
        """Each point as the names from its trace's root down to it, in the order of starts; ``!``: never stopped."""
        stopped = {record["trace_id"] for record in self.stops}
        names = {record["trace_id"]: record["name"].removesuffix("-start") for record in self.starts}
        parents = {record["trace_id"]: record["parent_id"] for record in self.starts}

        def path(point: str) -> str:
            above = parents[point]
            return f"{path(above)}/{names[point]}" if above in names else names[point]

        return [path(point) + ("" if point in stopped else "!") for point in names]


class SpanKeeper(Reporter):
    """Keeps every span that started and that finished."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[Span] = []
        self.finished: list[Span] = []

    def report_start(self, span: Span) -> None:
        self.started.append(span)

    def report_span(self, span: Span) -> None:
        self.finished.append(span)


@contextlib.contextmanager
def a_clean_process() -> Iterator[None]:
    """No trace, default settings, no counts before and after; the block must leave no trace behind itself."""
    _reset()
    try:
        yield
        assert current.point.get() is None, "a trace was left in the test's own flow of control"
    finally:
        _reset()


@contextlib.contextmanager
def caught_records() -> Iterator[Caught]:
    records = Caught()
    notifier.set(records.append)
    yield records


@contextlib.contextmanager
def kept_spans() -> Iterator[SpanKeeper]:
    keeper = SpanKeeper()
    global_tracer.report_to(lambda: keeper)
    yield keeper


def _reset() -> None:
    scope.use(None)
    current.point.set(None)
    profiler.clean()
    notifier.set(notifier._noop_notifier)
    notifier.clear_notifier_cache()
    config.reset()
    with guard._lock:
        guard.counters.clear()
        guard._last_logged.clear()
