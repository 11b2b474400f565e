# SPDX-License-Identifier: Apache-2.0
"""Wrappers of generator functions: the point of a call is open from the first resume to exhaustion or close."""

from __future__ import annotations

import contextlib
import inspect
import types
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Protocol, TypeVar

from osprofiler.context import current
from osprofiler.context.pieces import Pieces
from osprofiler.context.points import Point

B = TypeVar("B")


class Opening(Protocol):
    """Opens and closes the points of a callable; or holds one that is open already, whatever is current."""

    is_open: bool

    def begin(
        self, f: Callable[..., B], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Point | None, Pieces | None, B]:
        """A point for what *f* makes, its pieces, and what *f* makes; None, None where nothing is recorded."""

    def done(self, point: Point | None, result: Any = None) -> None:
        """Close the point, if there is one, of a call that returned."""

    def failed(self, point: Point | None, fault: BaseException) -> None:
        """Close the point, if there is one, of a call that raised *fault*."""


def generator(call: Opening, f: Callable[..., Generator[Any, Any, Any]]) -> Callable[..., Any]:
    """A generator: the point is current only while its body runs."""
    is_open = call.is_open

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


def _close(call: Opening, point: Point, body: Generator[Any, Any, Any]) -> None:
    try:
        body.close()
    except BaseException as fault:
        call.failed(point, fault)
        raise
    call.done(point)


def async_generator(call: Opening, f: Callable[..., AsyncGenerator[Any, Any]]) -> Callable[..., Any]:
    """An asynchronous generator: as :func:`generator`."""

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


async def _aclose(call: Opening, point: Point | None, body: AsyncGenerator[Any, Any]) -> None:
    try:
        await body.aclose()
    except BaseException as fault:
        call.failed(point, fault)
        raise
    call.done(point)
