# SPDX-License-Identifier: Apache-2.0
"""Tracing of gRPC's client: each call is a span, from its start until its status is there, also with streams.

This wraps the objects by which a channel makes calls. So it traces the stubs that the service made before. An
interceptor of ``grpc`` that calls again makes a span each time; those of ``grpc.aio`` are inside one span.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable
from typing import Any

from osprofiler._runtime import arguments, guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.handlers import grpc

_METADATA = 2, "metadata"  # its place among the arguments: a request, a time-out, the metadata


def _span_for(returned: Callable[[Point, Point, Any], None]) -> Callable[[Method], Method]:
    """Make a span for each call of a method. *returned* gets the caller's point, that of the span, and the result."""

    def traced(original: Method) -> Method:
        def call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            here = current.point.get()
            if here is None:
                return original(self, *args, **kwargs)
            point, args, kwargs = _begin(here, self, args, kwargs)
            try:
                result = original(self, *args, **kwargs)
            except BaseException as fault:
                _failed(point, fault)
                raise
            if point is not None:
                returned(here, point, result)
            return result

        return call

    return traced


def _is_over(here: Point, point: Point, answer: Any) -> None:
    """The method has waited for the answer."""
    grpc.answered(point, grpc.OK)


def _goes_on(here: Point, point: Point, call: Any) -> None:
    """The call goes on when the method has returned: a future, a stream, or a call of asyncio."""
    current.point.set(here)
    with guard.Harmless("grpc.start"):
        _watch(point, call)


def _begin(
    here: Point, callable_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Point | None, tuple[Any, ...], dict[str, Any]]:
    """Open the span, if *here* is sampled, and return it with the arguments of the call."""
    point = None
    with guard.Harmless("grpc.start"):
        own = arguments.given(args, kwargs, *_METADATA)
        point, metadata = grpc.send(here, _text(callable_._method), _target(callable_), own)
        if metadata is not own:
            args, kwargs = arguments.replaced(args, kwargs, *_METADATA, metadata)
    return point, args, kwargs


def _target(callable_: Any) -> str | None:
    """The address that the channel was made with; None if the channel does not tell it."""
    target = getattr(callable_._channel, "target", None)  # a method, or in asyncio's channel a value
    return _text(target() if callable(target) else target) if target else None


def _failed(point: Point | None, fault: BaseException) -> None:
    if point is None:
        return
    status = None
    with guard.Harmless("grpc.stop"):
        if hasattr(fault, "code") and hasattr(fault, "details"):
            status = _known(fault.code(), fault.details())
    grpc.answered(point, status or grpc.UNKNOWN, None if status else fault)


def _watch(point: Point, call: Any) -> None:
    """Close *point* when *call* is done; a thread of the channel, or the event loop, does it.

    Nothing may refer to the call itself: the library cancels a call that the service has forgotten.
    """
    if (state := getattr(call, "_state", None)) is not None:  # of a channel with threads
        if not call.add_callback(lambda: _ended(point, lambda: _known(state.code, state.details))):
            _ended(point, lambda: _known(state.code, state.details))
    elif (core := getattr(call, "_cython_call", None)) is not None:  # of asyncio
        core.add_done_callback(lambda: _ended(point, lambda: _reported(core)))
    else:  # of asyncio, with interceptors
        call.add_done_callback(functools.partial(_intercepted_ended, point))


def _intercepted_ended(point: Point, call: Any) -> None:
    _ended(point, lambda: _known(_now(call.code()), _now(call.details())))


def _ended(point: Point, read: Callable[[], grpc.Status]) -> None:
    status = grpc.UNKNOWN
    with guard.Harmless("grpc.stop"):
        status = read()
    grpc.answered(point, status)


def _known(code: Any, details: Any) -> grpc.Status:
    """The status with the library's *code*."""
    return grpc.Status(code.name, code.value[0], None if details is None else _text(details))


def _reported(core: Any) -> grpc.Status:
    """The status of asyncio's *core* of a call, which is done."""
    status = _now(core.status())
    codes = sys.modules["grpc"].StatusCode
    return _known(next(each for each in codes if each.value[0] == status.code()), status.details())


def _now(coroutine: Any) -> Any:
    """The result of a coroutine of a call that is done, so that it does not wait. Raises RuntimeError if it does."""
    steps = coroutine.__await__()
    try:
        next(steps)
    except StopIteration as done:
        return done.value
    finally:
        steps.close()
    raise RuntimeError("the call is not done")


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


_blocking = _span_for(_is_over)
_started = _span_for(_goes_on)


def _targets() -> Iterable[Target]:
    blocking = "grpc._channel"
    for name in ("_UnaryUnaryMultiCallable", "_StreamUnaryMultiCallable"):
        yield Target(blocking, name, "__call__", _blocking)
        yield Target(blocking, name, "with_call", _blocking)
        yield Target(blocking, name, "future", _started)
    yield Target(blocking, "_UnaryStreamMultiCallable", "__call__", _started)
    yield Target(blocking, "_SingleThreadedUnaryStreamMultiCallable", "__call__", _started)
    yield Target(blocking, "_StreamStreamMultiCallable", "__call__", _started)
    for requests in ("Unary", "Stream"):
        for responses in ("Unary", "Stream"):
            yield Target("grpc.aio._channel", f"{requests}{responses}MultiCallable", "__call__", _started)


_wrapping = Wrapping(*_targets())

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
