# SPDX-License-Identifier: Apache-2.0
"""What the kit for execution models runs: work that any process can do, and the adapter of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from osprofiler import profiler
from osprofiler.concurrency import carrier
from osprofiler.concurrency.fork import Fork, hand_over
from osprofiler.context import current
from osprofiler.testing.concurrency import spans


class NotApplicable(Exception):
    """The guarantee says nothing about this model; the text says why."""


@dataclass(frozen=True)
class Work:
    """A piece of work that any process can run: it probes, opens a point called *name*, and may hand on work of its own
    (to *inside*; with *forks* as a branch of a fork) or fail.
    """

    name: str
    fails: bool = False
    inside: Model | None = None
    forks: bool = False

    def __call__(self, *_: object) -> None:
        spans.record()
        spans.probe(self.name)
        with profiler.Trace(self.name):
            if self.inside is not None:
                inner = Work(f"inside {self.name}")
                if self.forks:
                    with profiler.fork("inner fork") as fork:
                        run_as_branches(self.inside, fork, [inner], self.inside.run_inside)
                else:
                    self.inside.run_inside([inner])
            if self.fails:
                raise Failure(self.name)


class Failure(Exception):
    """What failing work raises."""


@dataclass(frozen=True)
class InCarrier:
    """Work that enters the branch of a carrier, in whatever process."""

    fields: dict[str, str]
    work: Callable[[], object]

    def __call__(self, *_: object) -> None:
        spans.record()
        with carrier.entered(self.fields):
            self.work()


@dataclass(frozen=True)
class Link:
    """Work in a chain: it opens a point, called by the first of *names*, hands the next link over to whoever runs the
    chain, and ends. *way*: how it is handed over, ``patch``, ``fork`` or ``carrier``.
    """

    names: tuple[str, ...]
    way: str

    def __call__(self, *_: object) -> None:
        spans.record()
        with profiler.Trace(self.names[0]):
            if self.names[1:]:
                spans.leave(Link(self.names[1:], self.way).handed_over())

    def handed_over(self) -> Callable[[], object]:
        """This link as a branch of the current point."""
        if self.way == "patch":
            return hand_over("kit", self)
        fork = profiler.fork("chain")
        return InCarrier(fork.to_carrier(), self) if self.way == "carrier" else fork.wrap(self)


class Model:
    """An execution model: how it runs work, and what its instrumentation promises."""

    #: The row in the table.
    title: ClassVar[str]
    #: The names to give to ``instrument``.
    instrumentation: ClassVar[tuple[str, ...]] = ()
    #: ``branch``: with the instrumentation on, work is a branch; ``inherited``: it is in the trace without a branch,
    #: instrumented or not; ``never``: it is never followed, whatever is on.
    follows: ClassVar[Literal["branch", "inherited", "never"]] = "branch"
    #: The reference of an automatic branch: ``ChildOf`` where something can be waited on, else ``FollowsFrom``.
    reference: ClassVar[str] = "ChildOf"
    #: Whether a fork's branch reaches the work as a callable; else it goes as a carrier.
    takes_callables: ClassVar[bool] = True
    #: The library, ``eventlet`` or ``gevent``, that has to patch before anything else is imported.
    patched: ClassVar[str] = ""

    #: The name of a point that the instrumentation itself opens, between the one that hands over and the branch.
    through: ClassVar[str | None] = None
    #: How many works "exactly once" runs; fewer where each of them takes a process.
    works: ClassVar[int] = 20

    #: The id of the point that was current when the last work was handed over.
    marked: int = 0

    def run(self, works: Sequence[Callable[[], object]]) -> None:
        """Run *works* at the same time, in the model, and return when all have ended. What they raise ends here.

        Calls :meth:`mark` in the flow that hands them over, just before it does.
        """
        raise NotImplementedError

    def run_inside(self, works: Sequence[Callable[[], object]]) -> None:
        """:meth:`run`, from within work of this model."""
        self.run(works)

    def mark(self) -> None:
        """Note the point that the works' branches belong to."""
        here = current.point.get()
        self.marked = here.span.span_id if here is not None and here.span is not None else 0

    def close(self) -> None:
        """End what the model keeps: pools, loops."""

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process a model starts afresh."""
        return type(self), ()


def run_as_branches(model: Model, fork: Fork, works: Sequence[Work], run: Callable[[Any], None] | None = None) -> None:
    """Run *works* as branches of *fork*, by *run* (the model's own if None)."""
    if model.takes_callables:
        branches: list[Any] = [fork.wrap(work, f"branch {work.name}") for work in works]
    else:
        branches = [InCarrier(fork.to_carrier(f"branch {work.name}"), work) for work in works]
    (run or model.run)(branches)
