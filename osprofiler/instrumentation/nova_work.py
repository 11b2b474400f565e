# SPDX-License-Identifier: Apache-2.0
"""Work that nova submits to other threads: to executors, to a thread that allocates a network, to one per cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.concurrency.branch_callable import BranchCallable
from osprofiler.concurrency.fork import Fork, hand_over
from osprofiler.context import current

# Functions, by name, whose caller does not wait for them: the request may end before they do. They reference
# FollowsFrom.
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
    """Return *work* as a branch of the current trace, for an executor. Returns *work* itself if no trace is on."""
    return hand_over("nova", work, detached=getattr(work, "__name__", "") in NOBODY_WAITS_FOR)


def _forks(init: Method) -> Method:
    """Fork when nova starts to allocate a network. It is not known yet whether anybody will wait for it."""

    def run(self: Any, async_method: Any, /, *args: Any, **kwargs: Any) -> None:
        if current.point.get() is not None:
            fork = vars(self)[_FORK] = Fork("allocate network", detached=True)
            async_method = fork.wrap(async_method)
        init(self, async_method, *args, **kwargs)

    return run


def _joins(wait: Method) -> Method:
    """Join the fork when somebody first waits for the network: so the trace shows what the driver waited for."""

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
    Target("nova.network.model", "NetworkInfoAsyncWrapper", "__init__", _forks),
    Target("nova.network.model", "NetworkInfoAsyncWrapper", "wait", _joins),
)


class Cells:
    """The fork of one scatter-gather over cells. Call :meth:`join` when the gather has ended, also by a time-out."""

    def __init__(self) -> None:
        self._fork = Fork("scatter-gather")

    def work(self, cell_mapping: Any, gather: Callable[..., Any]) -> Callable[..., Any]:
        """Return *gather* as the branch of one cell."""
        if self._fork.at is None:
            return gather
        with guard.Harmless("nova.cells"):
            return _CellWork(gather, self._fork.branch(f"cell {_name_of(cell_mapping)}"))
        return gather

    def join(self) -> None:
        """Record the cells that have answered, and the names of those that have not."""
        self._fork.join()


class _CellWork(BranchCallable):
    """The gather of one cell's result. Nova's function returns the exception of the cell instead of raising it."""

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
    except Exception:  # nova has loaded the object without the name
        return str(cell_mapping.uuid)
