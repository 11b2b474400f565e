# SPDX-License-Identifier: Apache-2.0
"""Turn a callable into a branch of the current point; the instrumentation of every execution model uses this.

The module of an execution model knows where work is submitted, and whether the submitter waits for it. This module
has what is common to all of them: the name of a branch, the list of callables that are not work of a request, and the
rule that says when a trace is not followed any further.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any

from osprofiler._runtime import arguments, guard
from osprofiler.concurrency.branch import Branch, not_followed
from osprofiler.context import current
from osprofiler.context.ended_points import has_ended, root_of

if TYPE_CHECKING:
    from osprofiler._runtime.wrapping import Method

#: Modules and packages whose own callables run the work of others (workers, feeders, wake-ups) or keep a connection
#: open (readers, heartbeats). These callables may live longer than the request that started them.
MACHINERY = (
    "_asyncio",
    "_socket",  # gevent resolves names in its pool of threads
    "anyio._backends",  # its workers, and trio's, run each piece of work in the context of its submitter
    "asyncio",
    "builtins",
    "concurrent.futures",
    "eventlet",
    "futurist",
    "gevent",
    "grpc._cython",
    "multiprocessing",
    "oslo_messaging",
    "oslo_privsep",
    "oslo_service",
    "osprofiler.concurrency",
    "osprofiler.context",
    "osprofiler.delivery",
    "osprofiler.tracer",
    "pymongo",
    "trio._core._thread_cache",
)


class BranchCallable:
    """A callable whose calls enter a branch.

    It is equal to the callable itself, because services remove a callback by the callable that they added.
    """

    __slots__ = ("branch", "function")

    def __init__(self, function: Callable[..., Any], branch: Branch) -> None:
        self.function = function
        self.branch = branch

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        with self.branch:
            return self.function(*args, **kwargs)

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        return self.function

    def __getattr__(self, name: str) -> Any:
        if name in BranchCallable.__slots__:  # not set yet: the object is being copied or unpickled
            raise AttributeError(name)
        return getattr(self.function, name)

    def __eq__(self, other: object) -> bool:
        return bool(self.function == (other.function if isinstance(other, BranchCallable) else other))

    def __hash__(self) -> int:
        return hash(self.function)

    def __reduce__(self) -> tuple[Any, ...]:
        return BranchCallable, (self.function, self.branch)


def wrap_as_branch(
    model: str, function: Callable[..., Any], *, detached: bool = False, many: bool = False
) -> Callable[..., Any]:
    """Return *function* as a branch of the current point, for the instrumentation of *model*.

    Returns *function* itself if no trace is on, if it is a branch already, or if it belongs to :data:`MACHINERY`.
    *many*: it will be called any number of times, and each call is a branch. Never raises.
    """
    if current.point.get() is None:
        return function
    with guard.Harmless(model):
        if is_branch(function):
            return function
        if isinstance(function, functools.partial) and is_context_run(function.func):
            # The context would replace the branch's point by its own, so the branch is entered inside the context.
            work, *rest = function.args
            branch_work = wrap_as_branch(model, work, detached=detached, many=many)
            return functools.partial(function.func, branch_work, *rest, **function.keywords)
        if not is_machinery(function):
            branch = branch_for(model, name_of(function), detached=detached, many=many)
            if branch is not None:
                return BranchCallable(function, branch)
    return function


def wrap_call_as_branch(
    model: str, function: Callable[..., Any], args: tuple[Any, ...], *, detached: bool = False
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Do the same as :func:`wrap_as_branch` for a callable and its positional arguments."""
    if is_context_run(function) and args:
        return function, (wrap_as_branch(model, args[0], detached=detached), *args[1:])
    return wrap_as_branch(model, function, detached=detached), args


def argument_as_branch(
    model: str, place: int, name: str, *, applied: bool = False, detached: bool = False, many: bool = False
) -> Callable[[Method], Method]:
    """Make a wrapper of a function that takes work: argument number *place*, called *name*, becomes a branch.

    *applied*: the positional arguments after the work are those of its call. The rest is as in :func:`wrap_as_branch`.
    """

    def wrap(original: Method) -> Method:
        def run(*args: Any, **kwargs: Any) -> Any:
            if current.point.get() is not None:
                if applied and len(args) > place:
                    work, rest = wrap_call_as_branch(model, args[place], args[place + 1 :], detached=detached)
                    args = (*args[:place], work, *rest)
                elif (given := arguments.given(args, kwargs, place, name)) is not None:
                    work = wrap_as_branch(model, given, detached=detached, many=many)
                    args, kwargs = arguments.replaced(args, kwargs, place, name, work)
            return original(*args, **kwargs)

        return run

    return wrap


def branch_for(model: str, name: str, *, detached: bool = False, many: bool = False) -> Branch | None:
    """Return a branch of the current point for work called *name*; None if no trace is on or the trace has ended.

    Work that is created after the end of its request, and that nobody waits for, is not followed. Otherwise a timer
    that restarts itself would stay in the trace of the request that started it first. This rule is a guess, and only
    instrumentation uses it: work from a fork or a patch always belongs to the trace, even if it comes late.
    """
    here = current.point.get()
    if here is None:
        return None
    ended = has_ended(root_of(here))
    if ended and (detached or has_ended(here.span)):
        not_followed(model)
        return None
    return Branch(here, name, model, detached=detached, many=many, only_if_awaited=ended)


def is_branch(function: Any) -> bool:
    """Whether *function* is a branch already, or a wrapper of the service around a branch."""
    return isinstance(function, BranchCallable) or isinstance(getattr(function, "__wrapped__", None), BranchCallable)


def is_machinery(function: Any) -> bool:
    """Whether *function* belongs to :data:`MACHINERY`, or is a method of a built-in type, which traces nothing."""
    while isinstance(function, functools.partial):
        function = function.func
    module = getattr(function, "__module__", None)
    return not isinstance(module, str) or _is_machinery(module)


@functools.lru_cache(maxsize=1024)
def _is_machinery(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in MACHINERY)


def is_context_run(function: Any) -> bool:
    """Whether *function* is the ``run`` of a ``contextvars.Context``."""
    return isinstance(getattr(function, "__self__", None), Context) and getattr(function, "__name__", "") == "run"


def name_of(function: Any) -> str:
    """The name of a branch: module and qualified name of the callable, without arguments (low cardinality)."""
    while isinstance(function, (functools.partial, BranchCallable)):
        function = function.func if isinstance(function, functools.partial) else function.function
    owner = function if hasattr(function, "__qualname__") else type(function)
    module = getattr(owner, "__module__", None)
    return f"{module}.{owner.__qualname__}" if module and module != "builtins" else str(owner.__qualname__)
