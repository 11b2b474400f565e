# SPDX-License-Identifier: Apache-2.0
"""Whose unsigned context counts: the words of ``trust_incoming``, and the peer of each kind of server."""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.simple_server import make_server

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osprofiler import asgi, config, web
from osprofiler.config import kinds, switches, trust
from osprofiler.context import current
from osprofiler.propagation import carriers, precedence
from tests.unit.span_kit import Recorder, spans  # noqa: F401


@pytest.fixture(autouse=True)
def _as_imported() -> Iterator[None]:
    switches.reset()
    yield
    switches.reset()


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def parse(text: str) -> trust.Trust:
    return kinds.TRUST.from_option(text, lambda _: None)


@pytest.mark.parametrize("text", ["", " , ", "signed", "none", "False", "no", "off", "0"])
def test_by_these_words_only_signed_context_counts(text: str) -> None:
    assert parse(text) == trust.SIGNED
    assert not parse(text)
    assert not parse(text).trusts("127.0.0.1")


@pytest.mark.parametrize("text", ["all", "True", "yes", "on", "1"])
def test_by_these_words_the_context_of_everybody_counts(text: str) -> None:
    assert parse(text) == trust.ALL
    assert all(parse(text).trusts(peer) for peer in ("192.0.2.1", "::1", trust.RPC, None))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("JOIN", "all, join"),
        ("true,join", "all, join"),
        ("w3c,10.0.0.0/8", "10.0.0.0/8, w3c"),
        ("10.1.2.3, 2001:DB8::/32, rpc, b3, b3, jaeger, join", "10.1.2.3/32, 2001:db8::/32, rpc, b3, jaeger, join"),
    ],
)
def test_words_are_combined(text: str, shown: str) -> None:
    assert str(parse(text)) == shown
    assert parse(shown) == parse(text)
    assert kinds.TRUST.from_policy is not None
    assert kinds.TRUST.from_policy(text.split(",")) == parse(text)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("10.0.0/8", "10.0.0/8 is not a network: '10.0.0/8' does not appear to be an IPv4 or IPv6 network"),
        ("10.0.0.1/8", "10.0.0.1/8 is not a network: 10.0.0.1/8 has host bits set"),
        ("w3c, zipkin", "'zipkin' is not signed, all, join, rpc, a network such as 10.0.0.0/8, or one of the formats"),
        ("all, 10.0.0.0/8", "all cannot stand together with 10.0.0.0/8"),
        ("signed, all", "signed cannot stand together with all"),
        ("join, none", "none cannot stand together with join"),
        ("osprofiler", "osprofiler is the signed format, which always counts"),
    ],
)
def test_a_mistake_is_one_line(text: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(mistake)}") as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="w3c10.:/, alljoinrpc", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parsed = parse(text)
    except ValueError:
        return
    assert parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("10.255.0.1", True),
        ("::ffff:10.0.0.1", True),  # IPv4 at a socket of both families
        ("2001:db8::7", True),
        ("11.0.0.1", False),
        ("2001:db9::7", False),
        ("not an address", False),
        ("10.0.0.1, 192.0.2.1", False),
        ("", False),
        (None, False),
        (trust.RPC, False),
    ],
)
def test_a_peer_is_in_a_network(peer: str | None, trusted: bool) -> None:
    assert parse("10.0.0.0/8, 2001:db8::/32").trusts(peer) is trusted
    assert parse("10.0.0.0/8, 2001:db8::/32, w3c").trusts(peer) is trusted


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-for", "192.0.2.1, 10.0.0.1:1234"),
        ("x-real-ip", "10.0.0.1"),
        ("forwarded", 'for="10.0.0.1";proto=http, for=192.0.2.1'),
    ],
)
def test_an_address_that_a_header_names_is_not_the_peer(name: str, text: str) -> None:
    assert carriers.peer("10.0.0.1", {name: text}) is None
    assert carriers.peer("10.0.0.11", {name: text}) == "10.0.0.11"
    assert carriers.peer("10.0.0.1", {"user-agent": text}) == "10.0.0.1"


def test_an_address_of_ipv6_that_a_header_names_is_not_the_peer() -> None:
    assert carriers.peer("2001:db8::1", {"forwarded": 'for="[2001:db8::1]:4711"'}) is None
    assert carriers.peer("2001:db8::1", {"x-forwarded-for": "2001:db8::12"}) == "2001:db8::1"


# The kinds of servers: each is asked through real sockets, and says in which trace its request was.

Ask = Callable[..., str]


def _traced() -> bytes:
    point = current.point.get()
    return b"no" if point is None else f"{point.origin.trace_id:032x}".encode()


def _get(port: int, **headers: str) -> str:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/",
        headers={"traceparent": PARENT, **{name.replace("_", "-"): text for name, text in headers.items()}},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return str(answer.read().decode())


def _wsgi(wrap: Callable[[Any], Any] = lambda app: app) -> Any:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [_traced()]

    return make_server("127.0.0.1", 0, wrap(web.WsgiMiddleware(application, hmac_keys="k", enabled=True)))


@pytest.mark.parametrize(("networks", "expected"), [("127.0.0.0/8", TRACE), ("10.0.0.0/8", "no"), ("rpc", "no")])
def test_a_wsgi_server(spans: Recorder, networks: str, expected: str) -> None:  # noqa: F811
    config.publish(trust_incoming=parse(networks))
    with _wsgi() as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert _get(server.server_port, X_Forwarded_For="10.0.0.1") == expected


def test_a_forged_address_of_oslo_middleware_is_not_the_peer(spans: Recorder) -> None:  # noqa: F811
    """``http_proxy_to_wsgi`` stands before osprofiler in the pipelines of services."""
    from oslo_config import cfg
    from oslo_middleware import http_proxy_to_wsgi

    seen: list[str] = []

    def proxied(app: Any) -> Any:
        def noting(environ: Any, start_response: Any) -> Any:
            seen.append(environ["REMOTE_ADDR"])
            return app(environ, start_response)

        conf = cfg.ConfigOpts()
        conf([], default_config_files=[])
        middleware = http_proxy_to_wsgi.HTTPProxyToWSGI(noting, conf)
        conf.set_override("enable_proxy_headers_parsing", True, group="oslo_middleware")
        return middleware

    config.publish(trust_incoming=parse("10.0.0.0/8, 127.0.0.0/8"))
    with _wsgi(proxied) as server:
        for headers in ({"X_Forwarded_For": "10.0.0.1"}, {"Forwarded": "for=10.0.0.1"}, {}):
            threading.Thread(target=server.handle_request, daemon=True).start()
            assert _get(server.server_port, **headers) == ("no" if headers else TRACE)
    assert seen == ["10.0.0.1", "10.0.0.1", "127.0.0.1"]


@pytest.mark.parametrize(("networks", "expected"), [("127.0.0.0/8", TRACE), ("10.0.0.0/8", "no")])
@pytest.mark.parametrize("forged", [False, True])
def test_an_asgi_server(spans: Recorder, networks: str, expected: str, forged: bool) -> None:  # noqa: F811
    """uvicorn itself takes the client from a header, if a local proxy sends it."""
    import uvicorn

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": _traced()})

    async def ask() -> str:
        options = uvicorn.Config(asgi.AsgiMiddleware(application, "k"), lifespan="off", log_level="error")
        server = uvicorn.Server(options)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            serving = asyncio.create_task(server.serve([listening]))
            headers = {"X_Forwarded_For": "10.0.0.1"} if forged else {}
            try:
                return await asyncio.to_thread(_get, listening.getsockname()[1], **headers)
            finally:
                server.should_exit = True
                await serving

    config.publish(trust_incoming=parse(networks))
    assert asyncio.run(ask()) == ("no" if forged else expected)


@pytest.mark.parametrize(("networks", "expected"), [("127.0.0.0/8", TRACE), ("10.0.0.0/8", "no")])
def test_an_aiohttp_server(spans: Recorder, networks: str, expected: str) -> None:  # noqa: F811
    from aiohttp import web as aiohttp_web

    from osprofiler.instrumentation import registry

    async def handler(request: Any) -> Any:
        return aiohttp_web.Response(body=_traced())

    async def ask() -> str:
        application = aiohttp_web.Application()
        application.router.add_get("/", handler)
        runner = aiohttp_web.AppRunner(application)
        await runner.setup()
        try:
            await aiohttp_web.TCPSite(runner, "127.0.0.1", 0).start()
            return await asyncio.to_thread(_get, runner.addresses[0][1], X_Forwarded_For="10.0.0.1")
        finally:
            await runner.cleanup()

    config.publish(trust_incoming=parse(networks), hmac_keys=("k",))
    web.enable("k")
    registry.instrument("aiohttp_server")
    try:
        assert asyncio.run(ask()) == expected
    finally:
        registry.uninstrument("aiohttp_server")


# Formats

CONTEXTS = {
    "jaeger": {"uber-trace-id": f"{TRACE}:{SPAN}:0:1", "uberctx-who": "jaeger"},
    "w3c": {"traceparent": PARENT, "tracestate": "a=b", "baggage": "who=w3c"},
    "b3": {"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "1"},
}


@pytest.mark.parametrize(("format_", "sent"), list(itertools.product(CONTEXTS, CONTEXTS)))
def test_only_a_trusted_format_counts(format_: str, sent: str) -> None:
    decision = decide(CONTEXTS[sent], parse(format_))
    assert (decision.context is not None) is (format_ == sent)


def decide(fields: dict[str, str], trusted: trust.Trust) -> Any:
    return precedence.decide(fields, ["k"], trust=trusted)


def test_nothing_of_another_format_is_taken_along() -> None:
    everything = {name: text for fields in CONTEXTS.values() for name, text in fields.items()}
    baggage = {format_: decide(everything, parse(format_)).context.baggage for format_ in CONTEXTS}
    assert baggage == {"jaeger": {"who": "jaeger"}, "w3c": {"who": "w3c"}, "b3": {}}
    assert decide(everything, parse("jaeger")).context.tracestate == ""
    assert decide({"jaeger-debug-id": "me"}, parse("w3c")).context is None
    assert decide({"jaeger-debug-id": "me"}, parse("jaeger")).context.sampled
    assert decide({"b3": "0"}, parse("w3c")).context is None
    assert not decide({"b3": "0"}, parse("b3")).context.sampled
