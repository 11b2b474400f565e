# SPDX-License-Identifier: Apache-2.0
"""The decorator of whatever can be called: functions, methods, coroutines and generators as trace points.

At rest a decorated function costs one read of a context variable. Ours are plain closures, since a proxy object costs
five times that on each call.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar, cast

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler.context import current, scope
from osprofiler.context.pieces import Pieces
from osprofiler.context.points import Point
from osprofiler.context.trace_context import SAMPLED
from osprofiler.context.values import argument_types, arguments, representation, type_text
from osprofiler.delivery import masking
from osprofiler.records.names import CLASS
from osprofiler.tracer import global_tracer

P = ParamSpec("P")
R = TypeVar("R")
B = TypeVar("B")

#: Characters kept of the text of all positional, or all keyword, arguments, and of a result.
MAX_ARGUMENT_CHARS = 16_384


class Definition(NamedTuple):
    """A callable as an attribute of a class, whatever the function behind it is called: a decorator may hide that."""

    owner: type  # the class that defines it
    attribute: str
    takes_self: bool = True  # its first argument is the object, or the class, that runs it

    @property
    def name(self) -> str:
        """Its full name, as a function that is defined in the class has it."""
        attribute, mangling = self.attribute, f"_{self.owner.__name__.lstrip('_')}"
        if attribute.startswith(f"{mangling}__"):
            attribute = attribute.removeprefix(mangling)
        return f"{_class_name(self.owner)}.{attribute}"

    def tags(self, args: tuple[Any, ...]) -> dict[str, Any] | None:
        """The tags of a call with *args*."""
        if not self.takes_self or not args:
            return None
        runs = args[0] if isinstance(args[0], type) else type(args[0])
        return None if runs is self.owner else {CLASS: _class_name(runs)}


class Decorate(Protocol):
    """What :func:`trace` returns."""

    def __call__(self, f: Callable[P, R], definition: Definition | None = None) -> Callable[P, R]:
        """*f* as trace points, named by its *definition* in a class where it has one, which *f* alone need not tell."""


def trace(
    name: str,
    info: Mapping[str, Any] | None = None,
    hide_args: bool = False,
    hide_result: bool = True,
    allow_multiple_trace: bool = True,
) -> Decorate:
    """Make each call of the decorated callable a trace point called *name*.

    Works on functions, methods, class and static methods, coroutine functions (the span is open until the coroutine
    ends), generators and asynchronous generators (from the first resume to exhaustion or close). The point of a plain
    function that returns one of these, or an asyncio future, lasts as long as that one does. *hide_args* keeps
    the arguments' text out of the trace, *hide_result* the result's; of the others ``[profiler] trace_arguments`` says
    what is kept. Raises ValueError on a callable that is traced already unless *allow_multiple_trace*.
    """
    base = dict(info or {})

    def decorate(f: Callable[P, R], definition: Definition | None = None) -> Callable[P, R]:
        if isinstance(f, (staticmethod, classmethod)):
            if definition is not None and isinstance(f, staticmethod):
                definition = definition._replace(takes_self=False)
            return cast("Callable[P, R]", type(f)(decorate(f.__func__, definition)))
        times = getattr(f, "__traced__", 0)
        if times and not allow_multiple_trace:
            raise ValueError(f"{_callable_name(f)} is traced already ({times} times), and multiple tracing is off")
        call = _Call(name, base, f, definition, hide_args, hide_result)
        wrapper = functools.wraps(f)(_wrapper_for(f)(call, f))
        target: Any
        for target in (f, wrapper):
            try:
                target.__traced__ = times + 1
            except AttributeError:  # a built-in or a bound method takes no attributes
                continue
        return cast("Callable[P, R]", wrapper)

    return decorate


class _Call:
    """Opens and closes the trace points of one decorated callable."""

    __slots__ = ("_base", "_definition", "_function_name", "_hide_args", "_hide_result", "_name", "_parameters")

    def __init__(
        self,
        name: str,
        base: dict[str, Any],
        f: Callable[..., Any],
        definition: Definition | None,
        hide_args: bool,
        hide_result: bool,
    ) -> None:
        self._name = name
        self._base = base
        self._definition = definition
        self._function_name = _callable_name(f) if definition is None else definition.name
        self._hide_args = hide_args
        self._hide_result = hide_result
        self._parameters = _positional(f)

    def open(self, here: Point, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Point | None:
        """A point for one call, or None where nothing is recorded."""
        if not here.origin.flags & SAMPLED:
            return None
        try:
            function: dict[str, Any] = {"name": self._function_name}
            if not self._hide_args and (kept := config.current().trace_arguments) != "none":
                show = argument_types
                if kept == "full":
                    show, args = arguments, masking.arguments(self._parameters, args)
                function["args"] = show(args, MAX_ARGUMENT_CHARS)
                function["kwargs"] = show(kwargs, MAX_ARGUMENT_CHARS)
            return global_tracer.get_tracer().open_point(
                here,
                self._name,
                {**self._base, "function": function},
                operation=self._function_name,
                tags=None if self._definition is None else self._definition.tags(args),
            )
        except Exception as fault:
            guard.swallow("start", fault)
            return None

    def begin(
        self, f: Callable[..., B], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Point | None, Pieces | None, B]:
        """A point for what *f* makes, its pieces, and what *f* makes; None, None where nothing is recorded."""
        body = f(*args, **kwargs)
        here = current.point.get()
        if here is None or (point := self.open(here, args, kwargs)) is None:
            return None, None, body
        current.point.set(here)
        return point, Pieces(point), body

    def go_on(self, point: Point, here: Point, result: Any, unshared: bool) -> Any:
        """Let the point of a call that returned *result* go on with it; what the caller gets in its place.

        That is an object of the same type, or *result* itself where somebody else knows it, or has begun to run it.
        """
        try:
            kind = type(result)
            if kind in _BODIES:
                if unshared and _is_fresh(result):
                    running = _BODIES[kind](_Returned(self, point, result, here), result)()
                    running.__name__, running.__qualname__ = result.__name__, result.__qualname__
                    return running
            elif _is_pending(result):
                result.add_done_callback(_Returned(self, point, None, here).future_done)
                return result
        except Exception as fault:
            guard.swallow("start", fault)
        self.done(point, result)
        return result

    def done(self, point: Point | None, result: Any = None) -> None:
        """Close the point, if there is one, of a call that returned."""
        if point is None:
            return
        info: dict[str, Any] | None = None
        try:
            try:
                if not self._hide_result and (kept := config.current().trace_arguments) != "none":
                    shown = self._shown(result) if kept == "full" else type_text(result)
                    info = {"function": {"result": shown}}
            finally:  # also where the result's own repr exits: the point must not stay current
                point.end(info)
        except Exception as fault:
            guard.swallow("stop", fault)

    def _shown(self, result: Any) -> str:
        """The text of *result*; that of a function that is called like a secret is one."""
        if result is not None and masking.is_secret(self._function_name.rpartition(".")[2]):
            return masking.MASK
        return representation(result, MAX_ARGUMENT_CHARS)

    def failed(self, point: Point | None, fault: BaseException) -> None:
        """Close the point, if there is one, of a call that raised *fault*."""
        if point is None:
            return
        try:
            point.end(fault=fault)
        except Exception as own:
            guard.swallow("stop", own)


class _Returned:
    """The point of a call that has returned, for what it returned: whoever runs that goes on with the point.

    It ends with it, also where nobody ever begins to run it.
    """

    __slots__ = ("_at", "_body", "_point", "done", "failed")

    def __init__(self, call: _Call, point: Point, body: Any, above: Point) -> None:
        at = current.point.get()
        current.point.set(above)
        self._at = at if at is not None and at.inside(point) else point  # what the call left open is inside still
        self._body = body
        self._point = point
        self.done = call.done
        self.failed = call.failed

    def begin(self, f: Any, args: Any, kwargs: Any) -> tuple[Point, Pieces, Any]:
        """As ``_Call.begin``, for what there is already."""
        return self._point, Pieces(self._at), self._body

    async def run(self) -> Any:
        """Await what was returned."""
        with scope.entered(self._at):
            try:
                result = await self._body
            except BaseException as fault:
                self.failed(self._point, fault)
                raise
            self.done(self._point, result)
            return result

    def future_done(self, future: Any) -> None:
        """Close the point of a call that returned *future*, which is done."""
        with guard.Harmless("stop"):
            # Asked for by its public name, an exception counts as seen, and asyncio would not tell of it any more.
            fault = getattr(future, "_exception", None)
            if future.cancelled():
                fault = sys.modules["asyncio"].CancelledError()
            if fault is None:
                self.done(self._point, future.result())
            else:
                self.failed(self._point, fault)

    def __del__(self) -> None:
        with guard.Harmless("stop"):
            span = self._point.span
            if span is not None and span.end_tick is None:
                if inspect.iscoroutine(self._body):
                    self._body.close()  # or it would tell a second time that it was never awaited
                self._point.end()


def _is_fresh(body: Any) -> bool:
    """Whether nobody has begun to run a coroutine or generator. Of an asynchronous generator that cannot be told."""
    if inspect.iscoroutine(body):
        return inspect.getcoroutinestate(body) == inspect.CORO_CREATED
    return not inspect.isgenerator(body) or inspect.getgeneratorstate(body) == inspect.GEN_CREATED


def _is_pending(result: Any) -> bool:
    """Whether *result* is a future of the event loop that runs here, and not done."""
    asyncio = sys.modules.get("asyncio")
    return (
        asyncio is not None
        and asyncio.isfuture(result)
        and not result.done()
        and result.get_loop() is asyncio._get_running_loop()
    )


def _wrapper_for(f: Callable[..., Any]) -> Callable[[_Call, Callable[..., Any]], Callable[..., Any]]:
    for body in (f, getattr(type(f), "__call__", None)):  # noqa: B004
        if inspect.iscoroutinefunction(body):
            return _coroutine
        if inspect.isasyncgenfunction(body):
            return _async_generator
        if inspect.isgeneratorfunction(body):
            return _generator
    return _function


def _function(call: _Call, f: Callable[..., Any]) -> Callable[..., Any]:
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
            has_yet_to_run = kind in _BODIES or hasattr(kind, "__await__")
        except Exception:  # a metaclass of the application's has the last word on both
            has_yet_to_run = False
        if has_yet_to_run:
            unshared = sys.getrefcount(result) == 2  # this frame's reference, and that of the call
            return call.go_on(point, here, result, unshared)
        call.done(point, result)
        return result

    return wrapper


def _coroutine(call: _Call, f: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
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


def _generator(call: _Call | _Returned, f: Callable[..., Generator[Any, Any, Any]]) -> Callable[..., Any]:
    is_open = isinstance(call, _Returned)  # the point is there already, whatever is current

    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        if not is_open and current.point.get() is None:
            body = f(*args, **kwargs)
            del args, kwargs
            return (yield from body)
        point, pieces, body = call.begin(f, args, kwargs)
        del args, kwargs  # the body may drop its own, and then they are to go
        if point is None or pieces is None:
            return (yield from body)
        sent: Any = None
        thrown: BaseException | None = None
        while True:
            with pieces:
                try:
                    items = [body.send(sent) if thrown is None else body.throw(thrown)]
                except StopIteration as stop:
                    call.done(point, stop.value)
                    return stop.value
                except BaseException as fault:
                    call.failed(point, fault)
                    raise
                finally:
                    sent = thrown = None  # keep nothing alive that the body does not
            try:
                sent = yield items.pop()
            except GeneratorExit:
                with pieces:
                    _close(call, point, body)
                raise
            except BaseException as fault:
                thrown = fault

    return types.coroutine(wrapper) if _is_coroutine_like(f) else wrapper


def _is_coroutine_like(f: Any) -> bool:
    """Whether ``types.coroutine`` made the generator function *f*, or that of the generator *f*, awaitable."""
    code = getattr(f, "__code__", None) or getattr(f, "gi_code", None)
    return bool(getattr(code, "co_flags", 0) & inspect.CO_ITERABLE_COROUTINE)


def _close(call: _Call | _Returned, point: Point, body: Generator[Any, Any, Any]) -> None:
    try:
        body.close()
    except BaseException as fault:
        call.failed(point, fault)
        raise
    call.done(point)


def _async_generator(call: _Call | _Returned, f: Callable[..., AsyncGenerator[Any, Any]]) -> Callable[..., Any]:
    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        point, some, body = call.begin(f, args, kwargs)
        del args, kwargs
        pieces = some or contextlib.nullcontext()
        sent: Any = None
        thrown: BaseException | None = None
        while True:
            with pieces:
                try:
                    items = [await (body.asend(sent) if thrown is None else body.athrow(thrown))]
                except StopAsyncIteration:
                    call.done(point)
                    return
                except BaseException as fault:
                    call.failed(point, fault)
                    raise
                finally:
                    sent = thrown = None
            try:
                sent = yield items.pop()
            except GeneratorExit:
                with pieces:
                    await _aclose(call, point, body)
                raise
            except BaseException as fault:
                thrown = fault

    return wrapper


async def _aclose(call: _Call | _Returned, point: Point | None, body: AsyncGenerator[Any, Any]) -> None:
    try:
        await body.aclose()
    except BaseException as fault:
        call.failed(point, fault)
        raise
    call.done(point)


# What a plain function may return that has yet to run: how its point goes on.
_BODIES: dict[type, Callable[[_Returned, Any], Callable[[], Any]]] = {
    types.CoroutineType: lambda rest, body: rest.run,
    types.GeneratorType: _generator,
    types.AsyncGeneratorType: _async_generator,
}


def _callable_name(f: Any) -> str:
    """A callable's full name: module and qualified name; of a callable object, its class's."""
    owner = f if hasattr(f, "__qualname__") else type(f)
    if inspect.ismethod(f):
        cls = f.__self__ if inspect.isclass(f.__self__) else type(f.__self__)
        return f"{_class_name(cls)}.{f.__name__}"
    module = getattr(owner, "__module__", None)
    return f"{module}.{owner.__qualname__}" if module and module != "builtins" else str(owner.__qualname__)


def _positional(f: Any) -> tuple[str, ...]:
    """The names of *f*'s parameters that may be given by position; none where it does not tell."""
    try:
        plain = inspect.unwrap(f)
        code = plain.__code__
    except Exception:  # a callable object, one in C
        return ()
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount]
    return names[1:] if inspect.ismethod(plain) else names


def _class_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
