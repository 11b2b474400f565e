# SPDX-License-Identifier: Apache-2.0
"""multiprocessing: processes, work for a pool, and a pool's callbacks become branches.

A ``Process`` (forked or spawned) and work for a ``Pool`` are ChildOf branches: the caller waits for them. A pool's
callbacks are FollowsFrom branches: nobody waits for them.

A spawned process must turn tracing on by itself. After a bare ``os.fork`` no instrumentation is needed: the child
continues under the point that was current, and only the parent ends its open points.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.concurrency.branch_callable import (
    BranchCallable,
    argument_as_branch,
    branch_for,
    is_machinery,
    name_of,
    wrap_as_branch,
)
from osprofiler.context import current, scope

MODEL = "multiprocessing"


def _start(start: Method) -> Method:
    def run(self: Any) -> Any:
        if current.point.get() is None:
            return start(self)
        undo: Callable[[], object] | None = None
        with guard.Harmless(MODEL):
            undo = _follow(self)
        try:
            # A forked child inherits the current point, and a pool's worker would keep it for ever.
            with scope.entered(None):
                return start(self)
        finally:
            if undo is not None:
                undo()

    return run


def _follow(process: Any) -> Callable[[], object] | None:
    """Make *process* run as a branch. Returns a function that restores the object in this process, or None."""
    target = getattr(process, "_target", None)
    work = process.run if target is None else target
    if isinstance(work, BranchCallable) or is_machinery(work):
        return None
    branch = branch_for(MODEL, name_of(work))
    if branch is None:
        return None
    process.run = BranchCallable(process.run, branch.for_forked_child())
    return lambda: vars(process).pop("run", None)


def _hand_over_target(start: Method) -> Method:
    """Hand over the branch of a process's target: a forked child does not unpickle the target."""

    def run(self: Any) -> Any:
        target = getattr(self, "_target", None)
        if not isinstance(target, BranchCallable):
            return start(self)
        with guard.Harmless(MODEL):
            self._target = BranchCallable(target.function, target.branch.for_forked_child())
        try:
            return start(self)
        finally:
            self._target = target

    return run


def _apply_async(apply_async: Method) -> Method:
    def run(
        self: Any,
        func: Any,
        args: Any = (),
        kwds: Any = {},  # noqa: B006
        callback: Any = None,
        error_callback: Any = None,
    ) -> Any:
        if current.point.get() is not None:
            func, callback, error_callback = _work(func), _callback(callback), _callback(error_callback)
        return apply_async(self, func, args, kwds, callback, error_callback)

    return run


def _map_async(map_async: Method) -> Method:
    def run(
        self: Any,
        func: Any,
        iterable: Any,
        mapper: Any,
        chunksize: Any = None,
        callback: Any = None,
        error_callback: Any = None,
    ) -> Any:
        if current.point.get() is not None:
            func = _work(func, many=True)
            callback, error_callback = _callback(callback), _callback(error_callback)
        return map_async(self, func, iterable, mapper, chunksize, callback, error_callback)

    return run


def _work(func: Any, *, many: bool = False) -> Any:
    return wrap_as_branch(MODEL, func, many=many)


def _callback(func: Any) -> Any:
    return func if func is None else wrap_as_branch(MODEL, func, detached=True)


_imap = argument_as_branch(MODEL, 1, "func", many=True)

_wrapping = Wrapping(
    Target("multiprocessing.process", "BaseProcess", "start", _start),
    Target("multiprocessing.pool", "Pool", "apply_async", _apply_async),
    Target("multiprocessing.pool", "Pool", "_map_async", _map_async),
    Target("multiprocessing.pool", "Pool", "imap", _imap),
    Target("multiprocessing.pool", "Pool", "imap_unordered", _imap),
)

#: Installed by the first ``Fork.wrap``: a callable that it returns also enters its branch in another process.
by_hand = Wrapping(Target("multiprocessing.process", "BaseProcess", "start", _hand_over_target))

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
