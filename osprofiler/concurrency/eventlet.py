# SPDX-License-Identifier: Apache-2.0
"""eventlet: greenthreads, callbacks and calls in ``tpool`` become branches.

A GreenThread (of ``spawn``, ``spawn_after`` or a pool) and a call in ``tpool`` are ChildOf branches: the caller waits
for them. Work of ``spawn_n`` and callbacks linked to a GreenThread are FollowsFrom branches: nobody waits for them.

The wrapped functions are internal to eventlet. Services import the public functions by name, and those call the
wrapped ones. The instrumentation of threading follows threads that eventlet has patched.
"""

from __future__ import annotations

from typing import Any

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.concurrency.branch_callable import (
    BranchCallable,
    argument_as_branch,
    branch_for,
    is_branch,
    is_context_run,
    is_machinery,
    name_of,
    wrap_as_branch,
    wrap_call_as_branch,
)
from osprofiler.context import current

MODEL = "eventlet"

_BRANCH = "_osprofiler_branch"

# GreenPool spawns functions of its own that get the work as their first argument. By their names: whether the work is
# detached, and whether it is called many times.
_POOL_FUNCTIONS = {"_spawn_n_impl": (True, False), "_do_map": (False, True)}


def _created(init: Method) -> Method:
    def run(self: Any, /, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        if current.point.get() is not None:
            with guard.Harmless(MODEL):
                setattr(self, _BRANCH, branch_for(MODEL, "greenthread"))  # main() has the work, and sets its name

    return run


def _main(main: Method) -> Method:
    def run(self: Any, function: Any, args: Any, kwargs: Any) -> Any:
        branch = vars(self).pop(_BRANCH, None)
        if branch is not None:
            in_context = is_context_run(function) and bool(args)
            work = args[0] if in_context else function
            if not is_branch(work) and not is_machinery(work):
                branch.name = name_of(work)
                work = BranchCallable(work, branch)
                function, args = (function, (work, *args[1:])) if in_context else (work, args)
        return main(self, function, args, kwargs)

    return run


def _spawn_n(spawn_n: Method) -> Method:
    def run(seconds: float, func: Any, args: Any, kwargs: Any) -> Any:
        if current.point.get() is not None:
            pool_function = _POOL_FUNCTIONS.get(getattr(func, "__name__", "")) if is_machinery(func) else None
            if pool_function is not None and args:
                detached, many = pool_function
                args = (wrap_as_branch(MODEL, args[0], detached=detached, many=many), *args[1:])
            else:
                func, args = wrap_call_as_branch(MODEL, func, args, detached=True)
        return spawn_n(seconds, func, args, kwargs)

    return run


_wrapping = Wrapping(
    Target("eventlet.greenthread", "GreenThread", "__init__", _created),
    Target("eventlet.greenthread", "GreenThread", "main", _main),
    Target("eventlet.greenthread", "GreenThread", "link", argument_as_branch(MODEL, 1, "func", detached=True)),
    Target("eventlet.greenthread", "", "_spawn_n", _spawn_n),
    Target("eventlet.tpool", "", "execute", argument_as_branch(MODEL, 0, "meth", applied=True)),
)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
