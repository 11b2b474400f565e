# SPDX-License-Identifier: Apache-2.0
"""What is written for a point, and which of what came counts: signed text, signed pair, foreign, nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import opentracing
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaeger_client.sampler import ConstSampler

from osprofiler import config, messaging, profiler, propagation, web
from osprofiler._runtime import guard
from osprofiler.config import trust
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.context.trace_context import TraceContext
from osprofiler.propagation import envelope, osprofiler, signed
from osprofiler.tracer import global_tracer
from osprofiler.tracer.span_context import SpanContext
from tests.unit.span_kit import Recorder, spans  # noqa: F401

BASE, PARENT = "5b0d2c6a-0b2f-4d7c-9e61-8f1f4c9f0a11", "5b0d2c6a-0b2f-4d7c-a7a2-2d4d4a3a9c22"
JAEGER = {"uber-trace-id": "4bf92f3577b34da6a3ce929d0e0e4736:f067aa0ba902b7:0:1"}
W3C = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
B3 = {"b3": "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1"}
KEYS = ("K",)


def lower(fields: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in fields.items()}


def pair(base: str = BASE, parent: str = PARENT, key: str = "K") -> dict[str, str]:
    return lower(osprofiler.encode(TraceContext.from_osprofiler(None, base, parent), key))


def sealed(base: str = BASE, parent: str | None = PARENT, key: str = "K", flags: int = 1) -> dict[str, str]:
    return {"x-trace-context": signed.encode(TraceContext.from_osprofiler(key, base, parent, flags))}


# Writing


def test_a_traced_request_carries_the_pair_first_then_the_rest(spans: Recorder) -> None:  # noqa: F811
    profiler.init("K", BASE, PARENT)
    with profiler.Trace("point"):
        fields = web.get_trace_id_headers()
        point = current.point.get()
        assert point is not None
        assert point.span is not None
        trace, span = point.origin.trace_id, point.span.span_id
        parent = point.span.parent_span_id
        assert list(fields) == ["X-Trace-Info", "X-Trace-HMAC", "X-Trace-Context", "uber-trace-id", "traceparent"]
        assert fields["uber-trace-id"] == f"{trace:032x}:{span:016x}:{parent:016x}:1"
        assert fields["traceparent"] == f"00-{trace:032x}-{span:016x}-01"
        for part in (pair_of(fields), {"x-trace-context": fields["X-Trace-Context"]}):
            found = propagation.read(part, KEYS)
            assert found is not None
            assert (found.origin.base_id, found.origin.parent_id) == (BASE, point.id())
            assert found.origin.parent_span_id == span
    profiler.clean()


def pair_of(fields: dict[str, str]) -> dict[str, str]:
    return {name.lower(): fields[name] for name in ("X-Trace-Info", "X-Trace-HMAC")}


def test_a_virtual_root_has_only_signed_fields(spans: Recorder) -> None:  # noqa: F811
    profiler.init("K")
    fields = web.get_trace_id_headers()
    assert list(fields) == ["X-Trace-Info", "X-Trace-HMAC", "X-Trace-Context"]
    for part in (pair_of(fields), {"x-trace-context": fields["X-Trace-Context"]}):
        found = propagation.read(part, KEYS)
        assert found is not None
        assert found.origin.parent_span_id == 0
    profiler.clean()


def test_an_unsampled_trace_says_so_signed_and_without_the_pair() -> None:
    """The pair cannot say "no": a plain osprofiler would trace."""
    origin = Origin.from_ids(0xABC, 0xDEF, flags=0, hmac_key="K")
    fields = propagation.write(Point(None, None, origin).context())
    decoded = signed.decode(fields.pop("X-Trace-Context"), KEYS)
    assert decoded is not None
    assert (decoded.context.trace_id, decoded.context.sampled) == (0xABC, False)
    assert fields == {
        "uber-trace-id": "00000000000000000000000000000abc:0000000000000def:0:0",
        "traceparent": "00-00000000000000000000000000000abc-0000000000000def-00",
    }


@pytest.mark.parametrize("point", [None, scope.SUPPRESSED], ids=["no trace", "the reporter"])
def test_nothing_is_written_without_a_trace_or_by_the_reporter(point: Point | None) -> None:
    assert propagation.write(None if point is None else point.context()) == {}


def test_without_a_key_nothing_is_signed() -> None:
    fields = propagation.write(TraceContext.from_ids(1, 2))
    assert list(fields) == ["uber-trace-id", "traceparent"]


@pytest.mark.parametrize(
    ("formats", "expected"),
    [
        ((), []),
        (("osprofiler",), ["X-Trace-Info", "X-Trace-HMAC", "X-Trace-Context"]),
        (("w3c",), ["traceparent"]),
        (("b3",), ["X-B3-TraceId", "X-B3-SpanId", "X-B3-Sampled"]),
    ],
)
def test_only_the_configured_formats_are_written(
    spans: Recorder,  # noqa: F811
    formats: tuple[str, ...],
    expected: list[str],
) -> None:
    config.publish(propagation=formats)
    assert list(propagation.write(TraceContext.from_ids(1, 2, hmac_key="K"))) == expected


def test_baggage_goes_out_as_jaegers_headers(spans: Recorder) -> None:  # noqa: F811
    profiler.init("K")
    with profiler.Trace("point"):
        point = current.point.get()
        assert point is not None
        assert point.span is not None
        point.span.set_baggage_item("tenant", "a b")
        assert web.get_trace_id_headers()["uberctx-tenant"] == "a%20b"
    profiler.clean()


# Reading


def test_our_signed_text_wins_over_the_pair() -> None:
    other = "99999999-0b2f-4d7c-9e61-8f1f4c9f0a11"
    found = propagation.read({**pair(base=other), **sealed()}, KEYS)
    assert found is not None
    assert found.origin.base_id == BASE


@pytest.mark.parametrize(
    "broken", [{"x-trace-context": "garbage"}, sealed(key="other"), {"x-trace-context": "a" * 9000}]
)
def test_the_pair_counts_where_our_text_does_not(broken: dict[str, str]) -> None:
    found = propagation.read({**broken, **pair()}, KEYS)
    assert found is not None
    assert found.origin.parent_id == PARENT


@pytest.mark.parametrize(
    "carrier",
    [
        {},
        pair(key="other"),
        sealed(key="other"),
        {"x-trace-info": pair()["x-trace-info"]},
        {"x-trace-hmac": pair()["x-trace-hmac"]},
        {**pair(), "x-trace-hmac": "\u00e9" * 40},
        {**pair(), "x-trace-info": pair()["x-trace-info"] + "," + pair()["x-trace-info"]},
        JAEGER,
        W3C,
        B3,
        {"jaeger-debug-id": "me"},
    ],
)
def test_nothing_else_counts_by_default(carrier: dict[str, str]) -> None:
    assert propagation.read(carrier, KEYS) is None
    assert propagation.read(carrier, ()) is None


@pytest.mark.parametrize("carrier", [JAEGER, W3C, B3], ids=["jaeger", "w3c", "b3"])
def test_a_trusted_foreign_context_is_continued(spans: Recorder, carrier: dict[str, str]) -> None:  # noqa: F811
    config.publish(trust_incoming=trust.ALL)
    found = propagation.read(carrier, KEYS)
    assert found is not None
    origin = found.origin
    assert (origin.trace_id, origin.parent_span_id, origin.sampled) == (
        0x4BF92F3577B34DA6A3CE929D0E0E4736,
        0xF067AA0BA902B7,
        True,
    )
    assert not origin.foreign


def test_a_trusted_foreign_context_is_vouched_for(spans: Recorder) -> None:  # noqa: F811
    """The services behind need not trust anybody: what they get is signed."""
    config.publish(trust_incoming=trust.ALL)
    found = propagation.read(JAEGER, KEYS)
    assert found is not None
    sent = {name.lower(): value for name, value in propagation.write(Point(None, None, found.origin).context()).items()}
    config.publish(trust_incoming=trust.SIGNED)
    behind = propagation.read(sent, KEYS)
    assert behind is not None
    assert (behind.origin.trace_id, behind.origin.parent_span_id) == (
        found.origin.trace_id,
        found.origin.parent_span_id,
    )


def test_a_trusted_context_that_is_not_sampled_stays_so(spans: Recorder) -> None:  # noqa: F811
    config.publish(trust_incoming=trust.ALL)
    found = propagation.read({"traceparent": W3C["traceparent"][:-1] + "0"}, KEYS)
    assert found is not None
    assert not found.origin.sampled
    assert propagation.write(Point(None, None, found.origin).context())["traceparent"].endswith("-00")


def test_a_bad_foreign_field_gives_way_to_a_good_one(spans: Recorder) -> None:  # noqa: F811
    config.publish(trust_incoming=trust.ALL)
    before = guard.counters["malformed"]
    found = propagation.read({"uber-trace-id": "garbage", **W3C}, KEYS)
    assert found is not None
    assert found.origin.parent_span_id == 0xF067AA0BA902B7
    assert guard.counters["malformed"] == before + 1


def test_a_debug_id_begins_a_trace_where_incoming_is_trusted(spans: Recorder) -> None:  # noqa: F811
    config.publish(trust_incoming=trust.ALL)
    found = propagation.read({"jaeger-debug-id": "me"}, KEYS)
    assert found is not None
    assert found.origin.flags == 3
    assert found.origin.parent_span_id == 0
    assert found.origin.foreign == {"jaeger-debug-id": "me"}


def test_tracestate_is_carried_on_with_its_trace_only(spans: Recorder) -> None:  # noqa: F811
    config.publish(trust_incoming=trust.ALL)
    state = {"tracestate": "congo=t61rcWkgMzE"}
    found = propagation.read({**W3C, **state}, KEYS)
    assert found is not None
    assert propagation.write(Point(None, None, found.origin).context())["tracestate"] == "congo=t61rcWkgMzE"
    other = propagation.read({**W3C, **state, "uber-trace-id": "1:2:0:1"}, KEYS)
    assert other is not None
    assert "tracestate" not in propagation.write(Point(None, None, other.origin).context())
    hostile = propagation.read({**W3C, "tracestate": "a=1\r\nx: 1"}, KEYS)
    assert hostile is not None
    assert "tracestate" not in propagation.write(Point(None, None, hostile.origin).context())


def test_tracestate_goes_on_from_service_to_service(spans: Recorder) -> None:  # noqa: F811
    config.publish(trust_incoming=trust.ALL, hmac_keys=tuple(KEYS))
    found = propagation.read({**W3C, "tracestate": "congo=t61rcWkgMzE"}, KEYS)
    config.publish(trust_incoming=trust.SIGNED)  # services behind the first need not trust anybody
    for _ in range(2):
        assert found is not None
        sent = lower(propagation.write(Point(None, None, found.origin).context()))
        assert sent["tracestate"] == "congo=t61rcWkgMzE"
        found = propagation.read(sent, KEYS)
    assert found is not None
    context = envelope.inject({}, Point(None, None, found.origin).context())
    called = envelope.extract(context, KEYS)
    assert called is not None
    assert called.origin.foreign == {"w3c.tracestate": "congo=t61rcWkgMzE"}
    tracer = global_tracer.get_tracer()
    injected: dict[str, str] = {}
    with tracer.start_span("x", child_of=tracer.extract(opentracing.Format.HTTP_HEADERS, sent)) as span:
        tracer.inject(span.context, opentracing.Format.HTTP_HEADERS, injected)
    assert injected["tracestate"] == "congo=t61rcWkgMzE"
    other = propagation.read({**sent, "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}, KEYS)
    assert other is not None
    assert "w3c.tracestate" not in (other.origin.foreign or {})


@pytest.mark.parametrize("trusted", [True, False])
def test_foreign_ids_of_a_signed_request_are_tags_and_no_parent(
    spans: Recorder,  # noqa: F811
    trusted: bool,
) -> None:
    config.publish(trust_incoming=trust.ALL if trusted else trust.SIGNED)
    found = propagation.read({**sealed(), **JAEGER, **W3C, "b3": "garbage"}, KEYS)
    assert found is not None
    assert found.origin.parent_id == PARENT
    assert found.origin.foreign == {
        "foreign.uber-trace-id": JAEGER["uber-trace-id"],
        "foreign.traceparent": W3C["traceparent"],
    }


def test_unsigned_copies_of_the_same_context_are_no_foreign_ones(spans: Recorder) -> None:  # noqa: F811
    profiler.init("K")
    with profiler.Trace("point"):
        found = propagation.read(lower(web.get_trace_id_headers()), KEYS)
    profiler.clean()
    assert found is not None
    assert found.origin.foreign == {}


def test_a_signed_unsampled_context_is_not_traced() -> None:
    found = propagation.read(sealed(flags=0), KEYS)
    assert found is not None
    assert not found.origin.sampled


def test_follows_travels() -> None:
    point = Point(None, None, Origin.from_osprofiler("K", BASE, PARENT))
    found = propagation.read(lower(propagation.write(point.context(), follows=True)), KEYS)
    assert found is not None
    assert found.follows is True


NAMES = (
    "x-trace-info", "x-trace-hmac", "x-trace-context", "uber-trace-id", "traceparent", "tracestate", "b3",
    "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "jaeger-debug-id", "jaeger-baggage", "uberctx-k", "baggage",
)  # fmt: skip


@pytest.mark.parametrize("trusted", [True, False])
@given(
    carrier=st.dictionaries(
        st.sampled_from(NAMES),
        st.one_of(
            st.text(max_size=60),
            st.text(alphabet="0123456789abcdef:-.=%", max_size=80),
            st.sampled_from([*pair().values(), *sealed().values(), *JAEGER.values(), *W3C.values(), *B3.values()]),
            st.text(min_size=4090, max_size=5000, alphabet="a1:\u00e9"),
        ),
        max_size=6,
    )
)
def test_any_fields_are_read_without_a_fault(trusted: bool, carrier: dict[str, str]) -> None:
    config.publish(trust_incoming=trust.ALL if trusted else trust.SIGNED)
    try:
        found = propagation.read(carrier, KEYS)
        if found is not None:
            assert 0 < found.origin.trace_id < 1 << 128
            fields = propagation.write(Point(None, None, found.origin).context())
            assert all(value.isprintable() for value in fields.values())
    finally:
        config.reset()


def test_every_truncation_of_a_signed_request_is_as_absent() -> None:
    for field, text in {**pair(), **sealed()}.items():
        for cut in range(len(text)):
            whole = pair() if field in pair() else {}
            assert propagation.read({**whole, field: text[:cut]}, KEYS) is None


# OpenTracing


@pytest.mark.parametrize("format_", [opentracing.Format.TEXT_MAP, opentracing.Format.HTTP_HEADERS])
def test_a_trace_point_injected_by_an_opentracing_library_is_signed_too(
    spans: Recorder,  # noqa: F811
    format_: str,
) -> None:
    config.publish(hmac_keys=KEYS)
    tracer = global_tracer.get_tracer()
    carrier: dict[str, str] = {}
    profiler.init("K", BASE)
    with profiler.Trace("point"):
        active = tracer.active_span
        tracer.inject(active.context, format_, carrier)
    profiler.clean()
    found = tracer.extract(format_, carrier)
    assert found.origin is not None
    assert (found.origin.base_id, found.origin.hmac_key) == (BASE, "K")
    child: Any = tracer.start_span("child", child_of=found)
    child.finish()
    assert (child.origin.base_id, child.parent_span_id) == (BASE, active.span_id)
    assert child.parent_point_id == active.point_id


@pytest.mark.parametrize("trusted", [trust.ALL, None], ids=["trusted", "nothing configured"])
def test_extract_reads_foreign_contexts(spans: Recorder, trusted: trust.Trust | None) -> None:  # noqa: F811
    config.publish(trust_incoming=trusted)
    found = global_tracer.get_tracer().extract(opentracing.Format.HTTP_HEADERS, {"Traceparent": W3C["traceparent"]})
    assert (found.trace_id, found.span_id) == (0x4BF92F3577B34DA6A3CE929D0E0E4736, 0xF067AA0BA902B7)


def test_extract_trusts_no_foreign_context_where_the_service_does_not(
    spans: Recorder,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A trace that then begins shows the ids that it does not continue."""
    config.publish(trust_incoming=trust.SIGNED)
    tracer = global_tracer.get_tracer()
    monkeypatch.setattr(tracer, "sampler", ConstSampler(True))
    binary = bytearray()
    tracer.inject(SpanContext(1, 2, None, 1), opentracing.Format.BINARY, binary)
    assert tracer.extract(opentracing.Format.BINARY, binary) is None
    extracted = tracer.extract(opentracing.Format.HTTP_HEADERS, {**W3C, "baggage": "a=1"})
    with tracer.start_span("x", child_of=extracted) as span:
        pass
    assert span.trace_id != 0x4BF92F3577B34DA6A3CE929D0E0E4736
    assert span.parent_id is None
    assert span.own_tags["foreign.traceparent"] == W3C["traceparent"]
    assert not span.baggage


def test_the_sampler_of_a_service_that_has_no_keys_signs_nothing(spans: Recorder) -> None:  # noqa: F811
    incoming = propagation.read({}, (), sample=lambda _: (True, {}))
    assert incoming is not None
    assert list(propagation.write(Point(None, None, incoming.origin).context())) == []


@pytest.mark.parametrize("carrier", [W3C, JAEGER, B3], ids=["w3c", "jaeger", "b3"])
def test_baggage_and_the_random_flag_travel_with_a_trace(carrier: dict[str, str], spans: Recorder) -> None:  # noqa: F811
    config.publish(trust_incoming=trust.ALL, propagation=("w3c",))
    random = {**carrier, "baggage": "tenant=a%20b"}
    if "traceparent" in random:
        random["traceparent"] = random["traceparent"][:-2] + "03"
    incoming = propagation.read(random, KEYS)
    assert incoming is not None
    profiler.clean()
    current.point.set(Point(None, None, incoming.origin))
    with profiler.Trace("point"):
        headers, message = web.get_trace_id_headers(), messaging.inject({})
    profiler.clean()
    for fields in (headers, message):
        assert fields["baggage"] == "tenant=a%20b"
        assert fields["traceparent"][-2:] == ("03" if carrier is W3C else "01")
    behind = messaging.extract(message)
    assert behind is not None
    assert behind.origin.baggage == {"tenant": "a b"}


def test_reading_and_writing_load_no_jaeger_client() -> None:
    program = (
        "import sys; from osprofiler import propagation as p; from osprofiler import web;"
        "p.read({'uber-trace-id': '1:1:0:1'}, ()); web.get_trace_id_headers();"
        "print([name for name in ('jaeger_client', 'tornado', 'thrift', 'webob', 'requests') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True).strip() == "[]"
