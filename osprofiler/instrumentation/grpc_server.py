# SPDX-License-Identifier: Apache-2.0
"""Tracing of gRPC's servers: each call that asks for a trace, or that a sampler selects, is a span.

This wraps the look-up of a method's handler, which servers of ``grpc`` and of ``grpc.aio`` have in common. So servers
that run already are traced. The interceptors of the service run outside the span. A ``GenericRpcHandler`` of the
service's own is not seen.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current, scope
from osprofiler.context.pieces import Pieces
from osprofiler.context.points import Point
from osprofiler.handlers import grpc
from osprofiler.instrumentation.bodies import async_generator, generator
from osprofiler.propagation import Incoming


def _look_up(original: Method) -> Method:
    def service(self: Any, /, handler_call_details: Any) -> Any:
        handler = original(self, handler_call_details)
        if handler is not None:
            with guard.Harmless("grpc.server"):
                method = handler_call_details.method
                incoming = grpc.receive(method, handler_call_details.invocation_metadata)
                if incoming is not None:
                    return _traced(handler, _Served(method, incoming))
        return handler

    return service


class _Served:
    """One received call: it opens the span when the service's method runs, and closes it with the status of the call.

    ``bodies`` calls it for methods that are generators.
    """

    is_open = True  # it needs no current point

    def __init__(self, method: str, incoming: Incoming) -> None:
        self._method = method
        self._incoming = incoming
        self._context: Any = None
        self._is_whole = False

    def open(self, context: Any) -> Point | None:
        """The point at which the method runs; None if tracing fails."""
        self._context = context
        with guard.Harmless("grpc.server"):
            return grpc.serve(self._incoming, self._method, context.peer())
        return None

    def called(self, behavior: Method, request: Any, context: Any) -> Any:
        """Run a method that has one answer."""
        point = self.open(context)
        with scope.entered(point or current.point.get()):
            try:
                result = behavior(request, context)
            except BaseException as fault:
                self.failed(point, fault)
                raise
            self._is_whole = True
            self.done(point)
            return result

    async def awaited(self, behavior: Method, request: Any, context: Any) -> Any:
        """Run a coroutine method. It may write many answers itself."""
        point = self.open(context)
        with scope.entered(point or current.point.get()):
            try:
                result = await behavior(request, context)
            except BaseException as fault:
                self.failed(point, fault)
                raise
            self._is_whole = True
            self.done(point)
            return result

    def iterated(self, behavior: Method, request: Any, context: Any) -> Generator[Any, Any, Any]:
        """The answers of a method that has many."""
        yield from behavior(request, context)
        self._is_whole = True

    async def iterated_async(self, behavior: Method, request: Any, context: Any) -> AsyncGenerator[Any, Any]:
        """The same for an asynchronous generator method."""
        async with contextlib.aclosing(behavior(request, context)) as answers:
            async for answer in answers:
                yield answer
        self._is_whole = True

    def begin(
        self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Point | None, Pieces | None, Any]:
        point = self.open(args[1])
        return point, None if point is None else Pieces(point), f(*args, **kwargs)

    def done(self, point: Point | None, result: Any = None) -> None:
        self._close(point, None)

    def failed(self, point: Point | None, fault: BaseException) -> None:
        self._close(point, fault)

    def _close(self, point: Point | None, fault: BaseException | None) -> None:
        if point is None:
            return
        status = None
        with guard.Harmless("grpc.stop"):
            left = fault is None and not self._is_whole
            status = grpc.CANCELLED if left or _is_cancellation(fault) else _status(self._context)
        grpc.served(point, status, fault)


def _status(context: Any) -> grpc.Status | None:
    """The status that the service has set; None: none."""
    code = context.code()
    number = getattr(code, "value", (code,))[0]  # a StatusCode, or a number, or None
    if not number:
        return None
    name = next((each.name for each in sys.modules["grpc"].StatusCode if each.value[0] == number), str(number))
    details = context.details()
    return grpc.Status(name, number, details.decode("utf-8", "replace") if isinstance(details, bytes) else details)


def _is_cancellation(fault: BaseException | None) -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(fault, asyncio.CancelledError)


def _traced(handler: Any, served: _Served) -> Any:
    """A handler that does the same as *handler*, inside the span."""
    requests = "stream" if handler.request_streaming else "unary"
    responses = "stream" if handler.response_streaming else "unary"
    kind = f"{requests}_{responses}"
    behavior = getattr(handler, kind)
    if getattr(behavior, "experimental_non_blocking", False):
        return handler  # it returns before its work is done
    make = getattr(sys.modules["grpc"], f"{kind}_rpc_method_handler")
    run = _behavior(behavior, served, streams=handler.response_streaming)
    return make(run, handler.request_deserializer, handler.response_serializer)


def _behavior(behavior: Any, served: _Served, *, streams: bool) -> Callable[..., Any]:
    """*behavior*, the service's method, inside the span. A server looks at its kind, so it stays of the same kind."""
    if inspect.isasyncgenfunction(behavior):
        return async_generator(served, functools.partial(served.iterated_async, behavior))
    if inspect.iscoroutinefunction(behavior):
        return functools.partial(served.awaited, behavior)
    if streams:
        return generator(served, functools.partial(served.iterated, behavior))
    return functools.partial(served.called, behavior)


_wrapping = Wrapping(
    Target("grpc._utilities", "DictionaryGenericHandler", "service", _look_up),
    # The methods that generated code registers by name, in servers with threads from 1.65 on.
    Target("grpc._server", "_RegisteredMethod", "handler", _look_up),
)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
