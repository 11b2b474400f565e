# SPDX-License-Identifier: Apache-2.0
"""A request whose rule asks who sends it: its points wait until that is known, and are kept or dropped together."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import opentracing
import pytest

from osprofiler import config, messaging, opentracing_compat, profiler, web
from osprofiler._runtime import guard
from osprofiler.concurrency.branch import received
from osprofiler.config import switches
from osprofiler.context import current, held_spans, scope, undecided
from osprofiler.context.identity import NOBODY
from osprofiler.context.trace_context import TraceContext
from osprofiler.delivery.base import Reporter
from osprofiler.handlers import rpc
from osprofiler.propagation import carriers, signed
from osprofiler.tracer import global_tracer
from tests.unit.core_kit import SpanKeeper, caught_records, kept_spans, rules_in_force

KEY = "the key"
RULES = """
rules:
- {reason: health, path: /health, sample: const:0}
- {reason: alice waits, user: alice, path: /servers/**, sample: const:1}
- {reason: from here, path: /images, sample: const:1}
- {reason: nobody, user: nobody, path: /images, sample: const:0}
"""


_open_before = 0


@pytest.fixture(autouse=True)
def _count_open() -> None:
    """Spans that other tests have left open do not count."""
    global _open_before
    _open_before = guard.totals()["open"]


def left_open() -> int:
    """How many spans of this test have not ended."""
    return guard.totals()["open"] - _open_before


@pytest.fixture(autouse=True)
def rules(osprofiler_process: None) -> Iterator[None]:
    with rules_for_requests():
        yield


@contextlib.contextmanager
def rules_for_requests() -> Iterator[None]:
    """In a block, the middleware is on and follows the rules above."""
    switches.reset()
    web.enable(KEY)
    config.publish(enabled=True, hmac_keys=(KEY,))
    with rules_in_force(RULES):
        yield
    switches.reset()


@pytest.fixture
def spans() -> Iterator[SpanKeeper]:
    with kept_spans() as keeper:
        yield keeper


Work = Callable[[], None]


def identify(environ: dict[str, Any], user: str) -> None:
    """Do as keystonemiddleware does with a valid token."""
    environ.update({"keystone.token_info": {"token": {}}, "HTTP_X_USER_ID": f"id-of-{user}", "HTTP_X_USER_NAME": user})


def ask(path: str, user: str | None, before: Work, after: Work, **headers: str) -> dict[str, str]:
    """Send a request of *user*; the service calls *before* and *after* it knows who that is. The answer's headers."""

    def application(environ: Any, start_response: Any) -> Iterable[bytes]:
        before()
        if user is not None:
            identify(environ, user)
        after()
        start_response("200 OK", [])
        return [b"done"]

    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "api",
        **{carriers.environ_key(name): value for name, value in headers.items()},
    }
    answered: list[tuple[str, str]] = []
    list(web.WsgiMiddleware(application)(environ, lambda status, own: answered.extend(own)))  # type: ignore[arg-type]
    return dict(answered)


def nothing() -> None:
    """Neither opens a point nor sends anything."""


def point(name: str) -> Work:
    def work() -> None:
        with profiler.Trace(name):
            pass

    return work


def is_sampled(fields: dict[str, Any], field: str = signed.HEADER) -> bool:
    """What the signed *field* tells another service."""
    read = signed.decode(fields[field], [KEY])
    assert read is not None
    return read.context.sampled


def discarded() -> dict[str, int]:
    return {name: number for name, number in guard.totals().items() if name.startswith("discarded.")}


# The decision


def test_a_request_of_the_rules_user_is_kept_with_what_came_before(spans: SpanKeeper) -> None:
    held = []
    answered = ask("/servers/1", "alice", point("before"), lambda: (held.append(len(spans.finished)), point("after")()))
    assert [span.name for span in spans.finished] == ["before", "after", "wsgi"]
    assert held == [0]
    root = spans.finished[-1]
    assert root.own_tags["sampling.rule"] == "alice waits"
    assert {span.parent_span_id for span in spans.finished[:2]} == {root.span_id}
    assert answered["X-Trace-Id"] == f"{root.trace_id:032x}"
    assert left_open() == 0
    assert discarded() == {}


@pytest.mark.parametrize("user", ["bob", None])
def test_another_request_is_dropped_with_all_of_it(spans: SpanKeeper, user: str | None) -> None:
    answered = ask("/servers/1", user, point("before"), point("after"))
    assert answered == {}
    assert spans.finished == []
    # Where nobody is known, the last point is recorded too: only the answer shows that nobody will be.
    assert discarded() == {"discarded.not_sampled": 2 if user else 3}
    assert left_open() == 0


def test_points_that_are_open_at_the_no_report_nothing(spans: SpanKeeper) -> None:
    def open_both() -> None:
        profiler.start("bare")
        opentracing_compat.get_tracer().start_active_span("active", finish_on_close=True)

    def close_both() -> None:
        assert profiler.get() is None
        profiler.start("ignored")
        profiler.stop()
        scope_ = current.manager.active
        assert scope_ is not None
        assert not is_sampled(_injected(scope_.span))
        scope_.close()
        profiler.stop()

    ask("/servers/1", "bob", open_both, close_both)
    assert spans.finished == []
    assert discarded() == {"discarded.not_sampled": 3}
    assert left_open() == 0


def _injected(span: opentracing.Span) -> dict[str, str]:
    fields: dict[str, str] = {}
    opentracing_compat.get_tracer().inject(span.context, opentracing.Format.HTTP_HEADERS, fields)
    return fields


def test_a_rule_that_asks_for_no_identity_decides_at_once(spans: SpanKeeper) -> None:
    seen = []
    for path in ("/health", "/images", "/other"):
        ask(path, None, lambda: seen.append(profiler.get() is not None), nothing)
    assert seen == [False, True, False]
    assert [span.own_tags["sampling.rule"] for span in spans.finished] == ["from here"]
    assert discarded() == {}


def test_a_client_cannot_make_itself_known(spans: SpanKeeper) -> None:
    seen = []
    ask(
        "/servers/1",
        "bob",
        lambda: seen.append(is_sampled(web.get_trace_id_headers())),
        nothing,
        **{"X-User-Name": "alice", "X-Identity-Status": "Confirmed", "keystone.token_info": "x"},
    )
    assert (seen, spans.finished) == ([False], [])


def test_who_is_known_from_the_start_is_decided_at_once(spans: SpanKeeper) -> None:
    def application(environ: Any, start_response: Any) -> Iterable[bytes]:
        assert (profiler.get() is not None) == (environ["HTTP_X_USER_NAME"] == "alice")
        start_response("200 OK", [])
        return []

    for user in ("alice", "bob"):
        environ: Any = {"REQUEST_METHOD": "GET", "PATH_INFO": "/servers", "wsgi.url_scheme": "http", "HTTP_HOST": "a"}
        identify(environ, user)
        list(web.WsgiMiddleware(application)(environ, lambda *_: None))  # type: ignore[arg-type]
    assert len(spans.finished) == 1
    assert discarded() == {}


def test_a_trace_that_somebody_asked_for_waits_for_nothing(spans: SpanKeeper) -> None:
    with scope.entered(None):
        profiler.init(KEY)
        headers = web.get_trace_id_headers()
        profiler.clean()
    ask("/servers/1", "bob", nothing, nothing, **headers)
    assert [span.name for span in spans.finished] == ["wsgi"]


def test_record_stores_get_no_start_before_the_decision() -> None:
    with caught_records() as records:
        seen: list[int] = []
        ask("/servers/1", "alice", point("before"), lambda: seen.append(len(records)))
        assert seen == [0]
        assert records.paths() == ["wsgi", "wsgi/before"]
        ask("/servers/1", "bob", point("before"), point("after"))
        assert len(records) == 4


@pytest.mark.parametrize("traced", [True, False])
def test_a_message_knows_its_sender_at_once(spans: SpanKeeper, traced: bool) -> None:
    with rules_in_force("rules: [{user: alice, operation: rpc *, role: member, sample: 'const:1', reason: r}]"):
        for user in ({"user": "alice"}, {"user_id": "1", "user_name": "alice"}, {"user": "bob"}, {"user": None}, {}):
            incoming, _ = rpc.receive({"roles": ["member"] if traced else [], **user}, "build")
            assert incoming is not None
            assert incoming.origin.sampled == ("alice" in user.values() and traced)
            assert not isinstance(incoming.origin, undecided.Undecided)


# What is told to others


def test_before_the_decision_others_are_told_no_and_after_it_the_decision(spans: SpanKeeper) -> None:
    told: list[tuple[bool, ...]] = []

    def tell() -> None:
        with profiler.Trace("outer"):
            rpc = messaging.inject({})
            branch = profiler.fork("f").to_carrier()
            told.append(
                (
                    is_sampled(web.get_trace_id_headers()),
                    is_sampled(rpc, signed.ENVELOPE_KEY),
                    is_sampled(branch),
                    web.get_trace_id_headers()["uber-trace-id"].endswith(":1"),
                )
            )

    ask("/servers/1", "alice", tell, tell)
    ask("/servers/1", "bob", nothing, lambda: told.append((is_sampled(web.get_trace_id_headers()),)))
    assert told == [(False,) * 4, (True,) * 4, (False,)]


def test_a_branch_for_another_process_is_told_no_before_the_decision(spans: SpanKeeper) -> None:
    seen: list[bool] = []

    def hand_over() -> None:
        branch = pickle.loads(pickle.dumps(profiler.fork("f").branch()))
        assert branch.at is not None
        seen.append(branch.at.origin.sampled)

    ask("/servers/1", "alice", hand_over, hand_over)
    assert seen == [False, True]
    assert received(None).at is None


def test_the_binary_format_of_opentracing_is_told_no_too(spans: SpanKeeper) -> None:
    flags: list[int] = []

    def inject() -> None:
        carrier = bytearray()
        active = current.manager.active
        assert active is not None
        opentracing_compat.get_tracer().inject(active.span.context, opentracing.Format.BINARY, carrier)
        flags.append(carrier[32])

    ask("/servers/1", "alice", inject, inject)
    assert flags == [0, 1]


@pytest.mark.parametrize("user", ["alice", "bob"])
def test_spans_under_the_context_of_a_span_go_with_it(spans: SpanKeeper, user: str) -> None:
    made: list[Any] = []

    def start() -> None:
        active = current.manager.active
        assert active is not None
        made.append(opentracing_compat.get_tracer().start_span("under", child_of=active.span.context))
        made.append(active.span)

    def finish() -> None:
        made[0].finish()

    ask("/servers/1", user, start, finish)
    assert [span.operation_name for span in spans.finished] == (["under", "wsgi GET"] if user == "alice" else [])
    assert made[0].parent_id == made[1].span_id
    assert left_open() == 0


# Branches


def threads(fork: Any) -> None:
    work = fork.wrap(point("work"))
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def tasks(fork: Any) -> None:
    async def work() -> None:
        point("work")()

    asyncio.run(fork.wrap(work)())


def copied_context(fork: Any) -> None:
    contextvars.copy_context().run(fork.wrap(point("work")))


@pytest.mark.parametrize("model", [threads, tasks, copied_context])
@pytest.mark.parametrize("user", ["alice", "bob"])
def test_branches_are_kept_or_dropped_with_their_request(
    spans: SpanKeeper, model: Callable[[Any], None], user: str
) -> None:
    def work() -> None:
        with profiler.fork("fork") as fork:
            model(fork)

    ask("/servers/1", user, work, nothing)
    names = sorted(span.name for span in spans.finished)
    assert names == (["fork", "join", "work", "wsgi"] if user == "alice" else [])
    assert left_open() == 0


GREEN = """
import eventlet
eventlet.monkey_patch()
import threading
from osprofiler import profiler
from osprofiler.testing.process import clean_process
from tests.unit import test_undecided as kit
from tests.unit.core_kit import kept_spans

def work():
    go_on = threading.Event()  # green
    def wait():
        with profiler.Trace("early"):
            go_on.wait()
        with profiler.Trace("late"):
            pass
    thread = eventlet.spawn(profiler.fork("f").wrap(wait))
    eventlet.sleep(0)
    yield
    profiler.get()
    go_on.set()
    thread.wait()
    yield

with clean_process(), kept_spans() as spans, kit.rules_for_requests():
    for user in ("alice", "bob"):
        steps = work()
        kit.ask("/servers/1", user, lambda: next(steps), lambda: next(steps))
    print(sorted(span.name for span in spans.finished))
"""


def test_greenthreads_are_kept_or_dropped_with_their_request() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", GREEN], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "['early', 'f', 'late', 'wsgi']\n"), done.stderr


def test_a_branch_that_runs_at_the_decision_and_after_it_goes_the_same_way(spans: SpanKeeper) -> None:
    for user, kept in (("alice", True), ("bob", False)):
        spans.finished.clear()
        inside, decided = threading.Event(), threading.Event()
        seen: list[bool] = []

        def work() -> None:
            with profiler.Trace("early"):
                inside.set()  # noqa: B023
                assert decided.wait(60)  # noqa: B023
            with profiler.Trace("late"):
                seen.append(is_sampled(web.get_trace_id_headers()))  # noqa: B023

        running: list[threading.Thread] = []

        def begin() -> None:
            running.append(threading.Thread(target=profiler.fork("f").wrap(work)))  # noqa: B023
            running[0].start()  # noqa: B023
            assert inside.wait(60)  # noqa: B023

        def go_on() -> None:
            profiler.get()
            decided.set()  # noqa: B023
            running[0].join()  # noqa: B023

        ask("/servers/1", user, begin, go_on)
        assert seen == [kept]
        assert sorted(span.name for span in spans.finished) == (["early", "f", "late", "wsgi"] if kept else [])
    assert left_open() == 0


def test_many_flows_at_the_moment_of_the_decision_lose_and_double_nothing(spans: SpanKeeper) -> None:
    flows, points = 8, 100
    for user in ("alice", "bob") * 3:
        spans.finished.clear()
        guard.clear()
        before = guard.spans.started
        start, workers = threading.Event(), []

        def work() -> None:
            assert start.wait(60)  # noqa: B023
            for _ in range(points):
                point("p")()

        def begin() -> None:
            fork = profiler.fork("f")
            for _ in range(flows):
                workers.append(threading.Thread(target=fork.wrap(work)))  # noqa: B023
                workers[-1].start()  # noqa: B023

        def go_on() -> None:
            start.set()  # noqa: B023
            for worker in workers:  # noqa: B023
                worker.join()

        ask("/servers/1", user, begin, go_on)
        identities = [span.span_id for span in spans.finished]
        assert len(set(identities)) == len(identities)
        assert len(identities) == (1 + flows * (points + 1) if user == "alice" else 0)
        if user == "bob":
            assert discarded() == {"discarded.not_sampled": guard.spans.started - before}
        assert left_open() == 0


# The bounds


@pytest.mark.parametrize(
    ("bound", "number"),
    [("MAX_ENTRIES", 10), ("MAX_ENTRIES_IN_ALL", 10), ("MAX_BYTES", 8000), ("MAX_BYTES_IN_ALL", 8000)],
)
def test_a_trace_that_needs_too_much_room_is_dropped(
    spans: SpanKeeper, monkeypatch: pytest.MonkeyPatch, bound: str, number: int
) -> None:
    monkeypatch.setattr(held_spans, bound, number)
    seen: list[bool] = []

    def many() -> None:
        for _ in range(30):
            point("p")()
        seen.append(profiler.get() is not None)

    ask("/servers/1", "alice", many, nothing)
    assert (seen, spans.finished) == ([False], [])
    assert 5 < discarded()["discarded.held_too_much"] < 20
    assert left_open() == 0
    monkeypatch.undo()
    ask("/servers/1", "alice", nothing, nothing)  # all of the room is free again
    assert [span.name for span in spans.finished] == ["wsgi"]
    assert (held_spans.in_all.entries, held_spans.in_all.bytes) == (0, 0)


def test_a_new_reporter_gets_no_undecided_spans(spans: SpanKeeper) -> None:
    other = SpanKeeper()
    ask("/servers/1", "alice", lambda: global_tracer.report_to(lambda: other), point("after"))
    assert [span.name for span in other.finished] == ["after", "wsgi"]
    ask("/servers/1", "bob", point("before"), point("after"))
    assert len(other.finished) == 2


def test_without_an_undecided_request_the_tracer_reports_to_the_reporter_itself(spans: SpanKeeper) -> None:
    tracer = global_tracer.get_tracer()
    tracer.receiver = tracer.reporter
    ask("/images", None, nothing, nothing)
    assert tracer.receiver is tracer.reporter
    assert isinstance(tracer.receiver, Reporter)


def test_a_fault_of_the_decision_drops_the_trace(spans: SpanKeeper, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise LookupError

    monkeypatch.setattr("osprofiler.config.rule_index.RuleIndex.of_identity", fail)
    ask("/servers/1", "alice", point("before"), point("after"))
    assert spans.finished == []
    assert guard.counters.pop("fault.undecided") == 1
    assert left_open() == 0


def test_who_cannot_be_found_out_is_nobody() -> None:
    def fail() -> Any:
        raise LookupError

    asked = []
    later = undecided.Later(fail, lambda identity: (bool(asked.append(identity)), {}))
    origin = undecided.Undecided.until(TraceContext.from_ids(1, 2), None, later)
    assert (origin.sampled, asked) == (True, [])
    origin.settle()
    assert (origin.sampled, asked) == (False, [NOBODY])
    assert guard.counters.pop("fault.undecided") == 2


# fork(2)


def test_a_forked_child_leaves_the_trace_to_its_parent(spans: SpanKeeper) -> None:
    out: list[bytes] = []

    def fork() -> None:
        read, write = os.pipe()
        branch = profiler.fork("f").branch()
        pid = os.fork()
        if not pid:
            try:
                with branch:
                    point("child")()
                    told = is_sampled(web.get_trace_id_headers())
                    totals = guard.totals()
                    os.write(write, f"{told} {len(spans.finished)} {totals['open']} ".encode())
                    os.write(write, str(totals["not_followed.undecided"]).encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        os.close(write)
        out.append(os.read(read, 100))
        os.close(read)

    ask("/servers/1", "alice", fork, nothing)
    assert out == [b"False 0 0 1"]
    assert [span.name for span in spans.finished] == ["wsgi"]
