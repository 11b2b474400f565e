# SPDX-License-Identifier: Apache-2.0
"""How the instrumentation of every execution model takes a callable along into a branch of the current point.

A model's own file says where work is handed over and whether anybody waits for it; here is what is the same for all:
what the branch is called, whose callables are machinery and no work of the request, and where following ends.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import Context
from typing import Any

from osprofiler._runtime import guard
from osprofiler.concurrency.branch import Branch, not_followed
from osprofiler.context import current
from osprofiler.context.ended_points import has_ended, root_of

#: Modules, and packages, whose own callables move other people's work about (workers, feeders, wake-ups) or keep a
#: connection (readers, heartbeats). Such a callable may live longer than the request that happened to start it.
MACHINERY = (
    "_asyncio",
    "_socket",  # gevent asks name servers in its pool of threads
    "anyio._backends",  # its workers, and trio's, run each piece of work in the context of who handed it over
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
    """A callable as a branch: each call enters it. It equals the callable itself, which is what others look for when
    they remove a callback.
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
        if name in BranchCallable.__slots__:  # not there yet: somebody looks at a bare object
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
    """*function* as a branch of the current point, made by the instrumentation of *model*.

    *function* itself where no trace is on, where it is a branch already, and where it is machinery. *many*: it will be
    called any number of times, each a branch. Never raises.
    """
    if current.point.get() is None:
        return function
    with guard.Harmless(model):
        if is_branch(function):
            return function
        if isinstance(function, functools.partial) and is_context_run(function.func):
            # The context would bring its own point back over the branch's: the branch is entered inside it.
            work, *rest = function.args
            inside = wrap_as_branch(model, work, detached=detached, many=many)
            return functools.partial(function.func, inside, *rest, **function.keywords)
        if not is_machinery(function):
            branch = branch_for(model, name_of(function), detached=detached, many=many)
            if branch is not None:
                return BranchCallable(function, branch)
    return function


def wrap_call_as_branch(
    model: str, function: Callable[..., Any], args: tuple[Any, ...], *, detached: bool = False
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """:func:`wrap_as_branch` for a callable that is handed over with its positional arguments."""
    if is_context_run(function) and args:
        return function, (wrap_as_branch(model, args[0], detached=detached), *args[1:])
    return wrap_as_branch(model, function, detached=detached), args


def branch_for(model: str, name: str, *, detached: bool = False, many: bool = False) -> Branch | None:
    """A branch of the current point for work called *name*; None where no trace is on, or following it ends here.

    It ends where the trace has: work that nobody waits for, and that is made after the request's end, is not followed,
    or a timer that goes on setting itself would stay in the trace of the request that set it first. That is a guess,
    for instrumentation alone: what a fork or a patch hands over belongs to the trace, however late it is.
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
    """Whether *function* is a branch already, or the service's own wrapper around one."""
    return isinstance(function, BranchCallable) or isinstance(getattr(function, "__wrapped__", None), BranchCallable)


def is_machinery(function: Any) -> bool:
    """Whether *function* is one of :data:`MACHINERY`'s own, or a method of a built-in, in which nothing is traced."""
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
    """What a branch is called: the callable's module and qualified name, without arguments, so low in cardinality."""
    while isinstance(function, (functools.partial, BranchCallable)):
        function = function.func if isinstance(function, functools.partial) else function.function
    owner = function if hasattr(function, "__qualname__") else type(function)
    module = getattr(owner, "__module__", None)
    return f"{module}.{owner.__qualname__}" if module and module != "builtins" else str(owner.__qualname__)
