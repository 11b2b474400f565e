# SPDX-License-Identifier: Apache-2.0
"""aiohttp's server, real and in this process: which requests are spans, how these end, and that none sees another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web as aiohttp_web

from osprofiler import config, profiler, web
from osprofiler.config import switches
from osprofiler.instrumentation import registry
from tests.integration.stored_traces import KEY, signed
from tests.unit.core_kit import rules_in_force
from tests.unit.span_kit import Recorder, spans  # noqa: F401

BASE = "5b0d2c6a-0b2f-4d7c-9e61-8f1f4c9f0a11"

Act = Callable[[aiohttp.ClientSession], Awaitable[object]]


@pytest.fixture(autouse=True)
def _layer(spans: Recorder) -> Iterator[None]:  # noqa: F811
    switches.reset()
    config.publish(enabled=True, hmac_keys=(KEY,))
    registry.instrument("aiohttp_server")
    yield
    registry.uninstrument("aiohttp_server")
    switches.reset()


async def plain(request: aiohttp_web.Request) -> aiohttp_web.Response:
    with profiler.Trace("inside"):
        await asyncio.sleep(0)
    return aiohttp_web.Response(text="traced" if profiler.get() else "untraced")


async def fail(request: aiohttp_web.Request) -> aiohttp_web.Response:
    raise LookupError("nothing here")


async def refuse(request: aiohttp_web.Request) -> aiohttp_web.Response:
    raise aiohttp_web.HTTPForbidden


async def unavailable(request: aiohttp_web.Request) -> aiohttp_web.Response:
    raise aiohttp_web.HTTPServiceUnavailable


async def stream(request: aiohttp_web.Request) -> aiohttp_web.StreamResponse:
    response = aiohttp_web.StreamResponse()
    await response.prepare(request)
    for i in range(2):
        with profiler.Trace(f"chunk {i}"):
            await response.write(b"chunk")
    return response


async def echo(request: aiohttp_web.Request) -> aiohttp_web.WebSocketResponse:
    socket = aiohttp_web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        with profiler.Trace(str(message.data)):
            await socket.send_str("ok")
    return socket


def application() -> aiohttp_web.Application:
    app, inner = aiohttp_web.Application(), aiohttp_web.Application()
    inner.router.add_get("/servers/{id:[0-9]+}", plain)
    for handler in (plain, fail, refuse, unavailable, stream, echo):
        app.router.add_get(f"/{handler.__name__}", handler)
    app.add_subapp("/v2", inner)
    return app


def served(act: Act, app: aiohttp_web.Application | None = None) -> None:
    """Serve an application while a client acts."""

    async def main() -> None:
        runner = aiohttp_web.AppRunner(app or application())
        await runner.setup()
        await aiohttp_web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with aiohttp.ClientSession(f"http://{host}:{port}") as session:
            await act(session)
        await runner.cleanup()

    asyncio.run(main())


def get(path: str, headers: dict[str, str]) -> tuple[int, str]:
    """The status and the body of a response."""
    answers: list[tuple[int, str]] = []

    async def act(session: aiohttp.ClientSession) -> None:
        async with session.get(path, headers=headers) as response:
            answers.append((response.status, await response.text()))

    served(act)
    return answers[0]


def test_a_signed_request_is_one_server_span_under_its_caller(spans: Recorder) -> None:  # noqa: F811
    assert get("/v2/servers/7?limit=1", {**signed(BASE), "Host": "api:8774"}) == (200, "traced")
    assert spans.tree() == [("aiohttp", None), ("inside", "aiohttp")]
    span = spans.by_name("aiohttp")
    assert (span.origin.base_id, span.parent_point_id) == (BASE, BASE)
    assert span.operation_name == "aiohttp GET"
    assert span.start_info == {
        "request": {"path": "/v2/servers/7", "query": "limit=1", "method": "GET", "scheme": "http"}
    }
    assert span.own_tags == {
        "span.kind": "server",
        "component": "aiohttp",
        "http.method": "GET",
        "http.url": "http://api:8774/v2/servers/7",
        "http.status_code": 200,
        "http.route": "/v2/servers/{id}",
    }


@pytest.mark.parametrize(
    ("headers", "switch"),
    [
        ({}, None),
        (signed(BASE, "other"), None),
        ({"uber-trace-id": "1:2:0:1"}, None),
        (signed(BASE), lambda: config.publish(enabled=False)),
        (signed(BASE), lambda: config.publish(enabled=True, hmac_keys=(KEY,), trace_wsgi=False)),
        (signed(BASE), web.disable),
        (signed(BASE), lambda: registry.uninstrument("aiohttp_server")),
    ],
)
def test_other_requests_are_not(
    spans: Recorder,  # noqa: F811
    headers: dict[str, str],
    switch: Callable[[], object] | None,
) -> None:
    if switch is not None:
        switch()
    assert get("/plain", headers) == (200, "untraced")
    assert spans.started == []


@pytest.mark.parametrize(
    ("path", "answered", "status", "error", "kind"),
    [
        ("/refuse", 403, 403, None, None),
        ("/unavailable", 503, 503, True, None),
        ("/nothing", 404, 404, None, None),
        ("/fail", 500, None, True, "LookupError"),  # aiohttp answers after the handler
    ],
)
def test_how_a_request_fails(
    spans: Recorder,  # noqa: F811
    path: str,
    answered: int,
    status: int | None,
    error: bool | None,
    kind: str | None,
) -> None:
    assert get(path, signed(BASE))[0] == answered
    span = spans.by_name("aiohttp")
    assert (span.own_tags.get("http.status_code"), span.own_tags.get("error")) == (status, error)
    assert (span.stop_info or {}).get("etype") == kind
    assert span.own_tags.get("http.route") == (None if path == "/nothing" else path)


def test_a_stream_and_a_connection_are_one_span_each(spans: Recorder) -> None:  # noqa: F811
    assert get("/stream", signed(BASE)) == (200, "chunkchunk")

    async def act(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect("/echo", headers=signed(BASE)) as socket:
            for text in ("one", "two"):
                await socket.send_str(text)
                assert await socket.receive_str() == "ok"

    served(act)
    assert spans.names() == ["chunk 0", "chunk 1", "aiohttp", "one", "two", "aiohttp"]
    assert {parent for name, parent in spans.tree() if name != "aiohttp"} == {"aiohttp"}
    assert [span.own_tags["http.status_code"] for span in spans.finished if span.name == "aiohttp"] == [200, 101]


@pytest.mark.parametrize(("path", "named"), [("/plain", True), ("/refuse", True), ("/stream", False)])
def test_an_answer_names_its_trace_unless_the_handler_has_sent_its_headers(
    spans: Recorder,  # noqa: F811
    path: str,
    named: bool,
) -> None:
    got: list[Any] = []

    async def act(session: aiohttp.ClientSession) -> None:
        async with session.get(path, headers=signed(BASE)) as response:
            got.append(response.headers.get("X-Trace-Id"))

    served(act)
    assert got == [BASE.replace("-", "") if named else None]


def test_what_goes_on_after_the_answer_follows_from_the_request(spans: Recorder) -> None:  # noqa: F811
    answered, tasks = asyncio.Event(), []

    async def work() -> None:
        await answered.wait()
        with profiler.Trace("in the background"):
            pass

    async def later(request: aiohttp_web.Request) -> aiohttp_web.Response:
        tasks.append(asyncio.create_task(work()))
        return aiohttp_web.Response(text="ok")

    async def act(session: aiohttp.ClientSession) -> None:
        async with session.get("/later", headers=signed(BASE)) as response:
            assert await response.text() == "ok"
        answered.set()
        await asyncio.gather(*tasks)

    app = aiohttp_web.Application()
    app.router.add_get("/later", later)
    served(act, app)
    assert spans.tree() == [("aiohttp", None), ("in the background", "aiohttp")]
    assert spans.by_name("in the background").follows


def test_requests_of_one_connection_and_at_once_do_not_mix(spans: Recorder) -> None:  # noqa: F811
    async def act(session: aiohttp.ClientSession) -> None:
        async def ask(i: int) -> None:
            headers = signed(f"trace {i}") if i % 2 else {}
            async with session.get("/plain", headers=headers) as response:
                assert await response.text() == ("traced" if i % 2 else "untraced")

        for i in range(4):
            await ask(i)
        await asyncio.gather(*(ask(i) for i in range(4, 20)))

    served(act)
    assert sorted((span.origin.base_id, span.name) for span in spans.finished) == sorted(
        (f"trace {i}", name) for i in range(1, 20, 2) for name in ("aiohttp", "inside")
    )


def test_a_server_that_runs_is_turned_on_and_off(spans: Recorder) -> None:  # noqa: F811
    async def act(session: aiohttp.ClientSession) -> None:
        for turn, traced in ((registry.instrument, True), (registry.uninstrument, False), (registry.instrument, True)):
            turn("aiohttp_server")
            async with session.get("/plain", headers=signed(BASE)) as response:
                assert await response.text() == ("traced" if traced else "untraced")

    registry.uninstrument("aiohttp_server")
    served(act)
    assert spans.names() == ["inside", "aiohttp"] * 2


def test_a_server_without_an_application(spans: Recorder) -> None:  # noqa: F811
    async def main() -> None:
        runner = aiohttp_web.ServerRunner(aiohttp_web.Server(plain))  # type: ignore[arg-type]
        await runner.setup()
        await aiohttp_web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/a"
            async with session.get(url, headers=signed(BASE)) as response:
                assert await response.text() == "traced"
        await runner.cleanup()

    asyncio.run(main())
    assert "http.route" not in spans.by_name("aiohttp").own_tags


def test_rules_decide_by_path_header_and_network(spans: Recorder) -> None:  # noqa: F811
    async def act(session: aiohttp.ClientSession) -> None:
        for path, headers in (("/plain", {"X-Debug": "yes"}), ("/plain", {}), ("/v2/servers/1", {"X-Debug": "yes"})):
            async with session.get(path, headers=headers) as answer:
                await answer.read()

    for network, expected in (("127.0.0.0/8", ["r"]), ("10.0.0.0/8", [])):
        spans.started.clear()
        rule = f"{{reason: r, path: /plain, header: {{X-Debug: y*}}, network: {network}, sample: const:1}}"
        with rules_in_force(f"rules: [{rule}]"):
            served(act)
        assert [span.own_tags["sampling.rule"] for span in spans.started if span.name == "aiohttp"] == expected
