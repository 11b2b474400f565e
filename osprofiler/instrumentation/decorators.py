# SPDX-License-Identifier: Apache-2.0
"""The decorator that makes functions, methods, coroutines and generators trace points.

Without a trace, a call of a decorated function costs one read of a context variable. The wrappers are plain closures: a
call through a proxy object costs five times as much.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from osprofiler.context import current
from osprofiler.handlers.call import Call, Definition, callable_name
from osprofiler.instrumentation.bodies import async_generator, generator
from osprofiler.instrumentation.returned import BODIES, go_on

P = ParamSpec("P")
R = TypeVar("R")

_POINT = "__osprofiler_point__"


class Decorate(Protocol):
    """The type of the decorator that :func:`trace` returns."""

    def __call__(self, f: Callable[P, R], definition: Definition | None = None) -> Callable[P, R]:
        """Decorate *f*. *definition*: its place in a class, which names its trace points; *f* may have another name."""


def trace(
    name: str,
    info: Mapping[str, Any] | None = None,
    hide_args: bool = False,
    hide_result: bool = True,
    allow_multiple_trace: bool = True,
) -> Decorate:
    """Make each call of the decorated callable a trace point called *name*.

    Works on functions, methods, class and static methods, coroutine functions (the span is open until the coroutine
    ends), generators and asynchronous generators (from the first resume until exhaustion or close). If a plain function
    returns a coroutine, a generator or an asyncio future, the point lasts until that ends.

    *hide_args* keeps the arguments out of the trace, *hide_result* the result. For the rest, ``[profiler]
    trace_arguments`` sets how much is recorded. Raises ValueError if the callable is traced already and
    *allow_multiple_trace* is off.
    """
    base = dict(info or {})

    def decorate(f: Callable[P, R], definition: Definition | None = None) -> Callable[P, R]:
        if isinstance(f, (staticmethod, classmethod)):
            if definition is not None and isinstance(f, staticmethod):
                definition = definition._replace(takes_self=False)
            return cast("Callable[P, R]", type(f)(decorate(f.__func__, definition)))
        f = _without_point(f)
        times = getattr(f, "__traced__", 0)
        if times and not allow_multiple_trace:
            raise ValueError(f"{callable_name(f)} is traced already ({times} times), and multiple tracing is off")
        call = Call(name, base, f, definition, hide_args, hide_result)
        wrapper = _wrapped(f, call)
        target: Any
        for target in (f, wrapper):
            try:
                target.__traced__ = times + 1
            except AttributeError:  # built-ins and bound methods have no attributes to set
                continue
        return cast("Callable[P, R]", wrapper)

    return decorate


def point(f: Callable[..., Any], call: Call) -> Callable[..., Any]:
    """A function for the place of *f*, whose code asks for no trace point: it opens those of *call*.

    Code that decorates it by :func:`trace` later decorates *f* instead, so one call is never two points.
    """
    wrapper = _wrapped(f, call)
    setattr(wrapper, _POINT, (wrapper, f))
    return wrapper


def is_traced(function: Any) -> bool:
    """Whether calls of *function* open trace points, by :func:`trace` or by :func:`point`."""
    return bool(getattr(function, "__traced__", 0)) or hasattr(function, _POINT)


def _without_point(f: Callable[P, R]) -> Callable[P, R]:
    """What :func:`point` has replaced by the function, or bound method, *f*; *f* if it is none of that."""
    method: Any = f
    function = getattr(f, "__func__", f)
    replacement, original = getattr(function, _POINT, (None, None))
    if original is None or replacement is not function:  # a decorator around it has copied the attribute
        return f
    return cast("Callable[P, R]", original if function is f else original.__get__(method.__self__))


def _wrapped(f: Callable[..., Any], call: Call) -> Callable[..., Any]:
    return functools.wraps(f)(_wrapper_for(f)(call, f))


def _wrapper_for(f: Callable[..., Any]) -> Callable[[Call, Callable[..., Any]], Callable[..., Any]]:
    for body in (f, getattr(type(f), "__call__", None)):  # noqa: B004
        if inspect.iscoroutinefunction(body):
            return _coroutine
        if inspect.isasyncgenfunction(body):
            return async_generator
        if inspect.isgeneratorfunction(body):
            return generator
    return _function


def _function(call: Call, f: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        here = current.point.get()
        if here is None or (point := call.open(here, args, kwargs)) is None:
            return f(*args, **kwargs)
        try:
            result = f(*args, **kwargs)
        except BaseException as fault:
            call.failed(point, fault)
            raise
        kind = type(result)
        try:
            runs_later = kind in BODIES or hasattr(kind, "__await__")
        except Exception:  # raised by a metaclass of the application
            runs_later = False
        if runs_later:
            unshared = sys.getrefcount(result) == 2  # this frame's reference, and that of the call
            return go_on(call, point, here, result, unshared)

        call.done(point, result)
        return result

    return wrapper


def _coroutine(call: Call, f: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        here = current.point.get()
        if here is None or (point := call.open(here, args, kwargs)) is None:
            return await f(*args, **kwargs)
        try:
            result = await f(*args, **kwargs)
        except BaseException as fault:
            call.failed(point, fault)
            raise
        call.done(point, result)
        return result

    return wrapper
