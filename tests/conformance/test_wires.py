# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on each wire, and on wires that are wrong on purpose."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from osprofiler import asgi, messaging, profiler, web
from osprofiler.context import scope
from osprofiler.handlers.grpc import with_trace
from osprofiler.instrumentation import registry
from osprofiler.testing.wires import KEY, Wire, WireKit
from tests.conformance.kit_runs import failed


class Headers:
    """REST: ``get_trace_id_headers`` and the WSGI middleware."""

    def send(self, message: dict[str, Any]) -> dict[str, Any]:
        return {**message, **web.get_trace_id_headers()}

    def receive(self, message: dict[str, Any], work: Callable[[], None]) -> None:
        def application(environ: Any, start_response: Any) -> list[bytes]:
            work()
            start_response("200 OK", [])
            return [b""]

        environ = {
            "REQUEST_METHOD": "GET", "PATH_INFO": "/", "SERVER_NAME": "here", "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in message.items()},
        }  # fmt: skip
        web.WsgiMiddleware(application, hmac_keys=KEY, enabled=True)(environ, lambda status, headers: lambda _: None)


class AsgiHeaders(Headers):
    """REST: ``get_trace_id_headers`` and the ASGI middleware."""

    def receive(self, message: dict[str, Any], work: Callable[[], None]) -> None:
        async def application(*call: Any) -> None:
            work()

        async def nothing(*message: Any) -> Any:
            pass

        headers = [
            (str(name).lower().encode(errors="surrogatepass"), str(value).encode(errors="surrogatepass"))
            for name, value in message.items()
        ]
        request = {"type": "http", "path": "/", "headers": headers}
        asyncio.run(asgi.AsgiMiddleware(application, hmac_keys=KEY)(request, nothing, nothing))  # type: ignore[arg-type]


class Envelope:
    """RPC: the context dictionary that a serializer writes and reads."""

    def send(self, message: dict[str, Any]) -> dict[str, Any]:
        sent: dict[str, Any] = messaging.TracingSerializer().serialize_context(message)
        return sent

    def receive(self, message: dict[str, Any], work: Callable[[], None]) -> None:
        with scope.entered(None):
            messaging.TracingSerializer().deserialize_context(message)
            work()


class Metadata:
    """gRPC: the metadata of a call, and the look-up of the method that it calls."""

    def send(self, message: dict[str, Any]) -> dict[str, Any]:
        return dict(with_trace(tuple(message.items())) or ())

    def receive(self, message: dict[str, Any], work: Callable[[], None]) -> None:
        method = grpc.unary_unary_rpc_method_handler(lambda request, context: work())
        generic = grpc.method_handlers_generic_handler("kit", {"work": method})
        details = SimpleNamespace(method="/kit/work", invocation_metadata=tuple(message.items()))
        context = SimpleNamespace(peer=lambda: "ipv4:127.0.0.1:1", code=lambda: None)
        registry.instrument("grpc_server")
        try:
            generic.service(details).unary_unary(b"", context)
        finally:
            registry.uninstrument("grpc_server")


class TestHeaders(WireKit):
    @pytest.fixture
    def wire(self) -> Wire:
        return Headers()


class TestAsgiHeaders(WireKit):
    @pytest.fixture
    def wire(self) -> Wire:
        return AsgiHeaders()


class TestEnvelope(WireKit):
    @pytest.fixture
    def wire(self) -> Wire:
        return Envelope()


class TestMetadata(WireKit):
    @pytest.fixture
    def wire(self) -> Wire:
        return Metadata()


class SendsNothing(Headers):
    def send(self, message: dict[str, Any]) -> dict[str, Any]:
        return message


class DropsTheRest(Headers):
    def send(self, message: dict[str, Any]) -> dict[str, Any]:
        return super().send({})


class SendsTheKey(Headers):
    def send(self, message: dict[str, Any]) -> dict[str, Any]:
        return {**super().send(message), "key": KEY}


class KeepsTheTrace(Envelope):
    def receive(self, message: dict[str, Any], work: Callable[[], None]) -> None:
        messaging.TracingSerializer().deserialize_context(message)
        work()


class Forgives(Headers):
    def receive(self, message: dict[str, Any], work: Callable[[], None]) -> None:
        profiler.init(KEY)
        work()
        profiler.clean()


class SendsWhatItGot(Headers):
    def send(self, message: dict[str, Any]) -> dict[str, Any]:
        return message or super().send(message)


class RunsTwice(Headers):
    def receive(self, message: dict[str, Any], work: Callable[[], None]) -> None:
        super().receive(message, work)
        work()


WRONG: list[tuple[type[Any], str]] = [
    (SendsNothing, "test_the_receiver_continues_the_trace_under_the_sender"),
    (SendsNothing, "test_a_root_without_an_open_point_is_continued"),
    (DropsTheRest, "test_what_else_is_in_the_message_stays"),
    (SendsTheKey, "test_the_key_is_not_sent"),
    (KeepsTheTrace, "test_the_receiver_keeps_nothing_of_the_trace"),
    (Forgives, "test_without_a_trace_nothing_is_sent_and_nothing_begins"),
    (Forgives, "test_no_is_carried_on"),
    (Forgives, "test_a_message_signed_with_another_key_is_not_traced"),
    (Forgives, "test_fields_of_unknown_types_and_names_harm_nobody"),
    (Forgives, "test_what_is_signed_goes_before_what_is_foreign"),
    (Forgives, "test_foreign_context_counts_only_where_it_is_trusted"),
    (RunsTwice, "test_hostile_fields_harm_nobody"),
    (SendsWhatItGot, "test_a_message_is_sent_on"),
]


@pytest.mark.parametrize(("wire", "caught_by"), WRONG)
def test_the_kit_finds_what_is_wrong(wire: type[Any], caught_by: str, pytester: pytest.Pytester) -> None:
    assert failed(pytester, WireKit, "wire", f"{__name__}:{wire.__name__}()", caught_by)


def test_the_kit_passes_what_is_right(pytester: pytest.Pytester) -> None:
    assert failed(pytester, WireKit, "wire", f"{__name__}:Headers()") == 0


def test_every_test_of_the_kit_has_a_wrong_wire() -> None:
    assert {name for name in vars(WireKit) if name.startswith("test_")} == {name for _, name in WRONG}
