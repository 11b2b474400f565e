# SPDX-License-Identifier: Apache-2.0
"""What traced services do: each function is the work of one or more traces, through osprofiler's public modules.

Its lines are in the stacks of recorded errors: a line that moves changes the corpus.
"""

from __future__ import annotations

import contextlib
import contextvars
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults

import oslo_messaging
import requests
import sqlalchemy
from edges import Clock
from oslo_config import cfg
from oslo_messaging import RemoteError
from requests.adapters import HTTPAdapter
from sinks import KEY

from osprofiler import messaging, opentracing_compat, profiler, web
from osprofiler import requests as traced_requests
from osprofiler import sqlalchemy as traced_sqlalchemy

BASE = "7bbd2d5c-3c54-4d45-8a9c-9a4b3d1f0a01"
PARENT = "7bbd2d5c-3c54-4d45-1111-222233334444"

#: Only so many of the innermost frames of an error are kept: below these, osprofiler's own are not in what is recorded.
_DEPTH = 30


def fail(error: Exception, depth: int = _DEPTH) -> None:
    """Raise *error* from so many calls down."""
    if depth:
        fail(error, depth - 1)
    raise error


def fail_twice(text: str) -> None:
    """Raise an error that has a cause."""
    try:
        fail(ValueError(text))
    except ValueError as error:
        raise RuntimeError("failed again") from error


def points(clock: Clock) -> None:
    """Points, nested, with values of all kinds, and with errors."""
    profiler.init(KEY, base_id=BASE, parent_id=PARENT)
    profiler.start("first", {"n": 1, "text": "é\u2028<b>", "flag": True, "none": None, "list": [1, "a", {"k": 2.5}]})
    clock.pass_us(1500)
    profiler.start("second")
    profiler.annotate("retry", attempt=2)
    clock.pass_us(10)
    profiler.stop({"result": b"bytes", "password": "hunter2"})
    with contextlib.suppress(RuntimeError), profiler.Trace("third", {"deep": {"a": {"b": {"c": [1, 2, 3]}}}}):
        clock.pass_us(7)
        with profiler.Trace("fourth-start"):
            fail_twice("no token=abcdef given")
    clock.pass_us(2_000_000)
    profiler.stop()
    profiler.clean()
    profiler.init(KEY, base_id="not a uuid", parent_id="nor this")
    with profiler.Trace("of any text"):
        profiler.get().start("by hand", {"by": "hand"})
        profiler.get().stop()
    profiler.start("never stopped")


def decorated(clock: Clock) -> None:
    """Functions, a class, an error in one, hidden arguments and a shown result."""

    @profiler.trace("function", info={"of": "decorator"}, hide_args=False, hide_result=False)
    def function(a: int, *args: Any, key: str = "k", token: str = "t0k3n") -> dict[str, int]:
        clock.pass_us(3)
        return {"sum": a + len(args)}

    @profiler.trace("hidden", hide_args=True)
    def hidden(a: int) -> None:
        fail(ValueError("hidden"))

    @profiler.trace_cls("class", trace_private=True)
    class Manager:
        def __repr__(self) -> str:
            return "a manager"

        def public(self, a: int) -> int:
            return self._private(a) + self.static(1)

        def _private(self, a: int) -> int:
            return a

        @staticmethod
        def static(a: int) -> int:
            return a

    for traced in (function, hidden, Manager):
        traced.__qualname__ = traced.__qualname__.rpartition(".")[2]
    profiler.init(KEY, base_id=BASE)
    function(1, 2, 3, key="other")
    with contextlib.suppress(ValueError):
        hidden(1)
    Manager().public(5)


def forks(clock: Clock) -> None:
    """Branches that are waited for and not, one that fails, one from a carrier, one that nobody enters; joins."""
    profiler.init(KEY, base_id=BASE, parent_id=PARENT)
    with profiler.Trace("request"):
        fork = profiler.fork("work", {"parts": 3})
        first = fork.wrap(lambda: clock.pass_us(5), "first")
        failing = fork.wrap(lambda: fail(ValueError("in a branch")), "failing")
        carrier = fork.to_carrier("far")
        fork.wrap(lambda: None, "never")
        contextvars.Context().run(first)
        with contextlib.suppress(ValueError):
            contextvars.Context().run(failing)

        def far() -> None:
            with profiler.branch(carrier), profiler.Trace("there"):
                clock.pass_us(11)

        contextvars.Context().run(far)
        fork.join()
        detached = profiler.fork("later", detached=True)
        contextvars.Context().run(detached.wrap(lambda: profiler.annotate("late"), "late"))


def environ(headers: dict[str, str], **more: Any) -> dict[str, Any]:
    """A WSGI request with *headers*."""
    values: dict[str, Any] = {
        "PATH_INFO": "/v2.1/sérvers".encode().decode("latin-1"),
        "QUERY_STRING": "limit=1&token=abc",
        "HTTP_HOST": "user:pw@nova:8774",
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
        **more,
    }
    setup_testing_defaults(values)
    return values


def answer(headers: dict[str, str], work: Callable[[], Any], status: str = "200 OK", **more: Any) -> None:
    """Have a middleware answer one request, which does *work*."""

    def application(_: Any, start_response: Any) -> list[bytes]:
        work()
        start_response(status, [("Content-Type", "text/plain")])
        return [b"body"]

    body = web.WsgiMiddleware(application, hmac_keys=KEY, enabled=True)(environ(headers, **more), lambda *_: None)
    for _chunk in body:
        pass
    getattr(body, "close", lambda: None)()


def signed_headers() -> dict[str, str]:
    """The headers of a caller that has an open point."""

    def call() -> dict[str, str]:
        profiler.init(KEY, base_id=BASE, parent_id=PARENT)
        with profiler.Trace("caller"):
            return dict(web.get_trace_id_headers())

    return contextvars.Context().run(call)


def wsgi(clock: Clock) -> None:
    """Requests that are answered, failed, and raised out of."""
    headers = signed_headers()
    answer(headers, lambda: clock.pass_us(12))
    answer(headers, lambda: None, "404 Not Found", REQUEST_METHOD="DELETE")
    answer(headers, lambda: None, "503 Busy", REQUEST_METHOD="BREW")
    with contextlib.suppress(ValueError):
        answer(headers, lambda: fail(ValueError("in a handler")))


def http_client(clock: Clock) -> None:
    """Requests that python-requests sends: answered, not there, failed, and not connected."""
    plain = HTTPAdapter.send

    def send(self: Any, request: Any, **_: Any) -> requests.Response:
        clock.pass_us(20)
        if request.url.endswith("/refused"):
            fail(requests.ConnectionError("refused"))
        response = requests.Response()
        response.status_code, response.request, response.url = int(request.url[-3:]), request, request.url
        response.raw = None
        sent.append(sorted((name, value) for name, value in request.headers.items() if name != "User-Agent"))
        return response

    sent: list[Any] = []
    HTTPAdapter.send = send  # type: ignore[method-assign, assignment]
    traced_requests.enable()
    try:
        profiler.init(KEY, base_id=BASE)
        with profiler.Trace("client"):
            adapter = HTTPAdapter()
            for url in (
                "http://u:p@glance:9292/v2/200",
                "https://glance/v2/404",
                "http://[::1]:1/503",
                "http://h/refused",
            ):
                request = requests.Request("GET", url, params=None, headers={"Accept": "x"}).prepare()
                with contextlib.suppress(requests.ConnectionError):
                    adapter.send(request)
    finally:
        traced_requests.disable()
        HTTPAdapter.send = plain  # type: ignore[method-assign]


class _Cursor(sqlite3.Cursor):
    def execute(self, *args: Any) -> sqlite3.Cursor:
        try:
            return super().execute(*args)
        except sqlite3.OperationalError as error:
            fail(error)  # so that SQLAlchemy's frames are not in what is recorded either
            raise


class _Connection(sqlite3.Connection):
    def cursor(self, *_: Any) -> sqlite3.Cursor:  # type: ignore[override]
        return super().cursor(_Cursor)


def _connect() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", factory=_Connection)


def statements(clock: Clock) -> None:
    """SQL statements with parameters, with rows shown, and with an error."""
    for hide_result in (True, False):
        engine = sqlalchemy.create_engine("sqlite://", creator=_connect)
        traced_sqlalchemy.add_tracing(sqlalchemy, engine, "db", hide_result=hide_result)
        profiler.init(KEY, base_id=BASE)
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE t (name TEXT, password TEXT)"))
            clock.pass_us(4)
            row = {"name": "n", "password": "hunter2"}
            connection.execute(sqlalchemy.text("INSERT INTO t (name, password) VALUES (:name, :password)"), row)
            connection.execute(sqlalchemy.text("SELECT name FROM t WHERE name = :name"), {"name": "n"}).fetchall()
            with contextlib.suppress(sqlalchemy.exc.OperationalError):
                connection.execute(sqlalchemy.text("SELECT nothing FROM nowhere"))
        profiler.clean()


def rpc(clock: Clock) -> None:
    """A call through oslo.messaging, in one process."""
    with _client(clock) as client, profiler.Trace("request"):
        client.call({"user": "u"}, "build", name="vm")


def failing_rpc(clock: Clock) -> None:
    """A call that fails."""
    with _client(clock) as client, profiler.Trace("request"), contextlib.suppress(ValueError, RemoteError):
        client.call({"user": "u"}, "fail")


class _Endpoint:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def build(self, context: Any, name: str) -> str:
        with profiler.Trace("inside"):
            self._clock.pass_us(9)
        return name

    def fail(self, context: Any) -> None:
        fail(ValueError("in an endpoint"))


@contextlib.contextmanager
def _client(clock: Clock) -> Iterator[Any]:
    """A client of a server in this process, in a new trace."""
    cfg.CONF([], project="corpus", default_config_files=[])
    messaging.instrument()
    transport = oslo_messaging.get_rpc_transport(cfg.CONF, url="fake://")
    target = oslo_messaging.Target(topic="topic", server="server", exchange="corpus")
    server = oslo_messaging.get_rpc_server(transport, target, [_Endpoint(clock)], executor="threading")
    server.start()
    try:
        profiler.init(KEY, base_id=BASE)
        yield oslo_messaging.get_rpc_client(transport, target)
    finally:
        server.stop()
        server.wait()
        messaging.uninstrument()


def opentracing_spans(clock: Clock) -> None:
    """Spans made by OpenTracing's own calls, with references, tags, logs and baggage."""
    import opentracing

    tracer = opentracing_compat.get_tracer()
    profiler.init(KEY, base_id=BASE)
    with tracer.start_active_span("outer", tags={"span.kind": "client", "n": 1, "peer.service": "glance"}) as scope:
        scope.span.set_baggage_item("user", "ü &=;,")
        clock.pass_us(6)
        scope.span.log_kv({"event": "cache miss", "key": "k"})
        with tracer.start_active_span("inner") as inner:
            inner.span.set_tag("error", True)
        follows = tracer.start_span("after", references=[opentracing.follows_from(inner.span.context)])
        follows.finish()


ALL: tuple[Callable[[Clock], None], ...] = (
    points,
    decorated,
    forks,
    wsgi,
    http_client,
    statements,
    rpc,
    failing_rpc,
    opentracing_spans,
)

#: Those whose traces are shown in all forms too.
SHOWN = (points, forks, wsgi, statements, opentracing_spans)
