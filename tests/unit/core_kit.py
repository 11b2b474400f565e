# SPDX-License-Identifier: Apache-2.0
"""Shared by the tests of the facade and the core: the records that are made, and a trace as text."""

import contextlib
from collections.abc import Iterator
from typing import Any

from osprofiler import config, notifier, policy
from osprofiler._runtime import guard
from osprofiler.testing.process import clean_process as a_clean_process
from osprofiler.testing.recorder import SpanRecorder as SpanKeeper
from osprofiler.tracer import global_tracer
from osprofiler.tracer.rules import sampler_after

__all__ = ["Caught", "SpanKeeper", "a_clean_process", "caught_records", "kept_spans", "rules_in_force"]


class Caught(list[dict[str, Any]]):
    """Records in the order of their arrival."""

    @property
    def starts(self) -> list[dict[str, Any]]:
        return [record for record in self if record["name"].endswith("-start")]

    @property
    def stops(self) -> list[dict[str, Any]]:
        return [record for record in self if record["name"].endswith("-stop")]

    def stop_of(self, name: str) -> dict[str, Any]:
        """The stop record of the only point with this *name*."""
        (found,) = [record for record in self.stops if record["name"] == f"{name}-stop"]
        return found

    def start_of(self, name: str) -> dict[str, Any]:
        (found,) = [record for record in self.starts if record["name"] == f"{name}-start"]
        return found

    def paths(self) -> list[str]:
        """Each point as its path of names from the root, in the order of starts; ``!``: never stopped."""
        stopped = {record["trace_id"] for record in self.stops}
        names = {record["trace_id"]: record["name"].removesuffix("-start") for record in self.starts}
        parents = {record["trace_id"]: record["parent_id"] for record in self.starts}

        def path(point: str) -> str:
            above = parents[point]
            return f"{path(above)}/{names[point]}" if above in names else names[point]

        return [path(point) + ("" if point in stopped else "!") for point in names]


def faults() -> dict[str, int]:
    """The faults of tracing that were swallowed, by the names of their counters.

    The other counters may also count what an earlier test has left to deliver.
    """
    return {name: count for name, count in guard.counters.items() if name.startswith("fault.")}


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


@contextlib.contextmanager
def rules_in_force(text: str, service: str = "nova-api") -> Iterator[None]:
    """In a block, the rules in *text*, a policy, decide for *service*. The settings stay as they are after it."""
    before = config.current()
    after = config.publish(**policy.parse(text).of(service))
    tracer = global_tracer.get_tracer()
    former = tracer.sampler
    tracer.sampler = sampler_after(former, before, after, service)
    try:
        yield
    finally:
        tracer.sampler = former
