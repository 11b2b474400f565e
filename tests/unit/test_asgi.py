# SPDX-License-Identifier: Apache-2.0
"""The ASGI middleware without a server: what is traced, when a span ends, and that nothing is left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from jaeger_client.sampler import ConstSampler

from osprofiler import asgi, config, profiler, web
from osprofiler._utils import signed_pack
from osprofiler.config import switches, trust
from osprofiler.context import current
from osprofiler.tracer import global_tracer
from tests.unit.core_kit import rules_in_force
from tests.unit.span_kit import Recorder, spans  # noqa: F401

KEY = "SECRET"
BASE, PARENT = "5b0d2c6a-0b2f-4d7c-9e61-8f1f4c9f0a11", "5b0d2c6a-0b2f-4d7c-a7a2-2d4d4a3a9c22"

Message = dict[str, Any]
App = Callable[..., Awaitable[None]]

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
LAST: Message = {"type": "http.response.body", "body": b"answer"}


@pytest.fixture(autouse=True)
def _as_imported(spans: Recorder) -> Iterator[None]:  # noqa: F811
    switches.reset()
    config.publish(response_headers=False)  # so that messages can be compared
    yield
    switches.reset()


def headers(base: str = BASE, parent: str = PARENT, key: str = KEY) -> list[tuple[bytes, bytes]]:
    info, signature = signed_pack({"base_id": base, "parent_id": parent}, key)
    return [(b"x-trace-info", info), (b"x-trace-hmac", (signature or "").encode())]


def http(traced: bool = True, **more: Any) -> Message:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/",
        "query_string": b"",
        "server": ("api", 8774),
        **more,
        "headers": [*(headers() if traced else []), *more.get("headers", [])],
    }


class Server:
    """What an ASGI server does with one request."""

    def __init__(self, *received: Message) -> None:
        self.received = list(received)
        self.sent: list[Message] = []
        self.points: list[Any] = []  # the current points of the server's own code
        self.then: Callable[[Message], object] = lambda message: None  # is called inside ``send``

    async def receive(self) -> Message:
        self.points.append(current.point.get())
        return self.received.pop(0)

    async def send(self, message: Message) -> None:
        self.points.append(current.point.get())
        self.sent.append(message)
        self.then(message)

    def ask(self, app: App, scope: Message | None = None) -> list[Message]:
        asyncio.run(app(http() if scope is None else scope, self.receive, self.send))  # type: ignore[arg-type]
        return self.sent


def middleware(app: App, **arguments: Any) -> asgi.AsgiMiddleware:
    return asgi.AsgiMiddleware(app, hmac_keys=KEY, **arguments)


async def plain(scope: Message, receive: Any, send: Any) -> None:
    with profiler.Trace("inside"):
        await send(START)
    await send(LAST)


# What is traced


def test_a_signed_request_is_one_server_span_under_its_caller(spans: Recorder) -> None:  # noqa: F811
    config.publish(response_headers=True)
    scope = http(
        path="/v2/servers/é x",
        raw_path=b"/v2/servers/%C3%A9%20x",
        query_string=b"limit=1",
        headers=[(b"host", b"user:pw@api:8774")],
    )
    sent, last = Server().ask(middleware(plain), scope)
    assert spans.tree() == [("asgi", None), ("inside", "asgi")]
    span = spans.by_name("asgi")
    trace_id = BASE.replace("-", "")
    assert dict(sent["headers"]) == {
        b"x-trace-id": trace_id.encode(),
        b"traceresponse": f"00-{trace_id}-{span.span_id:016x}-01".encode(),
    }
    assert (last, START["headers"]) == (LAST, [])
    assert (span.origin.base_id, span.parent_point_id) == (BASE, PARENT)
    assert span.operation_name == "asgi GET"
    assert span.start_info == {
        "request": {"path": "/v2/servers/%C3%A9%20x", "query": "limit=1", "method": "GET", "scheme": "http"}
    }
    assert span.own_tags == {
        "span.kind": "server",
        "component": "asgi",
        "http.method": "GET",
        "http.url": "http://api:8774/v2/servers/%C3%A9%20x",
        "http.status_code": 200,
    }


@pytest.mark.parametrize(
    ("more", "url"),
    [
        ({"path": "/é x"}, "http://api:8774/%C3%A9%20x"),
        ({"raw_path": b"/a?token=x"}, "http://api:8774/a"),
        ({"raw_path": b'/"\xff'}, "http://api:8774/%22%FF"),
        ({"server": ("/run/api.sock", None)}, "http:///run/api.sock/"),
        ({"server": None}, "http:///"),
    ],
)
def test_urls(spans: Recorder, more: Message, url: str) -> None:  # noqa: F811
    Server().ask(middleware(plain), http(**more))
    assert spans.by_name("asgi").own_tags["http.url"] == url


@pytest.mark.parametrize(
    "scope",
    [
        http(traced=False),
        http(traced=False, headers=headers(key="other")),
        http(traced=False, headers=[headers()[0], (b"x-trace-hmac", b"0" * 40)]),
        http(traced=False, headers=[*headers(), *headers()]),
        http(traced=False, headers=[(b"uber-trace-id", b"1:2:0:1"), (b"traceparent", b"garbage\xff")]),
    ],
)
def test_other_requests_are_not(spans: Recorder, scope: Message) -> None:  # noqa: F811
    assert Server().ask(middleware(plain), scope) == [START, LAST]
    assert spans.started == []


@pytest.mark.parametrize(
    ("own", "switch", "traced"),
    [
        (True, None, True),
        (False, None, False),
        (False, web.enable, False),
        (True, web.disable, False),
        (True, lambda: web.enable("other"), False),
        (True, lambda: config.publish(enabled=False), False),
        (True, lambda: config.publish(trace_wsgi=False), False),
    ],
)
def test_switches(spans: Recorder, own: bool, switch: Callable[[], object] | None, traced: bool) -> None:  # noqa: F811
    if switch is not None:
        switch()
    Server().ask(middleware(plain, enabled=own))
    assert bool(spans.started) is traced


def test_a_sampler_begins_traces_with_the_ids_of_others_as_tags(
    spans: Recorder,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(global_tracer.get_tracer(), "sampler", ConstSampler(True))
    config.publish(sampler="const:1")
    foreign = f"00-{5:032x}-{6:016x}-01"
    Server().ask(middleware(plain), http(traced=False, headers=[(b"traceparent", foreign.encode())]))
    span = spans.by_name("asgi")
    assert (span.parent_span_id, span.origin.hmac_key) == (0, KEY)
    assert span.own_tags["foreign.traceparent"] == foreign


def test_rules_decide_at_once_since_nobody_is_known(spans: Recorder) -> None:  # noqa: F811
    rules = (
        "rules:\n- {reason: alice, user: alice, sample: const:1}\n"
        "- {reason: r, method: GET, path: '/v2/{id}', header: {X-Debug: y*}, network: 10.0.0.0/8, sample: const:1}\n"
    )
    claims = [(b"x-user-name", b"alice"), (b"x-user-id", b"alice"), (b"x-identity-status", b"Confirmed")]
    debug = (b"x-debug", b"yes")
    with rules_in_force(rules):
        for path, client, more in (
            ("/v2/7", ("10.1.1.1", 5), [debug]),
            ("/v2/7", ("192.0.2.1", 5), [debug]),
            ("/v2/7", ("10.1.1.1", 5), [debug, (b"x-forwarded-for", b"10.1.1.1")]),
            ("/v2/7", None, [debug]),
            ("/v2", ("10.1.1.1", 5), [debug]),
            ("/v2/7", ("10.1.1.1", 5), claims),
        ):
            Server().ask(middleware(plain), http(traced=False, path=path, client=client, headers=more))
    assert [span.own_tags["sampling.rule"] for span in spans.started if span.name == "asgi"] == ["r"]


@pytest.mark.parametrize("flags", [0, 1])
def test_a_trusted_request_is_continued_with_its_decision(spans: Recorder, flags: int) -> None:  # noqa: F811
    config.publish(trust_incoming=trust.ALL)
    passed_on: list[dict[str, str]] = []

    async def app(scope: Message, receive: Any, send: Any) -> None:
        passed_on.append(web.get_trace_id_headers())
        await plain(scope, receive, send)

    Server().ask(middleware(app), http(traced=False, headers=[(b"uber-trace-id", f"5:6:0:{flags}".encode())]))
    assert [(span.trace_id, span.parent_span_id) for span in spans.started if span.name == "asgi"] == [(5, 6)] * flags
    assert passed_on[0]["uber-trace-id"].startswith(f"{5:032x}:")
    assert passed_on[0]["uber-trace-id"].endswith(f":{flags}")


def test_the_request_id_of_the_answer_is_a_tag(spans: Recorder) -> None:  # noqa: F811
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await send({**START, "headers": [(b"X-OpenStack-Request-Id", b"req-1"), (b"x-trace-id", b"mine")]})
        await send(LAST)

    config.publish(response_headers=True)
    sent, _ = Server().ask(middleware(app), http(headers=[(b"x-user-id", b"made up")]))
    tags = spans.by_name("asgi").own_tags
    assert tags["openstack.request_id"] == "req-1"
    assert "openstack.user_id" not in tags
    assert [name for name, _ in sent["headers"]] == [b"X-OpenStack-Request-Id", b"x-trace-id", b"traceresponse"]


def test_headers_that_cannot_be_read_are_sent_as_they_are(spans: Recorder) -> None:  # noqa: F811
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await send(broken)
        await send(LAST)

    config.publish(response_headers=True)
    spans.expected_faults.add("fault.web.response")
    broken = {**START, "headers": [("text", "text")]}
    assert Server().ask(middleware(app)) == [broken, LAST]
    assert spans.names() == ["asgi"]


def test_a_lifespan_is_left_alone(spans: Recorder) -> None:  # noqa: F811
    seen: list[Any] = []

    async def app(*call: Any) -> None:
        seen.append(call)

    server, scope = Server(), {"type": "lifespan", "asgi": {"version": "3.0"}}
    server.ask(middleware(app), scope)
    ((passed, receive, send),) = seen
    assert (passed, receive, send) == (scope, server.receive, server.send)
    assert spans.started == []


# How it ends


@pytest.mark.parametrize(("status", "error"), [(200, None), (404, None), (503, True)])
def test_the_status_is_a_tag_and_5xx_an_error(spans: Recorder, status: int, error: bool | None) -> None:  # noqa: F811
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await send({**START, "status": status})
        await send(LAST)

    Server().ask(middleware(app))
    span = spans.by_name("asgi")
    assert (span.own_tags["http.status_code"], span.own_tags.get("error")) == (status, error)


ENDINGS: dict[str, list[Message]] = {
    "body": [START, LAST],
    "stream": [START, {**LAST, "more_body": True}, {**LAST, "more_body": True}, {**LAST, "more_body": False}],
    "file": [START, {"type": "http.response.pathsend", "path": "/file"}],
    "descriptor": [START, {"type": "http.response.zerocopysend", "file": 5, "more_body": False}],
    "trailers": [
        {**START, "trailers": True},
        LAST,
        {"type": "http.response.trailers", "headers": [], "more_trailers": True},
        {"type": "http.response.trailers", "headers": []},
    ],
}


@pytest.mark.parametrize("messages", ENDINGS.values(), ids=ENDINGS)
def test_the_span_ends_with_the_last_message_and_later_work_follows_from_it(
    spans: Recorder,  # noqa: F811
    messages: list[Message],
) -> None:
    async def app(scope: Message, receive: Any, send: Any) -> None:
        for message in messages:
            assert "asgi" not in spans.names()
            await send(message)
        assert spans.names() == ["asgi"]
        with profiler.Trace("background"), profiler.Trace("part"):
            pass

    server = Server()
    assert server.ask(middleware(app)) == messages
    assert spans.tree() == [("asgi", None), ("background", "asgi"), ("part", "background")]
    assert [span.follows for span in spans.started] == [False, True, False]
    assert spans.by_name("asgi").own_tags.get("osprofiler.body_unread") is None


def test_points_that_are_open_at_the_last_message_stay_open(spans: Recorder) -> None:  # noqa: F811
    async def app(scope: Message, receive: Any, send: Any) -> None:
        with profiler.Trace("whole"):
            await send(START)
            await send(LAST)
            assert spans.names() == ["asgi"]
            with profiler.Trace("after"):
                pass
        profiler.start("left open")

    Server().ask(middleware(app))
    assert spans.tree() == [("asgi", None), ("whole", "asgi"), ("after", "whole"), ("left open", "asgi")]
    assert spans.names() == ["asgi", "after", "whole", "left open"]
    assert [span.own_tags.get("osprofiler.unclosed") for span in spans.finished] == [None, None, None, True]


class Broken(RuntimeError):
    pass


@pytest.mark.parametrize("sent", [[], [START], [{**START, "status": 500}, LAST]])
def test_an_exception_is_the_span_s_error_also_after_a_response_that_says_so(
    spans: Recorder,  # noqa: F811
    sent: list[Message],
) -> None:
    fault = Broken("no")

    async def app(scope: Message, receive: Any, send: Any) -> None:
        for message in sent:
            await send(message)
        raise fault

    with pytest.raises(Broken) as raised:
        Server().ask(middleware(app))
    assert raised.value is fault
    span = spans.by_name("asgi")
    assert span.own_tags["error"] is True
    assert span.own_tags.get("http.status_code") == (sent[0]["status"] if sent else None)
    assert span.stop_info is not None
    assert span.stop_info["etype"].endswith("Broken")
    assert "osprofiler.body_unread" not in span.own_tags


@pytest.mark.parametrize("last", [[], [LAST]])
def test_a_client_that_leaves_has_not_read_the_response(spans: Recorder, last: list[Message]) -> None:  # noqa: F811
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await send(START)
        await send({**LAST, "more_body": True})
        assert (await receive())["type"] == "http.disconnect"
        for message in last:
            await send(message)

    Server({"type": "http.disconnect"}).ask(middleware(app))
    assert spans.by_name("asgi").own_tags["osprofiler.body_unread"] is True


def test_a_cancelled_request_ends(spans: Recorder) -> None:  # noqa: F811
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        server = Server()
        task = asyncio.create_task(middleware(app)(http(), server.receive, server.send))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert spans.by_name("asgi").own_tags["error"] is True


# WebSocket

ACCEPT: Message = {"type": "websocket.accept"}
CLOSE: Message = {"type": "websocket.close", "code": 1000}


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ([ACCEPT, {"type": "websocket.send", "text": "hi"}, CLOSE], 101),
        ([CLOSE], 403),
        ([{"type": "websocket.http.response.start", "status": 401, "headers": []}], 401),
        ([], None),
    ],
)
def test_a_connection_is_one_span(spans: Recorder, sent: list[Message], status: int | None) -> None:  # noqa: F811
    async def app(scope: Message, receive: Any, send: Any) -> None:
        await receive()
        for message in sent:
            await send(message)
        with profiler.Trace("inside"):
            pass

    scope = http(type="websocket", scheme="wss")
    del scope["method"]
    assert Server({"type": "websocket.connect"}).ask(middleware(app), scope) == sent
    assert spans.names() == ["inside", "websocket"]
    span = spans.by_name("websocket")
    assert span.operation_name == "websocket GET"
    assert span.own_tags["http.url"] == "wss://api:8774/"
    assert span.own_tags.get("http.status_code") == status
    assert "osprofiler.body_unread" not in span.own_tags


# Isolation


def test_the_server_s_own_code_is_outside_of_the_request(spans: Recorder) -> None:  # noqa: F811
    """Servers begin a pipelined request inside ``send``, in a task that inherits the context."""

    async def app(scope: Message, receive: Any, send: Any) -> None:
        await receive()
        inside = current.point.get()
        await plain(scope, receive, send)
        assert current.point.get() is inside

    server = Server({"type": "http.request"})
    server.ask(middleware(app))
    assert server.points == [None] * 3


def test_a_pipelined_request_begins_with_nothing(spans: Recorder) -> None:  # noqa: F811
    seen: list[Any] = []

    async def second(scope: Message, receive: Any, send: Any) -> None:
        seen.append(profiler.get())
        await plain(scope, receive, send)

    async def main() -> None:
        first, tasks = Server(), []

        def begin_next(message: Message) -> None:
            if message is LAST:
                call = middleware(second)(http(traced=False), Server().receive, Server().send)  # type: ignore[arg-type]
                tasks.append(asyncio.create_task(call))  # type: ignore[arg-type]

        first.then = begin_next
        await middleware(plain)(http(), first.receive, first.send)  # type: ignore[arg-type]
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert seen == [None]
    assert spans.names() == ["inside", "asgi"]


def test_an_untraced_request_sees_nothing_of_the_trace_around_the_server(spans: Recorder) -> None:  # noqa: F811
    seen: list[Any] = []

    async def app(scope: Message, receive: Any, send: Any) -> None:
        seen.append(profiler.get())
        await plain(scope, receive, send)

    left = profiler.init(KEY)
    Server().ask(middleware(app), http(traced=False))
    assert seen == [None]
    assert spans.started == []
    here = profiler.get()
    assert here is not None
    assert here.get_base_id() == left.get_base_id()
    profiler.clean()


def test_requests_at_once_do_not_mix(spans: Recorder) -> None:  # noqa: F811
    async def app(scope: Message, receive: Any, send: Any) -> None:
        for part in ("a", "b"):
            with profiler.Trace(part, info={"path": scope["path"]}):
                await asyncio.sleep(0)
        await plain(scope, receive, send)

    async def main() -> None:
        server = Server()
        scopes = (http(traced=False, headers=headers(f"trace {i}"), path=f"/{i}") for i in range(20))
        await asyncio.gather(
            *(middleware(app)(scope, server.receive, server.send) for scope in scopes)  # type: ignore[arg-type]
        )

    asyncio.run(main())
    traces: dict[str, list[Any]] = {}
    for span in spans.finished:
        traces.setdefault(span.origin.base_id, []).append((span.name, (span.start_info or {}).get("path")))
    assert traces == {
        f"trace {i}": [("a", f"/{i}"), ("b", f"/{i}"), ("inside", None), ("asgi", None)] for i in range(20)
    }


def test_a_second_middleware_nests(spans: Recorder) -> None:  # noqa: F811
    Server().ask(middleware(middleware(plain)))
    assert spans.tree() == [("asgi", None), ("asgi", "asgi"), ("inside", "asgi")]


def test_a_scope_that_cannot_be_read_is_served_untraced(spans: Recorder) -> None:  # noqa: F811
    spans.expected_faults.add("fault.web.request")
    scope = http()
    del scope["path"]
    assert Server().ask(middleware(plain), scope) == [START, LAST]
    assert spans.started == []
