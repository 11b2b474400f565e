# SPDX-License-Identifier: Apache-2.0
"""gRPC over a real connection: each kind of call, of clients and servers with threads and of asyncio."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import grpc
import grpc.aio
import pytest
from jaeger_client import ConstSampler

from osprofiler import config, profiler
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.instrumentation import registry
from osprofiler.testing.recorder import KEY, Recording, recording
from osprofiler.tracer import global_tracer
from tests.unit.core_kit import a_clean_process
from tests.unit.grpc_kit import KINDS, SERVICE, AsyncClient, Client, callables, method, served, served_by_asyncio
from tests.waiting import wait_until

SECRET = "hUnTeR2"


@pytest.fixture(params=[served, lambda: served(registered=False), served_by_asyncio], ids=["threads", "generic", "aio"])
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server that was started before the layer was turned on."""
    serve: Callable[[], AbstractContextManager[str]] = request.param
    with serve() as address:
        yield address


@pytest.fixture(params=[Client, AsyncClient])
def client(request: pytest.FixtureRequest, server: str) -> Iterator[Any]:
    """A client that was made, and has been connected, before the layer was turned on."""
    client = request.param(server)
    client.call("unary_unary", b"warm")
    yield client
    client.close()


@pytest.fixture
def spans(server: str) -> Iterator[Recording]:
    with a_clean_process():
        config.publish(enabled=True, hmac_keys=(KEY,))
        registry.instrument("grpc", "grpc_server")
        with recording() as spans:
            yield spans
            wait_until(lambda: spans.unfinished() == [], what="the end of all spans")
        registry.uninstrument()


def ended(spans: Recording, count: int) -> list[Any]:
    """The first *count* spans of gRPC in the order of their starts: the client's is in front of the server's."""
    wait_until(lambda: len([span for span in spans if span.name == "grpc"]) >= count, what=f"{count} spans of gRPC")
    found = [span for span in spans if span.name == "grpc"]
    assert len(found) == count
    return sorted(found, key=lambda span: (span.tags["span.kind"], span.start_us))


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_is_a_span_at_both_ends(client: Any, spans: Recording, kind: str) -> None:
    before = current.point.get()
    with profiler.Trace("outer"):
        assert client.call(kind, b"hello") == [b"hello"] * (2 if kind.endswith("stream") else 1)
    assert current.point.get() is before
    sent, received = ended(spans, 2)
    assert sent.parent_id == spans.one("outer").point_id
    assert received.parent_id == sent.point_id
    assert (sent.tags["span.kind"], received.tags["span.kind"]) == ("client", "server")
    for span in (sent, received):
        assert span.operation == f"grpc {SERVICE}/{kind}"
        assert span.error is None
        shown = {name: value for name, value in span.tags.items() if name.startswith(("rpc.", "component"))}
        assert shown == {
            "component": "grpc",
            "rpc.system": "grpc",
            "rpc.service": SERVICE,
            "rpc.method": kind,
            "rpc.grpc.status_code": 0,
        }
    # The calls of grpc.aio before 1.82 do not tell the server's address.
    is_told = not isinstance(client, AsyncClient) or tuple(map(int, grpc.__version__.split(".")[:2])) >= (1, 82)
    assert sent.tags.get("peer.address", "" if is_told else client.address).endswith(client.address)
    assert received.tags["peer.address"].startswith("ipv4:127.0.0.1:")
    work = [span for span in spans if span.name == "work"]
    assert {span.parent_id for span in work} == {received.point_id}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "is_error"), [("NOT_FOUND", False), ("UNAVAILABLE", True), ("INTERNAL", True), ("ABORTED", False)]
)
def test_a_status_is_an_error_of_the_client_and_of_the_server_if_it_is_its_fault(
    client: Any, spans: Recording, kind: str, status: str, is_error: bool
) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        client.call(kind, f"abort {status}".encode())
    assert raised.value.code() is grpc.StatusCode[status]  # type: ignore[attr-defined]
    sent, received = ended(spans, 2)
    number = grpc.StatusCode[status].value[0]
    assert [span.tags["rpc.grpc.status_code"] for span in (sent, received)] == [number, number]
    assert sent.error == status
    assert sent.stop_info["message"] == "aborted"
    assert received.error == (status if is_error else None)


@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_of_the_service_is_the_error_of_its_span(client: Any, spans: Recording, kind: str) -> None:
    with pytest.raises(grpc.RpcError):
        client.call(kind, b"raise gone")
    sent, received = ended(spans, 2)
    assert (sent.error, received.error) == ("UNKNOWN", "LookupError")
    assert received.tags["rpc.grpc.status_code"] == 2


@pytest.mark.parametrize("kind", ["unary_unary", "stream_unary"])
def test_a_status_that_is_set_without_an_exception(client: Any, spans: Recording, kind: str) -> None:
    with pytest.raises(grpc.RpcError):
        client.call(kind, b"set DATA_LOSS")
    assert [span.error for span in ended(spans, 2)] == ["DATA_LOSS", "DATA_LOSS"]


def test_a_stream_that_the_client_leaves_is_cancelled_at_both_ends(server: str, spans: Recording) -> None:
    with grpc.insecure_channel(server) as channel:
        stream = callables(channel)["unary_stream"](b"endless")
        assert next(stream) is not None
        stream.cancel()
        sent, received = ended(spans, 2)
    assert sent.error == "CANCELLED"
    assert received.error is None, "it is the client's wish"
    assert received.tags["rpc.grpc.status_code"] == 1


def test_a_stream_that_nobody_reads_ends_when_it_is_forgotten(server: str, spans: Recording) -> None:
    with grpc.insecure_channel(server) as channel:
        stream = callables(channel)["unary_stream"](b"endless")
        assert next(stream) is not None
        del stream
        sent, _ = ended(spans, 2)
    assert sent.error == "CANCELLED"


def test_a_call_of_asyncio_that_nobody_reads_ends_with_its_channel(server: str, spans: Recording) -> None:
    async def main() -> None:
        async with grpc.aio.insecure_channel(server) as channel:
            stream = callables(channel)["unary_stream"](b"endless")
            assert await stream.read() is not None

    asyncio.run(main())
    assert ended(spans, 2)[0].error == "CANCELLED"


def test_a_call_of_asyncio_that_is_cancelled(spans: Recording, server: str) -> None:
    async def main() -> None:
        async with grpc.aio.insecure_channel(server) as channel:
            call = callables(channel)["unary_stream"](b"endless")
            assert await call.read() is not None
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call.read()

    asyncio.run(main())
    sent, received = ended(spans, 2)
    assert sent.error == "CANCELLED"
    assert received.tags["rpc.grpc.status_code"] == 1


@pytest.mark.parametrize("kind", ["unary_unary", "stream_unary"])
def test_a_future_lasts_until_it_is_done(server: str, spans: Recording, kind: str) -> None:
    with grpc.insecure_channel(server) as channel:
        before = current.point.get()
        request: Any = iter([b"x"]) if kind.startswith("stream") else b"x"
        future = callables(channel)[kind].future(request)
        assert current.point.get() is before
        assert future.result(60) == b"x"
        answer, call = callables(channel)["unary_unary"].with_call(b"y")
        assert (answer, call.code()) == (b"y", grpc.StatusCode.OK)
        assert len(ended(spans, 4)) == 4


def test_a_channel_on_one_thread(server: str, spans: Recording) -> None:
    option = (grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1)
    with grpc.insecure_channel(server, options=[option]) as channel:
        assert list(callables(channel)["unary_stream"](b"x")) == [b"x", b"x"]
    assert [span.error for span in ended(spans, 2)] == [None, None]


@pytest.mark.parametrize("make", [Client, AsyncClient])
def test_a_server_that_is_not_there_is_an_error(make: Any, server: str, spans: Recording) -> None:
    client = make("127.0.0.1:1")
    with pytest.raises(grpc.RpcError):
        client.call("unary_unary", b"x")
    client.close()
    (sent,) = ended(spans, 1)
    assert (sent.error, sent.tags["rpc.grpc.status_code"]) == ("UNAVAILABLE", 14)


def test_a_method_that_does_not_exist_is_named_only_by_its_client(server: str, spans: Recording) -> None:
    with grpc.insecure_channel(server) as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary("/shop.Store/none")(b"x")
    (sent,) = ended(spans, 1)
    assert sent.error == "UNIMPLEMENTED"


@pytest.mark.parametrize("form", [tuple, list, iter, lambda pairs: grpc.aio.Metadata(*pairs)])
def test_the_caller_s_metadata_arrives_and_stays(client: Any, spans: Recording, form: Callable[..., Any]) -> None:
    if form is iter and isinstance(client, AsyncClient):
        pytest.skip("grpc.aio takes no iterator")
    seen: list[Any] = []
    own = form([("x-own", "1"), ("traceparent", "stale"), ("key-bin", b"\0\1")])

    def spy(original: Callable[..., Any], self: Any, details: Any) -> Any:
        seen.append(dict(details.invocation_metadata))
        return original(self, details)

    from grpc import _server, _utilities

    with pytest.MonkeyPatch.context() as patch:
        for cls, name in (
            (_utilities.DictionaryGenericHandler, "service"),
            (getattr(_server, "_RegisteredMethod", None), "handler"),
        ):
            if cls is None:
                continue
            look_up = getattr(cls, name)
            patch.setattr(cls, name, lambda self, details, look_up=look_up: spy(look_up, self, details))
        client.call("unary_unary", b"x", metadata=own)
    assert seen[0]["x-own"] == "1"
    assert seen[0]["key-bin"] == b"\0\1"
    assert seen[0]["traceparent"].split("-")[1] == ended(spans, 2)[0].base_id.replace("-", "")
    if form is not iter:
        assert ("traceparent", "stale") in list(own)


def test_metadata_by_its_place(server: str, spans: Recording) -> None:
    with grpc.insecure_channel(server) as channel:
        assert callables(channel)["unary_unary"](b"x", 60, (("x-own", "1"),)) == b"x"
    sent, received = ended(spans, 2)
    assert received.parent_id == sent.point_id


def test_messages_and_metadata_are_not_shown(client: Any, spans: Recording) -> None:
    client.call("unary_unary", SECRET.encode(), metadata=(("authorization", f"Bearer {SECRET}"),))
    assert SECRET not in repr(ended(spans, 2))


def test_calls_at_the_same_time_do_not_mix(server: str, spans: Recording) -> None:
    names = ["one", "two", "three"]
    barrier = threading.Barrier(len(names))
    above = current.point.get()

    def call(name: str) -> None:
        with scope.entered(above), profiler.Trace(name):
            barrier.wait(60)
            callables(channel)["unary_unary"](name.encode())

    with grpc.insecure_channel(server) as channel, ThreadPoolExecutor(3) as pool:
        list(pool.map(call, names))
        both = ended(spans, 6)
    assert sorted(span.parent_id for span in both[:3]) == sorted(spans.one(name).point_id for name in names)
    assert sorted(span.parent_id for span in both[3:]) == sorted(span.point_id for span in both[:3])


def test_an_untraced_call_is_only_sent(client: Any, spans: Recording) -> None:
    for point in (None, scope.SUPPRESSED):
        with scope.entered(point):
            client.call("unary_unary", b"x")
    assert spans == []


def test_no_is_carried_on(client: Any, spans: Recording) -> None:
    config.publish(enabled=True, hmac_keys=(KEY,), sampler="const:1")
    with scope.entered(Point(None, None, Origin.from_osprofiler(KEY, flags=0))):
        client.call("unary_unary", b"x")
    assert spans == []


def test_a_sampler_starts_a_trace_at_the_server(client: Any, spans: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(global_tracer.get_tracer(), "sampler", ConstSampler(True))
    registry.uninstrument("grpc")
    config.publish(enabled=True, hmac_keys=(KEY,), sampler="const:1")
    with scope.entered(None):
        client.call("unary_unary", b"x")
    (received,) = ended(spans, 1)
    assert received.tags["span.kind"] == "server"
    assert received.parent_id == received.base_id


def test_uninstrumented_it_is_the_library_s_own(client: Any, spans: Recording) -> None:
    from grpc import _channel, _utilities

    registry.uninstrument("grpc", "grpc_server")
    for function in (
        _channel._UnaryUnaryMultiCallable.__call__,
        grpc.aio._channel.UnaryUnaryMultiCallable.__call__,
        _utilities.DictionaryGenericHandler.service,
    ):
        assert not hasattr(function, "__wrapped__")
    client.call("unary_unary", b"x")
    assert spans == []
    for _ in range(2):
        registry.instrument("grpc", "grpc_server")
    client.call("unary_unary", b"x")
    assert len(ended(spans, 2)) == 2


def test_the_path_of_a_method_is_its_name() -> None:
    assert method("unary_unary") == "/shop.Store/unary_unary"
