# SPDX-License-Identifier: Apache-2.0
"""The work that the kit for execution models runs, in any process; and the base class of a model's adapter."""

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
    """The guarantee does not apply to this model. The text is the reason."""


@dataclass(frozen=True)
class Work:
    """Work that any process can run: it probes, and opens a point called *name*.

    It may also run other work in the model *inside* (with *forks* as a branch of a fork), or fail.
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
    """The exception of failing work."""


@dataclass(frozen=True)
class InCarrier:
    """Work that enters the branch of a carrier, in any process."""

    fields: dict[str, str]
    work: Callable[[], object]

    def __call__(self, *_: object) -> None:
        spans.record()
        with carrier.entered(self.fields):
            self.work()


@dataclass(frozen=True)
class Link:
    """Work in a chain. It opens a point with the first of *names*, leaves the next link for the checking process, ends.

    *way*: how it hands the next link over: ``patch``, ``fork`` or ``carrier``.
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
    """An execution model: how it runs work, and what its instrumentation guarantees."""

    #: The row in the table.
    title: ClassVar[str]
    #: The names for ``instrument``.
    instrumentation: ClassVar[tuple[str, ...]] = ()
    #: ``branch``: with the instrumentation on, work is a branch. ``inherited``: work is in the trace without a branch,
    #: with and without instrumentation. ``never``: work is never in the trace.
    follows: ClassVar[Literal["branch", "inherited", "never"]] = "branch"
    #: The reference of an automatic branch: ``ChildOf`` if the submitter can wait for it, else ``FollowsFrom``.
    reference: ClassVar[str] = "ChildOf"
    #: Whether work may be any callable. If not, a branch of a fork goes as a carrier.
    takes_callables: ClassVar[bool] = True
    #: The library that must patch the interpreter before all imports: ``eventlet`` or ``gevent``.
    patched: ClassVar[str] = ""

    #: The name of a point that the instrumentation itself opens between the submitting point and the branch.
    through: ClassVar[str | None] = None
    #: The number of works in the guarantee "exactly once"; smaller if each work needs a process.
    works: ClassVar[int] = 20

    #: The id of the point that was current when the last work was submitted.
    marked: int = 0

    def run(self, works: Sequence[Callable[[], object]]) -> None:
        """Run *works* at the same time in the model, and return when all have ended. Ignores their exceptions.

        Calls :meth:`mark` just before it submits them, in the same flow.
        """
        raise NotImplementedError

    def run_inside(self, works: Sequence[Callable[[], object]]) -> None:
        """:meth:`run`, called in a work of this model."""
        self.run(works)

    def mark(self) -> None:
        """Store the current point: it is the parent of the works' branches."""
        here = current.point.get()
        self.marked = here.span.span_id if here is not None and here.span is not None else 0

    def close(self) -> None:
        """End the pools and loops of the model."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the model without its state: in another process it is new."""
        return type(self), ()


def run_as_branches(model: Model, fork: Fork, works: Sequence[Work], run: Callable[[Any], None] | None = None) -> None:
    """Run *works* as branches of *fork*, with *run* (``model.run`` if None)."""
    if model.takes_callables:
        branches: list[Any] = [fork.wrap(work, f"branch {work.name}") for work in works]
    else:
        branches = [InCarrier(fork.to_carrier(f"branch {work.name}"), work) for work in works]
    (run or model.run)(branches)
