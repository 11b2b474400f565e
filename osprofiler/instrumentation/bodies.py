# SPDX-License-Identifier: Apache-2.0
"""Wrappers of generator functions. The point of a call is open from the first resume until exhaustion or close."""

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
    """Opens and closes the points of a callable, or holds a point that is open already."""

    is_open: bool  # True: it holds a point that is open, so ``begin`` does not need a current point

    def begin(
        self, f: Callable[..., B], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Point | None, Pieces | None, B]:
        """Return a point, its pieces, and the generator that *f* makes.

        The point and its pieces are None if nothing is recorded.
        """

    def done(self, point: Point | None, result: Any = None) -> None:
        """Close *point*, if it is not None, after the call has returned *result*."""

    def failed(self, point: Point | None, fault: BaseException) -> None:
        """Close *point*, if it is not None, after the call has raised *fault*."""


def generator(call: Opening, f: Callable[..., Generator[Any, Any, Any]]) -> Callable[..., Any]:
    """Wrap the generator function *f*: the point is current only while the body runs."""
    is_open = call.is_open

    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        if not is_open and current.point.get() is None:
            body = f(*args, **kwargs)
            del args, kwargs
            return (yield from body)
        point, pieces, body = call.begin(f, args, kwargs)
        del args, kwargs  # the body may drop its references: ours must not keep the objects alive
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
                    sent = thrown = None  # the same
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
    """Whether ``types.coroutine`` has made *f* awaitable. *f* is a generator function or a generator."""
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
    """Wrap the asynchronous generator function *f*: the same as :func:`generator`."""

    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        point, point_pieces, body = call.begin(f, args, kwargs)
        del args, kwargs
        pieces = point_pieces or contextlib.nullcontext()

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
