# SPDX-License-Identifier: Apache-2.0
"""The tracer: spans and their limits, virtual roots, clocks, remote contexts, guard and settings."""

import concurrent.futures
import dataclasses
import http.client
import io
import logging
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import jaeger_client
import opentracing
import pytest
from jaeger_client.sampler import ConstSampler

from osprofiler import config, profiler, propagation, web
from osprofiler._runtime import guard
from osprofiler._utils import signed_unpack
from osprofiler.config import trust
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.context.values import label
from osprofiler.delivery.base import CallableReporter, NullReporter, Reporter
from osprofiler.records import ids, naming, span_records
from osprofiler.tracer import global_tracer
from osprofiler.tracer.span_context import SpanContext
from osprofiler.tracer.tracer import Tracer
from tests.unit.core_kit import SpanKeeper, a_clean_process, faults
from tests.unit.reporting_kit import unaccounted

TRACE = 0x1111_2222_3333_4444_5555_6666_7777_8888


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with a_clean_process():
        yield
        current.point.set(None)


@pytest.fixture
def keeper() -> SpanKeeper:
    return SpanKeeper()


@pytest.fixture
def tracer(keeper: SpanKeeper) -> Tracer:
    return Tracer("test", keeper, ConstSampler(True))


# Points


def test_the_first_point_under_a_remote_parent(tracer: Tracer) -> None:
    origin = Origin.from_ids(TRACE, 7, hmac_key="k")
    origin.foreign = {"foreign.traceparent": "00-a-b-01"}
    root = Point(None, None, origin)
    first = tracer.open_point(root, "wsgi", operation="wsgi GET", tags={"span.kind": "server"}, follows=True)
    second = tracer.open_point(first, "db")
    assert first.span is not None
    assert second.span is not None
    assert first.span.parent_id == 7
    assert first.span.follows
    assert first.span.own_tags == {"foreign.traceparent": "00-a-b-01", "span.kind": "server"}
    assert second.span.own_tags == {}
    assert (second.span.parent_id, second.span.trace_id) == (first.span.span_id, TRACE)
    first.end()
    assert current.point.get() is root


def test_what_begins_under_a_point_that_has_ended_follows_from_it(tracer: Tracer) -> None:
    root = Point(None, None, Origin.from_ids(TRACE, 7))
    ended = tracer.open_point(root, "ended")
    during = tracer.open_point(ended, "during")
    during.end()
    ended.end()
    after = tracer.open_point(ended, "after")
    below = tracer.open_point(after, "below")
    chosen = tracer.open_point(ended, "chosen", follows=False)
    spans = [point.span for point in (during, after, below, chosen)]
    assert [span is not None and span.follows for span in spans] == [False, True, False, False]


def test_other_instrumentation_gets_the_origins_tags_on_its_first_span_only(tracer: Tracer) -> None:
    origin = Origin.from_ids(TRACE, 7)
    origin.foreign = {"sampler.type": "const"}
    with scope.entered(Point(None, None, origin)), tracer.start_active_span("first") as first:
        second = tracer.start_span("second")
    assert first.span.own_tags == {"sampler.type": "const"}
    assert second.own_tags == {}


@pytest.mark.parametrize(
    "tags",
    [
        {"http.status_code": 500, "error": True},
        {"a": None, "b": "\0", "c": {"d": 1}, "e": [1]},
        {"sampling.priority": 0, "a": 1},
        {"component": "of the start no more"},
    ],
)
def test_several_tags_at_once_are_as_one_by_one(tracer: Tracer, tags: dict[str, Any]) -> None:
    root = Point(None, None, Origin.from_osprofiler("k"))
    at_once, one_by_one, ended = (tracer.open_point(root, "point", tags={"component": "x"}).span for _ in range(3))
    assert at_once is not None
    assert one_by_one is not None
    assert ended is not None
    at_once.set_tags(tags)
    for name, value in tags.items():
        one_by_one.set_tag(name, value)
    assert list(at_once.own_tags.items()) == list(one_by_one.own_tags.items())
    assert (at_once.chars, at_once.flags) == (one_by_one.chars, one_by_one.flags)
    ended.finish()
    ended.set_tags(tags)
    assert ended.own_tags == {"component": "x"}


def test_closing_a_point_ends_those_left_open_in_it(tracer: Tracer, keeper: SpanKeeper) -> None:
    root = Point(None, None, Origin.from_osprofiler("k"))
    outer = tracer.open_point(root, "outer")
    tracer.open_point(outer, "inner")
    outer.end({"a": 1})
    assert [(span.name, dict(span.own_tags)) for span in keeper.finished] == [
        ("inner", {"osprofiler.unclosed": True}),
        ("outer", {}),
    ]
    assert keeper.finished[1].stop_info == {"a": 1}
    outer.end()
    assert len(keeper.finished) == 2


def test_a_point_can_go_back_to_another_flows(tracer: Tracer) -> None:
    here = Point(None, None, Origin.from_osprofiler("k"))
    elsewhere = Point(None, None, Origin.from_osprofiler("k"))
    point = tracer.open_point(elsewhere, "branch", above=here)
    assert point.origin is elsewhere.origin
    point.end()
    assert current.point.get() is here


def test_a_stop_info_that_cannot_be_read_ends_the_span(tracer: Tracer, keeper: SpanKeeper) -> None:
    class Bad(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError

        def get(self, *_: Any) -> Any:
            raise RuntimeError

        __iter__ = keys = items  # type: ignore[assignment]

    point = tracer.open_point(Point(None, None, Origin.from_osprofiler("k")), "a")
    point.end(Bad(x=1))
    assert len(keeper.finished) == 1
    point = tracer.open_point(Point(None, None, Origin.from_osprofiler("k")), "b")
    with guard.Harmless("stop"):
        point.end(Bad(x=1), ValueError())
    assert len(keeper.finished) == 2


def test_an_exception_whose_stack_cannot_be_shown(tracer: Tracer, keeper: SpanKeeper) -> None:
    class Bad(Exception):
        def __str__(self) -> str:
            raise RuntimeError

        @property
        def __cause__(self) -> Any:  # type: ignore[override]
            raise RuntimeError

    point = tracer.open_point(Point(None, None, Origin.from_osprofiler("k")), "a")
    point.end(fault=Bad())
    (span,) = keeper.finished
    assert span.own_tags["error"] is True
    assert span.stop_info is not None
    assert span.stop_info["message"].startswith("<unprintable Bad")


# Spans


def test_a_span_is_bounded(keeper: SpanKeeper) -> None:
    keeper.max_span_chars = 2000
    tracer = Tracer("test", keeper, ConstSampler(True))
    span = tracer.start_span("a")
    for index in range(10_000):
        span.set_tag(f"key {index}", "v" * 100)
        span.log_kv({"event": "e", "index": index})
    span.set_tag("\0\ud800" * 1000, {"nested": [1] * 10_000})
    size = sum(len(str(item)) for pair in span.own_tags.items() for item in pair) + len(str(span.own_logs))
    assert size < 8000
    assert guard.counters["cut.tags"] > 0
    assert guard.counters["cut.logs"] > 0


def test_tags_are_plain(tracer: Tracer) -> None:
    span = tracer.start_span("a", tags={"dict": {"a": [1]}, "none": None, "number": 5, "real": 1.5, "yes": True})
    assert span.own_tags == {
        "sampler.type": "const",
        "sampler.param": True,
        "dict": "{'a': [1]}",
        "none": "None",
        "number": 5,
        "real": 1.5,
        "yes": True,
    }


def test_a_mapping_of_usual_names_is_a_plain_tag_too(tracer: Tracer) -> None:
    for _ in range(2):  # the names are usual the second time
        span = tracer.start_span("a", tags={"dict": {"number": 5}})
        assert span.own_tags["dict"] == "{'number': 5}"
        label("number")


def test_a_finished_span_takes_nothing_more(tracer: Tracer, keeper: SpanKeeper) -> None:
    span = tracer.start_span("a")
    span.finish()
    span.set_tag("late", 1)
    span.log_kv({"event": "late"})
    span.finish()
    assert "late" not in span.own_tags
    assert span.own_logs == []
    assert keeper.finished == [span]
    assert guard.counters["fault.finished_twice"] == 1


def _raise(_: object) -> None:
    raise MemoryError


class _Refusing(Reporter):
    wants_starts = False
    report_span = staticmethod(_raise)


@pytest.mark.parametrize(
    ("reporter", "fates"),
    [
        (NullReporter(), {"dropped.no_store": 3}),
        (CallableReporter(lambda record: None), {"delivered": 3}),
        (CallableReporter(_raise), {"dropped.fault": 3, "dropped_starts.fault": 4}),
        (_Refusing(), {"dropped.fault": 3}),
    ],
)
def test_spans_are_accounted_for_without_a_queue_too(reporter: Reporter, fates: dict[str, int]) -> None:
    before = guard.totals()
    tracer = Tracer("t", reporter, ConstSampler(True))
    still_open = tracer.start_span("open")
    for _ in range(3):
        tracer.start_span("ended").finish()
    now = guard.totals()
    assert (now["started"] - before["started"], now["open"] - before["open"]) == (4, 1)
    assert {name: now.get(name, 0) - before.get(name, 0) for name in fates} == fates
    assert unaccounted(now) == unaccounted(before)
    still_open.finish()


def test_a_span_that_is_taken_out_of_the_sample_or_into_it_is_accounted_for(tracer: Tracer) -> None:
    before = guard.totals()
    tracer.report_to(NullReporter())
    out = tracer.start_span("out")
    for _ in range(2):
        out.set_tag("sampling.priority", 0)
    out.finish()
    out.set_tag("sampling.priority", 0)
    tracer.sampler = ConstSampler(False)
    tracer.start_span("unsampled").finish()
    taken = tracer.start_span("taken in")
    for _ in range(2):
        taken.set_tag("sampling.priority", 1)
    taken.finish()
    now = guard.totals()
    fates = ("started", "open", "dropped.unsampled", "dropped.no_store")
    assert [now.get(name, 0) - before.get(name, 0) for name in fates] == [2, 0, 1, 1]


def test_an_explicit_start_counts_into_the_duration(tracer: Tracer) -> None:
    span = tracer.start_span("a")
    early = tracer.start_span("a", start_time=span.start_time - 1000)
    early.finish()
    assert early.duration_us is not None
    assert early.duration_us >= 1_000_000_000 - 1
    late = tracer.start_span("a", start_time=span.start_time + 1000)
    late.finish()
    assert late.duration_us == 0


def test_an_explicit_end_is_told_to_the_microsecond(tracer: Tracer) -> None:
    for past_us in range(50):
        span = tracer.start_span("a")
        end_us = span.start_us + past_us
        span.finish(end_us / 1e6)
        assert span.duration_us == int(end_us / 1e6 * 1e6) - span.start_us


def test_baggage_goes_down_and_is_not_shared(tracer: Tracer) -> None:
    root = tracer.start_span("root")
    before = tracer.start_span("before", child_of=root)
    root.set_baggage_item("k", "v")
    after = tracer.start_span("after", child_of=root)
    after.set_baggage_item("k", None)
    assert [span.get_baggage_item("k") for span in (root, before, after)] == ["v", None, None]
    root.context.baggage["x"] = "y"
    assert root.get_baggage_item("x") is None


def test_baggage_is_text_whatever_was_set(tracer: Tracer) -> None:
    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError

    span = tracer.start_span("root")
    odd: list[tuple[Any, Any]] = [("attempt", 5), (7, "seven"), ("lone", "\ud800"), ("none", Unprintable())]
    for key, value in odd:
        span.set_baggage_item(key, value)
    span.set_baggage_item(7, None)  # type: ignore[arg-type]
    for form, carrier in ((opentracing.Format.HTTP_HEADERS, {}), (opentracing.Format.BINARY, bytearray())):
        tracer.inject(span.context, form, carrier)
        got = tracer.extract(form, carrier).baggage
        assert got == {"attempt": "5", "lone": "?", "none": "<unprintable Unprintable: RuntimeError>"}


def test_what_jaeger_clients_spans_can_ours_can_under_the_same_names(tracer: Tracer) -> None:
    span = tracer.start_span("work")
    for theirs, ours in ((jaeger_client.Span, span), (jaeger_client.SpanContext, span.context)):
        methods = [name for name in dir(theirs) if not name.startswith("_") and callable(getattr(theirs, name))]
        assert [name for name in methods if not callable(getattr(ours, name))] == []
    span.info("cache miss", {"key": "a"})
    assert span.own_logs[0][1] == {"event": "cache miss", "payload": {"key": "a"}}


# Remote contexts


def test_a_virtual_root_from_a_wire_is_no_parent_and_no_new_trace(tracer: Tracer) -> None:
    origin = Origin.from_osprofiler("k", "a trace")
    context = SpanContext(origin.trace_id, 0, None, 1, origin=origin)
    span = tracer.start_span("a", child_of=context)
    assert (span.trace_id, span.parent_id, span.origin.base_id) == (origin.trace_id, None, "a trace")
    assert span.origin.hmac_key == "k"


def test_a_parents_text_id_is_kept_through_a_context(tracer: Tracer) -> None:
    origin = Origin.from_osprofiler("k", "a trace", "a parent")
    context = SpanContext(origin.trace_id, origin.parent_span_id, None, 1, origin=origin)
    assert tracer.start_span("a", child_of=context).parent_point_id == "a parent"
    inside = tracer.start_span("a", child_of=context)
    child = tracer.start_span("b", references=opentracing.child_of(inside.context))
    assert child.parent_point_id == inside.point_id


def test_spans_and_contexts_that_are_not_ours_are_no_parents(tracer: Tracer) -> None:
    noop = opentracing.Tracer().start_span("noop")
    for span in (
        tracer.start_span("a", child_of=noop),  # type: ignore[arg-type]
        tracer.start_span("a", child_of=noop.context),
        tracer.start_span("a", references=[opentracing.follows_from(noop.context)]),
    ):
        assert span.parent_id is None


def test_further_references_become_links(tracer: Tracer, keeper: SpanKeeper) -> None:
    one, two, three = (tracer.start_span(name) for name in ("one", "two", "three"))
    span = tracer.start_span(
        "joined",
        references=[
            opentracing.follows_from(one.context),
            opentracing.child_of(two.context),
            opentracing.follows_from(three.context),
        ],
    )
    span.finish()
    assert span.parent_id == two.span_id
    assert not span.follows
    links = span_records.stop(span)["info"]["osprofiler"]["links"]
    assert links == [["follows_from", ids.uuid_text(each.trace_id), each.point_id] for each in (one, three)]
    assert tracer.start_span("a", references=opentracing.follows_from(one.context)).follows


def test_an_activated_span_of_another_tracer_hides_the_trace(tracer: Tracer, keeper: SpanKeeper) -> None:
    profiler.init("key")
    noop = opentracing.Tracer().start_span("noop")
    with current.manager.activate(noop, True):
        assert profiler.get() is None
        tracer.start_span("inside").finish()
    assert keeper.finished == []
    assert profiler.get() is not None


def test_the_sampler_starts_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    tracer = global_tracer.get_tracer()
    monkeypatch.setattr(tracer, "sampler", ConstSampler(True))
    incoming = propagation.read({}, ["first key"], sample=global_tracer.sample_for("wsgi GET"))
    assert incoming is not None
    origin = incoming.origin
    assert (origin.sampled, origin.hmac_key, origin.parent_span_id) == (True, "first key", 0)
    assert origin.foreign == {"sampler.type": "const", "sampler.param": True}
    monkeypatch.setattr(tracer, "sampler", ConstSampler(False))
    incoming = propagation.read({}, ["first key"], sample=global_tracer.sample_for("wsgi GET"))
    assert incoming is not None
    assert not incoming.origin.sampled


def test_under_suppression_nothing_is_recorded(tracer: Tracer, keeper: SpanKeeper) -> None:
    with scope.entered(scope.SUPPRESSED):
        with tracer.start_active_span("a"), tracer.start_span("b"):
            pass
        assert current.point.get() is scope.SUPPRESSED
    assert keeper.started == keeper.finished == []


# The tracer and its reporter


def test_the_reporter_can_be_replaced(keeper: SpanKeeper) -> None:
    tracer = Tracer("one", keeper)
    other = SpanKeeper()
    told: list[Any] = []
    other.set_process = lambda *args: told.append(args)  # type: ignore[method-assign]
    other.max_span_chars = 500
    tracer.report_to(other, "two")
    assert tracer.service_name == "two"
    assert told[0][0] == "two"
    assert tracer.max_span_chars == 500
    tracer.report_to(Reporter())
    assert tracer.max_span_chars > 1_000_000


def test_close_answers_a_future(tracer: Tracer) -> None:
    done = tracer.close()
    assert isinstance(done, concurrent.futures.Future)
    assert done.result() is True


def test_one_tracer_however_many_ask_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(global_tracer, "_tracer", None)
    made: list[Tracer] = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        made.append(global_tracer.get_tracer())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, made))) == 1
    assert global_tracer.existing_tracer() is made[0]


def test_the_tracer_can_be_made_in_a_child_of_a_fork_that_found_the_lock_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(global_tracer, "_tracer", None)
    with global_tracer._lock:
        child = os.fork()
        if not child:
            signal.alarm(30)  # a child that waits for the lock for ever ends by this
            os._exit(0 if global_tracer.get_tracer() is not None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# Operation names


@pytest.mark.parametrize(
    ("name", "info", "operation"),
    [
        ("wsgi", {"request": {"method": "GET", "path": "/v2/servers/5"}}, "wsgi GET"),
        ("http", {"requests": {"method": "POST"}}, "http POST"),
        ("db", {"db": {"statement": "  select 1"}}, "db SELECT"),
        ("db", {"db": {"statement": "(SELECT 1)"}}, "db SELECT"),
        ("db", {"db": {"statement": "/* c */ x"}}, "db"),
        ("db", {"db": {"statement": None}}, "db"),
        ("rpc", {"function": {"name": "nova.compute.build"}}, "nova.compute.build"),
        ("other", {"function": "text", "request": [], "db": 5}, "other"),
        ("other", None, "other"),
    ],
)
def test_operation_names_are_few(name: str, info: dict[str, Any] | None, operation: str) -> None:
    assert naming.operation(name, info) == operation


# Records


def test_records_of_a_span_hold_what_stock_holds_and_the_rest_apart(tracer: Tracer, keeper: SpanKeeper) -> None:
    origin = Origin.from_osprofiler("secret", "base", "parent")
    point = tracer.open_point(Point(None, None, origin), "db", {"db": {"statement": "SELECT 1"}}, follows=True)
    assert point.span is not None
    point.span.set_tag("db.type", "sql")
    point.span.log_kv({"event": "x"}, timestamp=1.5)
    point.end({"rows": 1})
    start, stop = span_records.start(point.span), span_records.stop(point.span)
    assert (start["name"], stop["name"]) == ("db-start", "db-stop")
    assert start["base_id"] == stop["base_id"] == "base"
    assert start["parent_id"] == stop["parent_id"] == "parent"
    assert start["trace_id"] == stop["trace_id"] == point.span.point_id
    assert start["info"] == {
        "db": {"statement": "SELECT 1"},
        "host": span_records.HOST,
        "osprofiler": {"operation": "db SELECT", "pid": os.getpid(), "parent": "follows_from"},
    }
    assert stop["info"] == {
        "rows": 1,
        "host": span_records.HOST,
        "osprofiler": {"tags": {"db.type": "sql"}, "logs": [[1_500_000, {"event": "x"}]]},
    }
    assert "secret" not in repr((start, stop))


# Guard


def test_a_fault_is_counted_always_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        with guard.Harmless("here"):
            raise ValueError("the password")
    assert guard.counters["fault.here"] == 3
    assert [
        record.getMessage().count("ValueError") for record in caplog.records if " here:" in record.getMessage()
    ] == [1]


def test_a_faults_own_text_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="osprofiler")
    with guard.Harmless("here"):
        raise ValueError("the password" + str(1))
    assert "ValueError" in caplog.text
    assert "the password1" not in caplog.text


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_fault_of_ours_passes(kind: type[BaseException]) -> None:
    with pytest.raises(kind), guard.Harmless("here"):
        raise kind
    assert not faults()


def test_a_log_that_fails_is_harmless() -> None:
    class Broken(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise RuntimeError

    broken = Broken()
    guard.LOG.addFilter(broken)
    try:
        with guard.Harmless("here"):
            raise ValueError
    finally:
        guard.LOG.removeFilter(broken)
    assert guard.counters["fault.here"] == 1


def test_at_the_end_of_the_stack_the_service_gets_its_own_error(keeper: SpanKeeper) -> None:
    @profiler.trace("deep")
    def deep(left: int) -> int:
        return deep(left - 1) if left else 0

    global_tracer.report_to(lambda: keeper)
    profiler.init("key")
    with pytest.raises(RecursionError):
        deep(100_000)
    assert profiler.get() is not None
    profiler.clean()


# Settings


def test_settings_are_replaced_as_a_whole() -> None:
    before = config.current()
    after = config.publish(trust_incoming=trust.ALL)
    assert config.current() is after
    assert not before.trust_incoming
    with pytest.raises(dataclasses.FrozenInstanceError):
        after.enabled = False  # type: ignore[misc]
    with pytest.raises(TypeError):
        config.publish(no_such_switch=1)
    config.reset()
    assert config.current() == config.Settings()


# What code written for jaeger-client and OpenTracing does


def test_headers_that_are_no_mapping_are_read(tracer: Tracer) -> None:
    headers = http.client.parse_headers(io.BytesIO(b"uber-trace-id: 1:2:0:1\r\n\r\n"))  # as http.server has them
    context = tracer.extract(opentracing.Format.HTTP_HEADERS, headers)
    assert (context.trace_id, context.span_id) == (1, 2)
    with pytest.raises(opentracing.InvalidCarrierException):
        tracer.extract(opentracing.Format.HTTP_HEADERS, [("uber-trace-id", "1:2:0:1")])


def test_a_trace_that_opentracing_began_is_signed_like_any_that_a_sampler_did(tracer: Tracer) -> None:
    config.publish(hmac_keys=("first", "second"))
    with tracer.start_active_span("job"), tracer.start_active_span("part"):
        headers = web.get_trace_id_headers()
    assert signed_unpack(headers["X-Trace-Info"], headers["X-Trace-HMAC"], ["first"])


def test_a_foreign_trace_that_opentracing_continues_is_signed_on(tracer: Tracer) -> None:
    """As for a context received by HTTP or RPC: the next services need not trust anybody."""
    config.publish(hmac_keys=("first",))
    foreign = tracer.extract(opentracing.Format.HTTP_HEADERS, {"uber-trace-id": "1:2:0:1"})
    with tracer.start_active_span("job", child_of=foreign):
        headers = web.get_trace_id_headers()
    assert signed_unpack(headers["X-Trace-Info"], headers["X-Trace-HMAC"], ["first"])
    assert headers["uber-trace-id"].startswith(f"{1:032x}:")


def test_what_jaeger_client_s_tracer_has_is_there(tracer: Tracer) -> None:
    stock = jaeger_client.Tracer("stock", jaeger_client.reporter.NullReporter(), ConstSampler(True))
    missing = {name for name in vars(stock) if not name.startswith("_") and not hasattr(tracer, name)}
    assert not missing
    assert 0 <= tracer.random_id() < 1 << 64


def test_a_key_may_be_bytes_as_with_stock() -> None:
    profiler.init(b"key")  # type: ignore[arg-type]
    headers = web.get_trace_id_headers()
    assert signed_unpack(headers["X-Trace-Info"], headers["X-Trace-HMAC"], ["key"])
    assert propagation.read({name.lower(): value for name, value in headers.items()}, ["key"]) is not None
