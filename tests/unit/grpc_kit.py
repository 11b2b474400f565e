# SPDX-License-Identifier: Apache-2.0
"""A service for the tests of gRPC: four methods, one for each kind of stream, on a server with threads or asyncio.

It reads all messages of a stream before it answers: asyncio's client fails where a server ends a call before.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio

from osprofiler import profiler

SERVICE = "shop.Store"
#: The names of the methods.
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


def method(kind: str) -> str:
    """The name of the method of this *kind*, as a client sends it."""
    return f"/{SERVICE}/{kind}"


def _work(text: bytes, context: Any) -> bytes:
    """What each method does with a message."""
    verb, _, rest = text.decode().partition(" ")
    with profiler.Trace("work") if profiler.get() and verb != "quiet" else threading.Lock():
        if verb == "set":  # a status, with a result
            context.set_code(grpc.StatusCode[rest])
        elif verb == "raise":
            raise LookupError(rest)
        return text


def unary_unary(request: bytes, context: Any) -> bytes:
    if request.startswith(b"abort "):
        context.abort(grpc.StatusCode[request[6:].decode()], "aborted")
    return _work(request, context)


def unary_stream(request: bytes, context: Any) -> Iterator[bytes]:
    for _ in range(2):
        yield unary_unary(request, context)
    if request == b"endless":
        while True:
            yield request


def stream_unary(requests: Iterable[bytes], context: Any) -> bytes:
    return [unary_unary(request, context) for request in list(requests)][-1]


def stream_stream(requests: Iterable[bytes], context: Any) -> Iterator[bytes]:
    for request in list(requests):
        yield unary_unary(request, context)


async def async_unary_unary(request: bytes, context: Any) -> bytes:
    await asyncio.sleep(0)
    if request.startswith(b"abort "):
        await context.abort(grpc.StatusCode[request[6:].decode()], "aborted")
    if request == b"endless":
        await asyncio.Event().wait()
    return _work(request, context)


async def async_unary_stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
    for _ in range(2):
        yield await async_unary_unary(request if request != b"endless" else b"", context)
    if request == b"endless":
        while True:
            await asyncio.sleep(0)
            yield request


async def async_stream_unary(requests: Any, context: Any) -> bytes:
    return [await async_unary_unary(request, context) for request in [each async for each in requests]][-1]


async def async_stream_stream(requests: Any, context: Any) -> None:
    """It writes its answers, instead of a generator's way."""
    for request in [each async for each in requests]:
        await context.write(await async_unary_unary(request, context))


def handlers(prefix: str) -> dict[str, grpc.RpcMethodHandler]:
    return {kind: getattr(grpc, f"{kind}_rpc_method_handler")(globals()[prefix + kind]) for kind in KINDS}


@contextmanager
def served(registered: bool = True) -> Iterator[str]:
    """The address of a server with threads."""
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers("")),))
    if registered and hasattr(server, "add_registered_method_handlers"):
        server.add_registered_method_handlers(SERVICE, handlers(""))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@contextmanager
def served_by_asyncio() -> Iterator[str]:
    """The address of a server of asyncio, in a thread of its own."""
    addresses: list[str] = []
    started, stop = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def main() -> None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers("async_")),))
        addresses.append(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
        await server.start()
        started.set()
        await stop.wait()
        await server.stop(None)

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    try:
        assert started.wait(60)
        yield addresses[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def callables(channel: Any) -> dict[str, Any]:
    """The objects of *channel* that call the methods, by kind."""
    return {kind: getattr(channel, kind)(method(kind)) for kind in KINDS}


def blocking(calls: dict[str, Any], kind: str, text: bytes, **more: Any) -> list[bytes]:
    """Call the method of *kind* once, with as many messages as it takes, and return its answers."""
    request: Any = iter([text, text]) if kind.startswith("stream") else text
    answer = calls[kind](request, timeout=60, **more)
    return list(answer) if kind.endswith("stream") else [answer]


async def awaited(calls: dict[str, Any], kind: str, text: bytes, **more: Any) -> list[bytes]:
    """The same with a channel of asyncio."""
    request: Any = iter([text, text]) if kind.startswith("stream") else text
    answer = calls[kind](request, timeout=60, **more)
    return [each async for each in answer] if kind.endswith("stream") else [await answer]


class Client:
    """A client with threads."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._channel = grpc.insecure_channel(address)
        self.calls = callables(self._channel)

    def call(self, kind: str, text: bytes, **more: Any) -> list[bytes]:
        return blocking(self.calls, kind, text, **more)

    def close(self) -> None:
        self._channel.close()


class AsyncClient:
    """A client of asyncio, with an event loop of its own."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.loop = asyncio.new_event_loop()
        self._channel = self._run(self._connect, address)
        self.calls = callables(self._channel)

    async def _connect(self, address: str) -> Any:
        return grpc.aio.insecure_channel(address)

    def _run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self.loop.run_until_complete(function(*args, **kwargs))

    def call(self, kind: str, text: bytes, **more: Any) -> list[bytes]:
        answers: list[bytes] = self._run(awaited, self.calls, kind, text, **more)
        return answers

    def close(self) -> None:
        self._run(self._channel.close)
        self.loop.close()
