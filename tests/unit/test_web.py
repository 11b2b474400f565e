# SPDX-License-Identifier: Apache-2.0
"""The middleware without a server: which requests are traced, the current point of each piece, and after a request."""

from __future__ import annotations

import concurrent.futures
import gc
import inspect
import io
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import pytest
import webob
import webob.dec
import webob.exc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jaeger_client.sampler import ConstSampler

from osprofiler import config, messaging, profiler, web
from osprofiler._runtime import guard
from osprofiler._utils import signed_pack
from osprofiler.concurrency import isolation
from osprofiler.config import switches, trust
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.propagation import signed
from osprofiler.tracer import global_tracer
from tests.unit.span_kit import Recorder, spans  # noqa: F401

KEY = "SECRET"
BASE, PARENT = "5b0d2c6a-0b2f-4d7c-9e61-8f1f4c9f0a11", "5b0d2c6a-0b2f-4d7c-a7a2-2d4d4a3a9c22"

Environ = dict[str, Any]
App = Callable[..., Iterable[bytes]]


@pytest.fixture(autouse=True)
def _as_imported() -> Iterator[None]:
    switches.reset()
    yield
    switches.reset()
    isolation.uninstall()


def headers(base: str = BASE, parent: str = PARENT, key: str = KEY) -> dict[str, str]:
    info, signature = signed_pack({"base_id": base, "parent_id": parent}, key)
    return {"HTTP_X_TRACE_INFO": info.decode(), "HTTP_X_TRACE_HMAC": signature or ""}


def environ(traced: bool = True, **more: Any) -> Environ:
    made: Environ = dict(more)
    setup_testing_defaults(made)
    return {**made, **(headers() if traced else {})}


class Server:
    """The steps of a WSGI server."""

    def __init__(self) -> None:
        self.status: str | None = None
        self.written: list[bytes] = []

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if exc_info and self.written:
            raise exc_info[1]
        self.status = status
        return self.written.append


def ask(app: App, env: Environ | None = None) -> tuple[str | None, bytes]:
    server = Server()
    body = app(env if env is not None else environ(), server.start_response)
    try:
        data = b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    return server.status, b"".join(server.written) + data


def middleware(app: App, **arguments: Any) -> web.WsgiMiddleware:
    return web.WsgiMiddleware(app, hmac_keys=KEY, enabled=True, **arguments)


def plain(env: Environ, start_response: Any) -> Iterable[bytes]:
    with profiler.Trace("inside"):
        start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"answer"]


# Which requests are traced


def test_a_signed_request_is_one_server_span_under_its_caller(spans: Recorder) -> None:  # noqa: F811
    env = environ(
        PATH_INFO="/servers/\xc3\xa9 x", QUERY_STRING="limit=1", SCRIPT_NAME="/v2", HTTP_HOST="user:pw@api:8774"
    )
    assert ask(middleware(plain), env) == ("200 OK", b"answer")
    assert spans.tree() == [("wsgi", None), ("inside", "wsgi")]
    span = spans.by_name("wsgi")
    assert (span.origin.base_id, span.parent_point_id) == (BASE, PARENT)
    assert span.operation_name == "wsgi GET"
    assert span.start_info == {
        "request": {"path": "/v2/servers/%C3%A9%20x", "query": "limit=1", "method": "GET", "scheme": "http"}
    }
    assert span.own_tags == {
        "span.kind": "server",
        "component": "wsgi",
        "http.method": "GET",
        "http.url": "http://api:8774/v2/servers/%C3%A9%20x",
        "http.status_code": 200,
    }


@pytest.mark.parametrize(
    "env",
    [
        environ(traced=False),
        {**environ(), "HTTP_X_TRACE_HMAC": "0" * 40},
        {**environ(), **headers(key="other")},
        {**environ(), "HTTP_X_TRACE_INFO": 5},
        environ(traced=False, HTTP_UBER_TRACE_ID="1:2:0:1", HTTP_TRACEPARENT="garbage"),
    ],
)
def test_other_requests_are_not(spans: Recorder, env: Environ) -> None:  # noqa: F811
    assert ask(middleware(plain), env) == ("200 OK", b"answer")
    assert spans.started == []


@pytest.mark.parametrize(
    ("own", "switch", "traced"),
    [
        (False, None, False),
        (True, None, True),
        (False, lambda: web.enable(KEY), False),
        ("no", lambda: web.enable(KEY), False),
        ("", lambda: web.enable(KEY), False),
        (None, None, False),
        (None, lambda: web.enable(KEY), True),
        (True, web.disable, False),
        (True, lambda: web.enable("other"), False),
        (True, lambda: web.enable(), True),
        (True, lambda: config.publish(enabled=False), False),
        ("false", None, False),
        ("yes", None, True),
    ],
)
def test_switches(
    spans: Recorder,  # noqa: F811
    own: bool | str | None,
    switch: Callable[[], object] | None,
    traced: bool,
) -> None:
    """*own* is the argument ``enabled``; None: it is not given."""
    app = web.WsgiMiddleware(plain, hmac_keys=KEY, **({} if own is None else {"enabled": own}))  # type: ignore[arg-type]
    if switch is not None:
        switch()
    assert ask(app) == ("200 OK", b"answer")
    assert bool(spans.started) is traced


def test_a_middleware_of_code_without_the_argument_follows_the_configuration(spans: Recorder) -> None:  # noqa: F811
    off, on = web.WsgiMiddleware.factory({}, enabled="no")(plain), web.WsgiMiddleware.factory({})(plain)
    for trace_wsgi, traced in ((None, True), (False, False), (True, True)):
        settings = config.publish(hmac_keys=(KEY,), trace_wsgi=trace_wsgi)
        switches.follow(config.Settings(), settings, keys_changed=False)
        for app, expected in ((on, traced), (off, False)):
            before = len(spans.started)
            ask(app)
            assert (len(spans.started) > before) is expected


def test_the_default_of_enabled_is_shown_and_compared_as_in_osprofiler_4() -> None:
    default = inspect.signature(web.WsgiMiddleware).parameters["enabled"].default
    assert (repr(default), default == False, bool(default)) == ("False", True, False)  # noqa: E712


def test_a_service_that_only_enables_its_middleware_has_units_of_work() -> None:
    """mistral, senlin and trove turn tracing on like this. Their RPC servers run messages in threads of a pool."""
    web.enable(KEY)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(profiler.init, KEY, BASE, PARENT).result().get_base_id() == BASE
        assert pool.submit(profiler.get).result() is None


def test_without_keys_nobody_can_ask(spans: Recorder) -> None:  # noqa: F811
    env = {**environ(), **headers(key="")}
    ask(web.WsgiMiddleware(plain, enabled=True), env)
    ask(web.WsgiMiddleware(plain, hmac_keys="", enabled=True))
    assert spans.started == []


def test_any_of_several_keys_counts(spans: Recorder) -> None:  # noqa: F811
    ask(web.WsgiMiddleware(plain, hmac_keys=f"new, {KEY}", enabled=True))
    assert spans.by_name("wsgi").origin.hmac_key == KEY


def test_the_factory_takes_what_older_configurations_hold(spans: Recorder) -> None:  # noqa: F811
    filter_ = web.WsgiMiddleware.factory(
        {"here": "/etc"}, hmac_keys=KEY, enabled="yes", project="p", service="s", connection_string="redis://x"
    )
    app = filter_(plain)
    assert isinstance(app, web.WsgiMiddleware)
    assert (app.name, app.enabled, app.hmac_keys) == ("wsgi", True, [KEY])
    ask(app)
    assert spans.names() == ["inside", "wsgi"]


@pytest.mark.parametrize("method", ["PURGE", "x" * 5000, "GET\r\n"])
def test_a_method_made_up_does_not_make_an_operation(spans: Recorder, method: str) -> None:  # noqa: F811
    ask(middleware(plain), environ(REQUEST_METHOD=method))
    assert spans.by_name("wsgi").operation_name == "wsgi other"


def test_a_sampler_begins_traces_signed_with_the_first_key(
    spans: Recorder,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(global_tracer.get_tracer(), "sampler", ConstSampler(True))
    config.publish(sampler="const:1")
    carried: list[dict[str, str]] = []

    def app(env: Environ, start_response: Any) -> Iterable[bytes]:
        carried.append(web.get_trace_id_headers())
        return plain(env, start_response)

    ask(middleware(app), environ(traced=False, HTTP_TRACEPARENT=f"00-{5:032x}-{6:016x}-01"))
    span = spans.by_name("wsgi")
    assert span.parent_span_id == 0
    assert span.origin.hmac_key == KEY
    assert span.own_tags["foreign.traceparent"] == f"00-{5:032x}-{6:016x}-01"
    assert span.own_tags["sampler.type"] == "const"
    assert "X-Trace-Info" in carried[0]


def test_a_sampler_that_says_no(spans: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """The called service gets the signed decision and does not decide again; a plain osprofiler sees nothing."""
    tracer = global_tracer.get_tracer()
    monkeypatch.setattr(tracer, "sampler", ConstSampler(False))
    config.publish(sampler="const:0", propagation=("osprofiler", "jaeger", "w3c", "b3"))
    seen: list[Any] = []

    def app(env: Environ, start_response: Any) -> Iterable[bytes]:
        seen.append((profiler.get(), web.get_trace_id_headers(), messaging.inject({})))
        return plain(env, start_response)

    assert ask(middleware(app), environ(traced=False)) == ("200 OK", b"answer")
    assert spans.started == []
    assert current.point.get() is None
    ((profiler_, headers, message),) = seen
    assert profiler_ is None
    assert not {"X-Trace-Info", "X-Trace-HMAC"} & headers.keys()
    assert "trace_info" not in message
    for text in (headers["X-Trace-Context"], message["osprofiler_context"]):
        decoded = signed.decode(text, [KEY])
        assert decoded is not None
        assert not decoded.context.sampled
    assert headers["uber-trace-id"].endswith(":0")
    assert headers["traceparent"].endswith("-00")
    assert headers["X-B3-Sampled"] == "0"
    monkeypatch.setattr(tracer, "sampler", ConstSampler(True))
    config.publish(sampler="const:1", hmac_keys=(KEY,))
    behind = environ(traced=False, HTTP_X_TRACE_CONTEXT=headers["X-Trace-Context"])
    assert ask(middleware(plain), behind) == ("200 OK", b"answer")
    assert spans.started == []


def test_a_trusted_unsampled_request_is_carried_on_untraced(spans: Recorder) -> None:  # noqa: F811
    config.publish(trust_incoming=trust.ALL)
    seen: list[Any] = []

    def app(env: Environ, start_response: Any) -> Iterator[bytes]:
        seen.append((profiler.get(), web.get_trace_id_headers()))
        start_response("200 OK", [])
        yield b"a"
        seen.append((profiler.get(), web.get_trace_id_headers()))
        yield b"b"

    ask(middleware(app), environ(traced=False, HTTP_UBER_TRACE_ID="5:6:0:0"))
    assert len(seen) == 2
    for profiler_, headers in seen:
        assert profiler_ is None
        decoded = signed.decode(headers.pop("X-Trace-Context"), [KEY])
        assert decoded is not None
        assert (decoded.context.trace_id, decoded.context.span_id, decoded.context.sampled) == (5, 6, False)
        assert headers == {
            "uber-trace-id": f"{5:032x}:{6:016x}:0:0",
            "traceparent": f"00-{5:032x}-{6:016x}-00",
        }
    assert spans.started == []


def test_a_trusted_sampled_request_is_continued(spans: Recorder) -> None:  # noqa: F811
    config.publish(trust_incoming=trust.ALL)
    ask(middleware(plain), environ(traced=False, HTTP_UBER_TRACE_ID="5:6:0:1"))
    span = spans.by_name("wsgi")
    assert (span.trace_id, span.parent_span_id) == (5, 6)


def test_a_second_middleware_in_the_pipeline_nests(spans: Recorder) -> None:  # noqa: F811
    ask(middleware(middleware(plain)))
    assert spans.tree() == [("wsgi", None), ("wsgi", "wsgi"), ("inside", "wsgi")]


def test_an_untraced_request_sees_nothing_of_what_the_worker_still_has(spans: Recorder) -> None:  # noqa: F811
    left = profiler.init(KEY)
    ask(middleware(plain), environ(traced=False))
    assert spans.started == []
    current = profiler.get()
    assert current is not None
    assert current.get_base_id() == left.get_base_id()
    profiler.clean()


def test_a_request_inside_a_span_of_the_process_stays_in_it(
    spans: Recorder,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(global_tracer.get_tracer(), "sampler", ConstSampler(True))
    with global_tracer.get_tracer().start_active_span("outer") as outer:
        ask(middleware(plain), environ(traced=False))
    assert [span.operation_name for span in spans.finished] == ["inside", "outer"]
    assert spans.finished[0].parent_span_id == outer.span.span_id


# What its answer tells of its trace


def answered(app: App, env: Environ | None = None) -> list[tuple[str, str]]:
    """The headers of the answer, and a check that the application's own list is left alone."""
    sent: list[tuple[str, str]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        sent.extend(headers)
        return lambda data: None

    body = app(environ() if env is None else env, start_response)
    assert list(body) == [b"answer"]
    return sent


PLAIN = [("Content-Type", "text/plain")]


def test_the_answer_to_a_traced_request_names_its_trace(spans: Recorder) -> None:  # noqa: F811
    sent = answered(middleware(plain))
    span = spans.by_name("wsgi")
    assert sent == [
        *PLAIN,
        ("X-Trace-Id", BASE.replace("-", "")),
        ("traceresponse", f"00-{BASE.replace('-', '')}-{span.span_id:016x}-01"),
    ]


def test_a_sampled_request_can_be_found_by_its_answer(
    spans: Recorder,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(global_tracer.get_tracer(), "sampler", ConstSampler(True))
    config.publish(sampler="const:1")
    sent = dict(answered(middleware(plain), environ(traced=False)))
    assert sent["X-Trace-Id"] == f"{spans.by_name('wsgi').trace_id:032x}"


@pytest.mark.parametrize(
    ("env", "settings"),
    [
        (environ(traced=False), {}),
        ({**environ(), **headers(key="other")}, {}),
        (environ(traced=False, HTTP_TRACEPARENT=f"00-{5:032x}-{6:016x}-01"), {}),
        (environ(traced=False, HTTP_TRACEPARENT=f"00-{5:032x}-{6:016x}-00"), {"trust_incoming": trust.ALL}),
        (environ(), {"response_headers": False}),
    ],
    ids=["nobody asked", "another key", "not trusted", "trusted and not sampled", "switched off"],
)
@pytest.mark.usefixtures("spans")
def test_other_answers_are_as_the_application_made_them(env: Environ, settings: dict[str, Any]) -> None:
    config.publish(**settings)
    assert answered(middleware(plain), env) == PLAIN


@pytest.mark.usefixtures("spans")
def test_headers_of_the_application_win_and_its_list_stays_as_it_is() -> None:
    own = [("x-trace-id", "mine"), ("Set-Cookie", "a"), ("Set-Cookie", "b")]
    before = list(own)

    def app(env: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", own)
        return [b"answer"]

    sent = answered(middleware(app))
    assert (sent[:3], [name for name, _ in sent[3:]], own) == (before, ["traceresponse"], before)


def test_the_inner_one_of_two_middlewares_names_its_span(spans: Recorder) -> None:  # noqa: F811
    sent = answered(middleware(middleware(plain)))
    _, inner = [span for span in spans.started if span.name == "wsgi"]
    assert [name for name, _ in sent] == ["Content-Type", "X-Trace-Id", "traceresponse"]
    assert f"-{inner.span_id:016x}-" in sent[2][1]


# How it ends


@pytest.mark.parametrize(
    ("status", "error"), [("200 OK", None), ("404 Not Found", None), ("503 Out", True), ("odd", None)]
)
def test_the_status_is_a_tag_and_5xx_an_error(spans: Recorder, status: str, error: bool | None) -> None:  # noqa: F811
    def app(env: Environ, start_response: Any) -> Iterable[bytes]:
        start_response(status, [])
        return [b""]

    ask(middleware(app))
    span = spans.by_name("wsgi")
    assert span.own_tags.get("error") is error
    assert span.own_tags.get("http.status_code") == (int(status[:3]) if status != "odd" else None)


class Broken(RuntimeError):
    pass


def raises_at_once(env: Environ, start_response: Any) -> Iterable[bytes]:
    raise env["fault"]


def raises_before_the_first_chunk(env: Environ, start_response: Any) -> Iterator[bytes]:
    raise env["fault"]
    yield b""


def raises_in_the_body(env: Environ, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [])
    yield b"a"
    raise env["fault"]


class RaisesOnClose:
    def __init__(self, env: Environ, start_response: Any) -> None:
        start_response("200 OK", [])
        self.fault = env["fault"]

    def __iter__(self) -> Iterator[bytes]:
        return iter([b"a"])

    def close(self) -> None:
        raise self.fault


@pytest.mark.parametrize(
    "app",
    [raises_at_once, raises_before_the_first_chunk, raises_in_the_body, RaisesOnClose],
    ids=lambda app: app.__name__,
)
@pytest.mark.parametrize("fault", [Broken("why"), KeyboardInterrupt(), SystemExit(3)], ids=lambda f: type(f).__name__)
def test_what_the_application_raises_passes_and_is_an_error(
    spans: Recorder,  # noqa: F811
    app: App,
    fault: BaseException,
) -> None:
    with pytest.raises(type(fault)) as caught:
        ask(middleware(app), {**environ(), "fault": fault})
    assert caught.value is fault
    span = spans.by_name("wsgi")
    assert span.own_tags["error"] is True
    assert span.stop_info is not None
    assert span.stop_info["etype"].endswith(type(fault).__name__)


def test_an_error_answered_with_exc_info_is_an_error_with_its_reason(spans: Recorder) -> None:  # noqa: F811
    def app(env: Environ, start_response: Any) -> Iterable[bytes]:
        try:
            raise Broken("why")
        except Broken:
            start_response("500 Oops", [], sys.exc_info())
        return [b"sorry"]

    assert ask(middleware(app)) == ("500 Oops", b"sorry")
    span = spans.by_name("wsgi")
    assert span.own_tags["http.status_code"] == 500
    assert span.stop_info is not None
    assert span.stop_info["message"] == "why"


def test_exc_info_after_the_headers_are_out_raises_in_the_application(spans: Recorder) -> None:  # noqa: F811
    fault = Broken("why")

    def app(env: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])(b"out")
        try:
            raise fault
        except Broken:
            start_response("500 Oops", [], sys.exc_info())
        return []

    with pytest.raises(Broken) as caught:
        ask(middleware(app))
    assert caught.value is fault
    # the client's view
    assert spans.by_name("wsgi").own_tags["http.status_code"] == 200


def test_write_reaches_the_server(spans: Recorder) -> None:  # noqa: F811
    def app(env: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])(b"written ")
        return [b"returned"]

    assert ask(middleware(app)) == ("200 OK", b"written returned")


# Streams


def streaming(env: Environ, start_response: Any) -> Iterator[bytes]:
    """An application that calls start_response late, and opens a point over several chunks."""
    profiler.start("setup")
    profiler.stop()
    start_response("200 OK", [("Content-Type", "text/plain")])
    profiler.start("rows")
    for i in range(3):
        with profiler.Trace(f"row {i}"):
            chunk = b"%d" % i
        yield chunk
    profiler.stop()


def test_a_stream_is_not_buffered_and_leaves_nothing_between_chunks(spans: Recorder) -> None:  # noqa: F811
    server = Server()
    body = iter(middleware(streaming)(environ(), server.start_response))
    assert spans.names() == []
    assert current.point.get() is None
    assert server.status is None
    for i in range(3):
        assert next(body) == b"%d" % i
        assert current.point.get() is None
        assert spans.names() == ["setup", *(f"row {n}" for n in range(i + 1))]
    assert server.status == "200 OK"
    assert list(body) == []
    assert "wsgi" not in spans.names()
    body.close()  # type: ignore[attr-defined]
    assert spans.tree() == [
        ("wsgi", None),
        ("setup", "wsgi"),
        ("rows", "wsgi"),
        ("row 0", "rows"),
        ("row 1", "rows"),
        ("row 2", "rows"),
    ]
    assert "osprofiler.unclosed" not in spans.by_name("rows").own_tags


def test_streams_interleaved_on_one_thread_stay_apart(spans: Recorder) -> None:  # noqa: F811
    bodies = []
    for i in range(3):
        base = f"{i}b0d2c6a-0b2f-4d7c-9e61-8f1f4c9f0a11"
        env = {**environ(), **headers(base=base, parent=base)}
        bodies.append(iter(middleware(streaming)(env, Server().start_response)))
    untraced = iter(middleware(streaming)(environ(traced=False), Server().start_response))
    for _ in range(3):
        for body in (*bodies, untraced):
            next(body)
    for body in reversed(bodies):
        assert list(body) == []
        body.close()  # type: ignore[attr-defined]
    assert list(untraced) == []
    by_trace: dict[str, list[str | None]] = {}
    for span in spans.started:
        by_trace.setdefault(span.origin.base_id[0], []).append(span.name)
    whole = ["wsgi", "setup", "rows", "row 0", "row 1", "row 2"]
    assert by_trace == {"0": whole, "1": whole, "2": whole}


def test_a_stream_may_move_to_another_thread(spans: Recorder) -> None:  # noqa: F811
    body: Any = middleware(streaming)(environ(), Server().start_response)
    assert next(body) == b"0"
    thread = threading.Thread(target=lambda: (list(body), body.close()))
    thread.start()
    thread.join()
    assert {name for _, name in spans.tree()} == {None, "wsgi", "rows"}


def test_a_client_that_goes_away_ends_the_stream(spans: Recorder) -> None:  # noqa: F811
    body: Any = middleware(streaming)(environ(), Server().start_response)
    next(body)
    body.close()
    span = spans.by_name("wsgi")
    assert span.own_tags["osprofiler.body_unread"] is True
    assert "error" not in span.own_tags
    assert spans.by_name("rows").own_tags["osprofiler.unclosed"] is True


def test_the_body_that_is_closed_is_the_applications(spans: Recorder) -> None:  # noqa: F811
    done: list[Any] = []

    class Body:
        def __init__(self) -> None:
            self.chunks = iter([b"a", b"b"])

        def __iter__(self) -> Iterator[bytes]:
            return self.chunks

        def close(self) -> None:
            with profiler.Trace("cleanup"):
                done.append(True)

    def app(env: Environ, start_response: Any) -> Body:
        start_response("200 OK", [])
        return Body()

    assert ask(middleware(app)) == ("200 OK", b"ab")
    assert done == [True]
    assert spans.tree() == [("wsgi", None), ("cleanup", "wsgi")]


def test_closing_after_an_error_still_closes_the_applications_body(spans: Recorder) -> None:  # noqa: F811
    done: list[bool] = []

    class Body:
        def __iter__(self) -> Iterator[bytes]:
            raise Broken
            yield b""

        def close(self) -> None:
            done.append(True)

    def app(env: Environ, start_response: Any) -> Body:
        return Body()

    with pytest.raises(Broken):
        ask(middleware(app))
    assert done == [True]
    assert spans.names() == ["wsgi"]


def test_a_server_that_never_closes_ends_the_span_all_the_same(spans: Recorder) -> None:  # noqa: F811
    body = middleware(streaming)(environ(), Server().start_response)
    next(iter(body))
    del body
    gc.collect()
    assert "wsgi" in spans.names()


@pytest.mark.parametrize("body", [[b"one"], [b"a", b"b"], (b"t",), []], ids=repr)
def test_a_body_that_is_whole_is_handed_on_as_it_is(spans: Recorder, body: Any) -> None:  # noqa: F811
    def app(env: Environ, start_response: Any) -> Any:
        start_response("200 OK", [])
        return body

    assert middleware(app)(environ(), Server().start_response) is body
    span = spans.by_name("wsgi")
    assert "osprofiler.body_unread" not in span.own_tags


def test_a_file_is_handed_to_the_server_as_it_is(spans: Recorder) -> None:  # noqa: F811
    with tempfile.TemporaryFile() as file:
        for body in (FileWrapper(file), file, io.BytesIO(b"x")):

            def app(env: Environ, start_response: Any, body: Any = body) -> Any:
                start_response("200 OK", [])
                return body

            env = environ(**{"wsgi.file_wrapper": FileWrapper})
            assert middleware(app)(env, Server().start_response) is body
    assert spans.names() == ["wsgi"] * 3


def test_a_body_is_only_iterated() -> None:
    body = middleware(streaming)(environ(), Server().start_response)
    assert not hasattr(body, "__len__")
    body.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("app", [plain, streaming])
@pytest.mark.parametrize("traced", [True, False])
def test_both_sides_conform_to_pep_3333(spans: Recorder, app: App, traced: bool) -> None:  # noqa: F811
    env = environ(traced)

    def text(env: Environ, start_response: Any) -> Iterable[bytes]:
        return app(env, start_response)

    whole = validator(middleware(validator(text)))
    status, data = ask(whole, env)
    assert status == "200 OK"
    assert data in (b"answer", b"012")


# webob


def test_a_webob_request_is_answered_with_a_webob_response(spans: Recorder) -> None:  # noqa: F811
    @webob.dec.wsgify
    def app(request: webob.Request) -> str:
        with profiler.Trace("inside"):
            return f"hello {request.path}"

    request = webob.Request.blank("/x", environ=headers())
    response: Any = middleware(app)(request)  # type: ignore[arg-type]
    assert isinstance(response, webob.Response)
    assert spans.names() == ["inside", "wsgi"]  # the point has ended, also if the body was not read
    assert (response.status_code, response.text) == (200, "hello /x")


def test_a_webob_request_may_be_answered_by_a_stream(spans: Recorder) -> None:  # noqa: F811
    response: Any = middleware(streaming)(webob.Request.blank("/x", environ=headers()))  # type: ignore[arg-type]
    assert response.body == b"012"
    assert spans.by_name("wsgi").own_tags["http.status_code"] == 200


# Bad input

#: A short text many times: hypothesis is too slow for thousands of separate characters.
LONG = st.builds(lambda part, size: (part * size)[:size], st.text(min_size=1, max_size=50), st.integers(5000, 6000))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    fields=st.dictionaries(
        st.sampled_from(
            [
                "HTTP_X_TRACE_INFO",
                "HTTP_X_TRACE_HMAC",
                "HTTP_X_TRACE_CONTEXT",
                "HTTP_UBER_TRACE_ID",
                "HTTP_TRACEPARENT",
                "HTTP_TRACESTATE",
                "HTTP_B3",
                "HTTP_UBERCTX_X",
                "HTTP_JAEGER_DEBUG_ID",
                "HTTP_HOST",
                "PATH_INFO",
                "QUERY_STRING",
                "SCRIPT_NAME",
                "REQUEST_METHOD",
            ]
        ),
        st.one_of(
            st.text(max_size=50),
            st.sampled_from([*headers().values()]),
            LONG,
        ),
    ),
    trusted=st.booleans(),
)
def test_hostile_headers_are_as_absent(spans: Recorder, fields: dict[str, str], trusted: bool) -> None:  # noqa: F811
    config.publish(trust_incoming=trust.ALL if trusted else trust.SIGNED)
    assert ask(middleware(plain), {**environ(), **fields}) == ("200 OK", b"answer")
    assert current.point.get() is None


def test_a_broken_environment_is_the_applications_business(spans: Recorder) -> None:  # noqa: F811
    env = environ()
    for key in ("REQUEST_METHOD", "wsgi.url_scheme", "SERVER_NAME"):
        del env[key]
    env["PATH_INFO"] = None
    spans.expected_faults.add("fault.web.request")
    before = guard.counters["fault.web.request"]
    assert ask(middleware(plain), env) == ("200 OK", b"answer")
    assert guard.counters["fault.web.request"] == before + 1


def test_a_tracer_that_fails_hurts_no_request(spans: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("of ours")

    spans.expected_faults |= {"fault.web.request", "fault.web.end", "fault.stop", "fault.start"}
    before = Counter(guard.counters)
    for owner, method in ((global_tracer.get_tracer(), "open_point"), (Point, "end")):
        with monkeypatch.context() as patched:
            patched.setattr(owner, method, broken)
            assert ask(middleware(plain)) == ("200 OK", b"answer")
            assert ask(middleware(streaming)) == ("200 OK", b"012")
        assert current.point.get() is None
    seen = guard.counters - before
    assert (seen["fault.web.request"], seen["fault.web.end"]) == (2, 2)
    for span in spans.started:
        if not span.finished:
            span.finish()


def test_headers_that_cannot_be_made_are_none(spans: Recorder) -> None:  # noqa: F811
    spans.expected_faults.add("fault.web.headers")
    profiler.init("\ud800")  # no bytes for this key
    assert web.get_trace_id_headers() == {}
    profiler.clean()


@pytest.mark.parametrize("enabled", [True, False])
def test_a_subclass_may_answer_webob_s_requests_through_us(enabled: bool) -> None:
    class Own(web.WsgiMiddleware):
        @webob.dec.wsgify
        def __call__(self, request: webob.Request) -> webob.Response:
            request.environ["own"] = "yes"
            return super().__call__(request)

    def application(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ["own"].encode()]

    assert webob.Request.blank("/").get_response(Own(application, hmac_keys=KEY, enabled=enabled)).text == "yes"


@pytest.mark.parametrize("enabled", [True, False])
def test_an_answer_of_webob_that_is_raised_is_given_as_stock_gives_it(enabled: bool) -> None:
    def application(environ: Environ, start_response: Any) -> Iterable[bytes]:
        raise webob.exc.HTTPForbidden("no")

    middleware = web.WsgiMiddleware(application, hmac_keys=KEY, enabled=enabled)
    packed, signature = signed_pack({"base_id": BASE, "parent_id": PARENT}, KEY)
    headers = {"X-Trace-Info": packed.decode(), "X-Trace-HMAC": signature or ""}
    for each in ({}, headers):
        assert webob.Request.blank("/", headers=each).get_response(middleware).status_int == 403


def test_a_header_under_a_name_that_no_server_should_give_it_changes_nothing(spans: Recorder) -> None:  # noqa: F811
    packed, signature = signed_pack({"base_id": BASE, "parent_id": PARENT}, KEY)
    environ: Environ = {"HTTP_X_TRACE_INFO": packed.decode(), "HTTP_X_TRACE_HMAC": signature}
    environ["HTTP_UBERCTX_\xe9"] = "1"  # uWSGI converts only ASCII to upper case
    setup_testing_defaults(environ)
    middleware = web.WsgiMiddleware(lambda _, start: (start("200 OK", []), [b""])[1], hmac_keys=KEY, enabled=True)
    list(middleware(environ, lambda *_: None))  # type: ignore[arg-type, return-value]
    assert spans.names() == ["wsgi"]
