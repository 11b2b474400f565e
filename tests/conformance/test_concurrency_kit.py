# SPDX-License-Identifier: Apache-2.0
"""The kit for execution models finds faults: subjects with one fault each."""

import threading
from collections.abc import Callable, Sequence

import pytest

from osprofiler.concurrency.branch_callable import BranchCallable
from osprofiler.context import current, scope
from osprofiler.context.points import Point
from osprofiler.testing import concurrency
from osprofiler.testing.concurrency.spans import probe
from osprofiler.testing.concurrency.threads import Threads

Work = Callable[[], object]


class Right(Threads):
    """A subject without a fault."""


class LosesTheTrace(Threads):
    """It starts its threads without a trace."""

    def run(self, works: Sequence[Work]) -> None:
        self.mark()
        threads = [threading.Thread(target=work) for work in works]
        with scope.entered(None):
            for thread in threads:
                thread.start()
        for thread in threads:
            thread.join()


class MakesNoBranch(Threads):
    """Its threads have the point itself, like copied contexts."""

    def run(self, works: Sequence[Work]) -> None:
        self.mark()
        here = current.point.get()

        def run(work: Work) -> None:
            with scope.entered(here):
                work()

        with scope.entered(None):
            threads = [threading.Thread(target=run, args=(work,)) for work in works]
            for thread in threads:
                thread.start()
        for thread in threads:
            thread.join()


class SaysTheOtherReference(Threads):
    reference = "FollowsFrom"


class ForgetsOne(Threads):
    """It never runs the last of several works."""

    def run(self, works: Sequence[Work]) -> None:
        super().run(works[:-1] if len(works) > 2 else works)


class KeepsTheTrace(Threads):
    """Its workers stay in the trace of their first work."""

    last: Point | None = None

    def run(self, works: Sequence[Work]) -> None:
        if current.point.get() is not None:
            type(self).last = current.point.get()
            super().run(works)
            return
        super().run([self._in_last(work) for work in works])

    def _in_last(self, work: Work) -> Work:
        def run() -> None:
            with scope.entered(self.last):
                work()

        return run


class LeavesTheTraceOn(Threads):
    """It changes the current point of the submitter."""

    def run(self, works: Sequence[Work]) -> None:
        super().run(works)
        here = current.point.get()
        current.point.set(here and here.parent)


class HidesErrors(Threads):
    """It catches an exception of work inside the branch."""

    def run(self, works: Sequence[Work]) -> None:
        super().run([_quiet(work) for work in works])


def _quiet(work: Work) -> Work:
    def run() -> None:
        try:
            (work.function if isinstance(work, BranchCallable) else work)()
        except Exception:
            probe("hidden")

    return BranchCallable(run, work.branch) if isinstance(work, BranchCallable) else run


class NestsBeside(Threads):
    """Inner work is submitted from the point of the outer work."""

    def run_inside(self, works: Sequence[Work]) -> None:
        with scope.entered(None):
            super().run_inside([_bare(work) for work in works])


def _bare(work: Work) -> Work:
    return work.function if isinstance(work, BranchCallable) else work


class ForgetsTheLate(Threads):
    """It loses the branch of work that runs after its request."""

    def run(self, works: Sequence[Work]) -> None:
        super().run([_bare(work) for work in works] if current.point.get() is None else works)


class RunsTwice(Threads):
    def run(self, works: Sequence[Work]) -> None:
        super().run(works)
        if len(works) > 2:
            super().run(works)


class CannotBeTurnedOff(Threads):
    """It always has the trace, also without instrumentation."""

    def run(self, works: Sequence[Work]) -> None:
        from osprofiler.concurrency import threading as model

        model.instrument()
        super().run(works)


WRONG: list[tuple[type[concurrency.Model], set[str]]] = [
    (LosesTheTrace, {"right parent", "right reference", "nesting"}),
    (MakesNoBranch, {"right parent", "right reference", "error in branch", "instrument and back"}),
    (SaysTheOtherReference, {"right reference"}),
    (ForgetsOne, {"join references all"}),
    (KeepsTheTrace, {"clean worker"}),
    (LeavesTheTraceOn, {"clean worker"}),
    (HidesErrors, {"error in branch"}),
    (NestsBeside, {"nesting"}),
    (ForgetsTheLate, {"hand-over chain"}),
    (RunsTwice, {"exactly once"}),
    (CannotBeTurnedOff, {"instrument and back"}),
]


def outcomes(model: type[concurrency.Model]) -> dict[str, str]:
    return concurrency.check_in_own_process(f"{model.__module__}:{model.__name__}")


def test_a_right_model_passes() -> None:
    assert set(outcomes(Right).values()) == {"ok"}


@pytest.mark.parametrize(("model", "caught_by"), WRONG, ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_model_is_caught(model: type[concurrency.Model], caught_by: set[str]) -> None:
    failed = {name for name, outcome in outcomes(model).items() if outcome != "ok"}
    assert caught_by <= failed, f"only {failed} failed"


def test_every_guarantee_has_a_wrong_model() -> None:
    assert {name for _, names in WRONG for name in names} == set(concurrency.GUARANTEES)


def test_a_model_that_hangs_or_crashes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "RUN_TIMEOUT_S", 3)
    with pytest.raises(RuntimeError, match="hangs"):
        outcomes(Hangs)
    monkeypatch.undo()
    with pytest.raises(RuntimeError, match="status 7"):
        outcomes(Crashes)


class Hangs(Threads):
    def run(self, works: Sequence[Work]) -> None:
        threading.Event().wait()


class Crashes(Threads):
    def run(self, works: Sequence[Work]) -> None:
        import os

        os._exit(7)
