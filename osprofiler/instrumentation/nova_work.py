# SPDX-License-Identifier: Apache-2.0
"""Work that nova hands over: to its executors, to the thread that asks for a network, to a thread for each cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.concurrency.carried import Carried
from osprofiler.concurrency.fork import Fork, hand_over
from osprofiler.context import current

# Work, by its function's name, whose spawner goes on without it: it follows from the request, which ends before.
NOBODY_WAITS_FOR = frozenset(
    (
        "_async_init_instance_info",
        "_do_live_migration",
        "_locked_do_build_and_run_instance",
        "_sync",
        "do_snapshot_instance",
    )
)


def handed_over(work: Callable[..., Any]) -> Callable[..., Any]:
    """*work* as a branch of the current trace, for the executor that will run it; *work* itself where none is on."""
    return hand_over("nova", work, detached=getattr(work, "__name__", "") in NOBODY_WAITS_FOR)


def _asked_for(init: Method) -> Method:
    """A network that is asked for: a fork, of which nobody knows yet when, or whether, it will be waited for."""

    def run(self: Any, async_method: Any, /, *args: Any, **kwargs: Any) -> None:
        if current.point.get() is not None:
            fork = vars(self)[_FORK] = Fork("allocate network", detached=True)
            async_method = fork.wrap(async_method)
        init(self, async_method, *args, **kwargs)

    return run


def _waited_for(wait: Method) -> Method:
    """The first to wait for a network joins its fork: so the trace tells what the driver waited for."""

    def run(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        fork = vars(self).pop(_FORK, None)
        try:
            return wait(self, *args, **kwargs)
        finally:
            if fork is not None:
                fork.join()

    return run


_FORK = "_osprofiler_fork"

networks = Wrapping(
    Target("nova.network.model", "NetworkInfoAsyncWrapper", "__init__", _asked_for),
    Target("nova.network.model", "NetworkInfoAsyncWrapper", "wait", _waited_for),
)


class Cells:
    """The fork of one scatter over cells; :meth:`join` when its gathering has ended, whoever has answered by then."""

    def __init__(self) -> None:
        self._fork = Fork("scatter-gather")

    def work(self, cell_mapping: Any, gather: Callable[..., Any]) -> Callable[..., Any]:
        """*gather* as the branch of one cell."""
        if self._fork.at is None:
            return gather
        with guard.Harmless("nova.cells"):
            return _CellWork(gather, self._fork.branch(f"cell {_name_of(cell_mapping)}"))
        return gather

    def join(self) -> None:
        """Record which cells have answered, and name those that have not."""
        self._fork.join()


class _CellWork(Carried):
    """Nova's gathering of one cell's result: it returns what the cell raised."""

    __slots__ = ()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        self.branch.__enter__()
        fault: BaseException | None = None
        try:
            result = self.function(*args, **kwargs)
            fault = result if isinstance(result, Exception) else None
            return result
        except BaseException as raised:
            fault = raised
            raise
        finally:
            self.branch.__exit__(type(fault) if fault is not None else None, fault, None)


def _name_of(cell_mapping: Any) -> str:
    try:
        return str(cell_mapping.name or cell_mapping.uuid)
    except Exception:  # of an object that was loaded without it
        return str(cell_mapping.uuid)
