# SPDX-License-Identifier: Apache-2.0
"""Switches for one request: what it asks for shows in its own trace, and nowhere else."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests
import sqlalchemy
from keystoneauth1.session import Session

from osprofiler import config, profiler, propagation, web
from osprofiler import sqlalchemy as door
from osprofiler._runtime.wrapping import Target, Wrapping
from osprofiler.concurrency import branch as branches
from osprofiler.concurrency import carrier
from osprofiler.config import Settings, on_request, switches, table
from osprofiler.config.limited_key import LimitedKey
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.instrumentation import registry
from osprofiler.propagation import envelope, signed
from osprofiler.testing.recorder import Recording, recording
from tests.unit.core_kit import a_clean_process
from tests.unit.test_bench_guard import calls_of

KEY = "the key of all services"


@pytest.fixture(autouse=True)
def spans() -> Iterator[Recording]:
    switches.reset()
    with a_clean_process(), recording(trace=False) as recorded:
        yield recorded
        assert recorded.unfinished() == []
    registry.uninstrument()
    switches.reset()


def let(*names: str, **more: Any) -> None:
    """Let requests ask for *names* in this process, as its configuration would."""
    before = config.current()
    after = config.publish(
        enabled=True, hmac_keys=(KEY,), on_request=names, trace_sqlalchemy=False, trace_arguments="none", **more
    )
    switches.follow(before, after, False)
    registry.follow(before, after)


def served(work: Callable[[], Any], *asked: str) -> None:
    """Run *work* as a request that has asked for *asked*."""
    incoming = propagation.read(headers(*asked))
    assert incoming is not None
    with scope.entered(Point(None, None, incoming.origin)), profiler.Trace("request"):
        work()


def headers(*asked: str, key: str = KEY) -> dict[str, str]:
    """The headers of a request that asks for *asked*."""
    with scope.entered(Point(None, None, Origin.from_osprofiler(key))):
        return {name.lower(): value for name, value in web.get_trace_id_headers(points=asked).items()}


def query() -> None:
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT 1"))
    engine.dispose()


# SQL


def test_only_the_request_that_asks_shows_its_sql(spans: Recording) -> None:
    let("sql")
    served(query)
    assert spans.names() == ["request"]
    served(query, "sql")
    assert "db" in spans.names()
    statements = len(spans)
    served(query, "redis")
    assert spans.names()[statements:] == ["request"]


def test_a_service_shows_only_what_it_lets_requests_ask_for(spans: Recording) -> None:
    let("requests")
    served(query, "sql", "arguments")
    assert spans.names() == ["request"]


def test_an_engine_that_the_service_has_instrumented_shows_its_sql_once(spans: Recording) -> None:
    let("sql")
    engine = sqlalchemy.create_engine("sqlite://")
    door.add_tracing(sqlalchemy, engine, "main")

    def work() -> None:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))

    served(work)
    assert spans.names() == ["request"]
    served(work, "sql")
    assert [span.operation for span in spans].count("main SELECT") == 1
    engine.dispose()


def test_the_wish_goes_as_soon_as_the_service_lets_nobody_ask(spans: Recording) -> None:
    let("sql")

    def work() -> None:
        let()
        query()

    served(work, "sql")
    assert spans.names() == ["request"]


# Arguments


def test_arguments_of_one_request(spans: Recording) -> None:
    let("arguments")

    @profiler.trace("work", hide_args=False, hide_result=False)
    def work(name: str) -> str:
        return f"{name} done"

    @profiler.trace("hidden", hide_args=True)
    def hidden(name: str) -> None:
        pass

    def both() -> None:
        work("server-1")
        hidden("server-1")

    served(both)
    served(both, "arguments")
    shown = [
        (span.info["function"].get("args"), span.stop_info.get("function", {}).get("result"))
        for span in spans
        if span.name in ("work", "hidden")
    ]
    assert shown == [
        (None, None),
        (None, None),
        ("('server-1',)", "'server-1 done'"),
        (None, None),
    ]


# A layer


received: list[Any] = []


@pytest.fixture
def url() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            received.append(self.headers)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        received.clear()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_layer_of_one_request_beside_others(spans: Recording, url: str) -> None:
    """In threads that run at once, half of which ask."""
    let("requests")
    together = threading.Barrier(8)

    def run(*asked: str) -> None:
        def work() -> None:
            together.wait(60)
            requests.get(url, timeout=60)
            together.wait(60)

        served(work, *asked)

    threads = [threading.Thread(target=run, args=("requests",) * (number % 2)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    by_trace: dict[str, list[str]] = {}
    for span in spans:
        by_trace.setdefault(span.base_id, []).append(span.name)
    assert sorted(len(names) for names in by_trace.values()) == [1, 1, 1, 1, 2, 2, 2, 2] or sorted(
        map(len, by_trace.values())
    ) == [1, 1, 1, 1, 3, 3, 3, 3], by_trace  # requests alone, or with urllib3 below


# It travels


def test_it_is_carried_on_to_services_behind() -> None:
    let("sql")
    incoming = propagation.read(headers("sql", "redis"))
    assert incoming is not None
    point = Point(None, None, incoming.origin)
    context = point.context()
    assert context is not None
    behind = propagation.read({name.lower(): value for name, value in propagation.write(context).items()})
    assert behind is not None
    assert behind.origin.asked == {"sql", "redis"}, "this service lets sql alone, the next one perhaps redis"
    over_rpc = envelope.extract(envelope.inject({}, context))
    assert over_rpc is not None
    assert over_rpc.origin.asked == {"sql", "redis"}


def test_branches_take_it_along() -> None:
    let("sql")
    incoming = propagation.read(headers("sql"))
    assert incoming is not None
    with scope.entered(Point(None, None, incoming.origin)), profiler.Trace("request"):
        with profiler.fork("fork") as fork:
            handover = fork.branch().hand_over()
            fields = fork.to_carrier()
        assert branches.received(handover).at.origin.asked == {"sql"}  # type: ignore[union-attr]
        read = carrier.read(fields)
        assert read is not None
        assert read.at is not None
        assert read.at.origin.asked == {"sql"}


def test_the_text_of_a_request_that_asks_for_nothing_is_as_before() -> None:
    import base64
    import json

    let()
    text = headers()[signed.HEADER.lower()]
    assert set(json.loads(base64.urlsafe_b64decode(text.split(".")[0]))) == {"v", "b", "f", "t", "k"}


# Who asks


def test_a_command_asks_by_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The released osc-lib calls ``init``, and keystoneauth calls ``get_trace_id_headers``."""
    let("sql", "redis")
    monkeypatch.setenv("OS_PROFILE_POINTS", "sql, redis")
    profiler.init(KEY)
    text = web.get_trace_id_headers()[signed.HEADER]
    profiler.clean()
    decoded = signed.decode(text, [KEY])
    assert decoded is not None
    assert decoded.context.asked == {"sql", "redis"}


def test_keystoneauth_sends_it(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    let("sql")
    monkeypatch.setenv("OS_PROFILE_POINTS", "sql")
    profiler.init(KEY)
    Session().get(url, authenticated=False)
    profiler.clean()
    decoded = signed.decode(received[0][signed.HEADER], [KEY])
    assert decoded is not None
    assert decoded.context.asked == {"sql"}


def test_a_service_that_continues_a_trace_adds_nothing_of_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    let("sql")
    monkeypatch.setenv("OS_PROFILE_POINTS", "sql")
    profiler.init(KEY, "0af76519-16cd-43dd-8448-eb211c80319c", "b7ad6b71-6920-3331-8448-eb211c80319c")
    here = current.point.get()
    assert here is not None
    assert here.origin.asked == frozenset()
    profiler.clean()


def test_a_script_asks_in_its_trace(tmp_path: Path) -> None:
    let("sql")
    with profiler.client_trace(KEY, f"sqlite:///{tmp_path}/traces.db", quiet=True, points=["sql"]):
        decoded = signed.decode(web.get_trace_id_headers()[signed.HEADER], [KEY])
    assert decoded is not None
    assert decoded.context.asked == {"sql"}


def test_what_no_release_knows_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert on_request.names("sql,databse") == {"sql"}
    assert caplog.messages == ["a request cannot ask for 'databse'; it can ask for " + ", ".join(table.asked())]


def test_a_limited_key_gets_what_it_may(spans: Recording) -> None:
    let("sql", "requests", limited_keys=(LimitedKey("support", "the key of the support", may=frozenset(("sql",))),))
    incoming = propagation.read(headers("sql", "requests", key="the key of the support"))
    assert incoming is not None
    with scope.entered(Point(None, None, incoming.origin)), profiler.Trace("request"):
        query()
    assert "db" in spans.names()
    assert incoming.origin.asked == {"sql"}


def test_every_name_is_the_switch_of_a_setting() -> None:
    names = table.asked()
    assert {"sql", "arguments", "redis"} <= set(names)
    assert all(hasattr(Settings(), setting) for setting in names.values())


# Its cost


def test_a_call_outside_a_trace_costs_no_more_than_with_the_layer_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrap(original: Any) -> Any:
        def replacement(self: Any, /) -> Any:
            here = current.sampled()
            assert here is None
            return original(self)

        return replacement

    library = ModuleType("library")
    client = type("Client", (), {"send": lambda self: None, "__module__": "library"})
    library.Client = client
    monkeypatch.setitem(sys.modules, "library", library)
    wrapping = Wrapping(Target("library", "Client", "send", wrap))
    one = client()
    bare = calls_of(lambda: one.send())
    wrapping.install()
    on = calls_of(lambda: one.send())
    wrapping.install(functools.partial(current.asks, "redis"))
    on_request = calls_of(lambda: one.send())
    wrapping.uninstall()
    assert calls_of(lambda: one.send()) == bare
    assert bare < on_request <= on
