# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of delivery: an exporter that does as told, and spans to report."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from osprofiler._runtime import guard
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.delivery.exporter import Outcome
from osprofiler.delivery.queue import Entry, Recorded, Started
from osprofiler.tracer.tracer import Tracer


class Obedient:
    """Takes every batch, unless *answer*, called with it, raises or returns an outcome."""

    target = "the test"
    blocking = False

    def __init__(
        self,
        answer: Callable[[Sequence[Entry]], Outcome | None] = lambda batch: None,
        *,
        wants_starts: bool = False,
        acknowledged: bool = True,
        max_span_chars: int | None = None,
    ) -> None:
        self.answer = answer
        self.wants_starts = wants_starts
        self.acknowledged = acknowledged
        self.max_span_chars = max_span_chars
        self.taken: list[Entry] = []
        self.tries: list[int] = []
        self.suppressed: set[bool] = set()
        self.threads: set[int] = set()
        self.forks = 0
        self.process: tuple[str, dict[str, Any]] = ("", {})

    def set_process(self, service: str, tags: Mapping[str, Any]) -> None:
        self.process = (service, dict(tags))

    def export(self, batch: Sequence[Entry], deadline: float) -> Outcome:
        self.tries.append(len(batch))
        self.threads.add(threading.get_ident())
        self.suppressed.add(current.point.get() is scope.SUPPRESSED)
        outcome = self.answer(batch) or Outcome(len(batch))
        self.taken += batch
        return outcome

    def after_fork(self) -> None:
        self.forks += 1

    def names(self) -> list[str]:
        """The operations of the entries taken, in order."""
        return [name_of(entry) for entry in self.taken]


def name_of(entry: Entry) -> str:
    """The operation of a span, or the name of a record."""
    if isinstance(entry, Recorded):
        return str(entry.record["name"])
    return entry.span.operation_name if isinstance(entry, Started) else entry.operation_name


class Traced:
    """A tracer with a reporter, and one trace for points."""

    def __init__(self, reporter: Any) -> None:
        self.tracer = Tracer("unnamed", reporter)
        self.origin = Origin.from_osprofiler("key")
        self.root = Point(None, None, self.origin)

    @property
    def trace_hex(self) -> str:
        return f"{self.origin.trace_id:032x}"

    def point(self, name: str, info: dict[str, Any] | None = None, stop: dict[str, Any] | None = None) -> Any:
        """Open and close one point under the virtual root. Return its span."""
        point = self.tracer.open_point(self.root, name, info)
        point.end(stop)
        return point.span

    def points(self, number: int, name: str = "p") -> None:
        for index in range(number):
            self.point(f"{name}{index}")


def counted() -> dict[str, int]:
    """The counters that are not zero."""
    return {name: number for name, number in guard.counters.items() if number}


def unaccounted(counters: dict[str, int]) -> int:
    """How many spans and records are missing in *counters*; below zero: how many are counted twice."""
    fates = ("open", "waiting", "delivered", "sent", "merged")
    accounted = sum(n for name, n in counters.items() if name in fates or name.startswith("dropped."))
    return counters["started"] + counters.get("records", 0) - accounted


def out() -> int:
    """How many entries are out or lost, without those that a full queue refused."""
    return sum(
        number
        for name, number in guard.counters.items()
        if name in ("delivered", "sent", "merged") or (name.startswith("dropped.") and name != "dropped.queue_full")
    )
