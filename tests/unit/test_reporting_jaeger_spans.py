# SPDX-License-Identifier: Apache-2.0
"""The parts of a span that reach Jaeger: ids, references, and every key of info; and a span that is too large."""

from typing import Any

import pytest
from opentracing import ReferenceType

from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.delivery import encoding, jaeger_spans, jaeger_udp, thrift_binary
from osprofiler.delivery import thrift_compact as thrift
from osprofiler.delivery.queue import Recorded
from osprofiler.records import names, span_records
from osprofiler.records.flattening import unflatten
from osprofiler.records.pairs import MOST_WAITING, Pairs
from osprofiler.tracer.tracer import Tracer

BASE = "f0e1d2c3-b4a5-4697-8879-6a5b4c3d2e1f"
PARENT = "01234567-89ab-4cde-8f01-23456789abcd"


@pytest.fixture
def tracer() -> Tracer:
    return Tracer("test")


def span_of(tracer: Tracer, origin: Origin, *args: Any, stop: Any = None, fault: Any = None, **named: Any) -> Any:
    point = tracer.open_point(Point(None, None, origin), *args, **named)
    point.end(stop, fault)
    return point.span


def packed(limit_bytes: int) -> encoding.Encoder[bytes, bytes]:
    """An encoder for packets of at most *limit_bytes*."""
    encoder: encoding.Encoder[bytes, bytes] = encoding.Encoder(
        jaeger_spans.process, lambda span: jaeger_spans.encode(span, jaeger_udp.room(encoder.process(), limit_bytes))
    )
    return encoder


def values(tags: list[thrift.Tag]) -> dict[str, Any]:
    return {
        item.key: next(v for v in (item.vStr, item.vDouble, item.vBool, item.vLong) if v is not None) for item in tags
    }


def test_ids_and_a_remote_parent(tracer: Tracer) -> None:
    made = jaeger_spans.convert(span_of(tracer, Origin.from_osprofiler("k", BASE, PARENT), "rpc"))
    assert made.traceIdHigh == int("f0e1d2c3b4a54697", 16) - (1 << 64)
    assert made.traceIdLow == int("88796a5b4c3d2e1f", 16) - (1 << 64)
    assert made.parentSpanId == int("8f0123456789abcd", 16) - (1 << 64)
    assert made.references is None
    tags = values(made.tags)
    assert tags[names.PARENT_ID] == PARENT, "its high half is not the trace's, so the span id does not say it"
    assert names.BASE_ID not in tags
    assert tags[names.NAME] == "rpc"


def test_under_a_virtual_root_there_is_no_parent(tracer: Tracer) -> None:
    made = jaeger_spans.convert(span_of(tracer, Origin.from_osprofiler("k", BASE, BASE), "wsgi"))
    assert made.parentSpanId == 0
    assert made.references is None
    assert names.PARENT_ID not in values(made.tags)


@pytest.mark.parametrize("base_id", ["my-trace", BASE.upper(), BASE.replace("-", "")])
def test_a_base_id_that_integers_do_not_give_back_is_a_tag(tracer: Tracer, base_id: str) -> None:
    tags = values(jaeger_spans.convert(span_of(tracer, Origin.from_osprofiler("k", base_id), "p")).tags)
    assert tags[names.BASE_ID] == base_id


def test_a_parent_that_does_not_wait_is_a_reference_and_no_parent(tracer: Tracer) -> None:
    made = jaeger_spans.convert(span_of(tracer, Origin.from_ids(3 << 64 | 5, 7), "cast", follows=True))
    assert made.parentSpanId == 0
    assert made.references is not None
    (reference,) = made.references
    assert (reference.refType, reference.traceIdHigh, reference.traceIdLow, reference.spanId) == (
        thrift.FOLLOWS_FROM,
        3,
        5,
        7,
    )


def test_further_references_come_after(tracer: Tracer) -> None:
    span = span_of(tracer, Origin.from_ids(5, 7), "join")
    span.links = [(ReferenceType.CHILD_OF, 5, 8), (ReferenceType.FOLLOWS_FROM, 6, 9)]
    made = jaeger_spans.convert(span)
    assert made.parentSpanId == 7
    assert [(one.refType, one.traceIdLow, one.spanId) for one in made.references or ()] == [(0, 5, 8), (1, 6, 9)]


def test_info_comes_back_from_the_tags(tracer: Tracer) -> None:
    start = {"a.b": {"c~": [1, "é", None], "none": None, "empty": {}}, "n": 1, "f": 1.5, "yes": True, "db": {"x": "y"}}
    stop = {"n": -1, "function": {"result": "☃"}}
    tags = values(jaeger_spans.convert(span_of(tracer, Origin.from_osprofiler("k"), "p", start, stop=stop)).tags)
    assert unflatten(tags, "start") == start
    assert unflatten(tags, "stop") == stop


def test_standard_tags_come_from_info_unless_the_point_has_them(tracer: Tracer) -> None:
    info = {"request": {"method": "GET", "path": "/v2", "query": "a=b", "scheme": "http"}}
    tags = values(jaeger_spans.convert(span_of(tracer, Origin.from_osprofiler("k"), "wsgi", info)).tags)
    assert (tags["span.kind"], tags["http.method"], tags["http.url"]) == ("server", "GET", "/v2?a=b")
    own = {"http.url": "http://public/v2"}
    made = jaeger_spans.convert(span_of(tracer, Origin.from_osprofiler("k"), "wsgi", info, tags=own))
    assert [item.vStr for item in made.tags if item.key == "http.url"] == ["http://public/v2"]

    info = {"requests": {"method": "PUT", "hostname": "glance", "port": 9292, "path": "/v2", "scheme": "https"}}
    tags = values(jaeger_spans.convert(span_of(tracer, Origin.from_osprofiler("k"), "http", info)).tags)
    assert (tags["span.kind"], tags["http.url"], tags["peer.port"]) == ("client", "https://glance:9292/v2", 9292)

    info = {"db": {"statement": "SELECT " + "x" * 5000, "params": {}}}
    tags = values(jaeger_spans.convert(span_of(tracer, Origin.from_osprofiler("k"), "db", info)).tags)
    assert (tags["span.kind"], tags["db.type"], len(tags["db.statement"])) == ("client", "sql", 1024)
    assert tags["start.db.statement"] == info["db"]["statement"], "the info itself stays whole"


def test_an_error_is_a_tag_a_log_and_stop_info(tracer: Tracer) -> None:
    made = jaeger_spans.convert(span_of(tracer, Origin.from_osprofiler("k"), "p", fault=KeyError("gone")))
    tags = values(made.tags)
    assert tags["error"] is True
    assert tags["stop.etype"] == "KeyError"
    assert made.logs is not None
    fields = values(made.logs[0].fields)
    assert (fields["event"], fields["error.kind"]) == ("error", "KeyError")


@pytest.mark.parametrize(
    "info",
    [
        {"text": "x" * 200_000},
        {"text": "☃" * 100_000, "list": ["y"] * 20_000},
        {f"key{number}": "v" for number in range(20_000)},
    ],
    ids=["one long text", "wide characters and JSON", "very many keys"],
)
def test_a_span_too_large_for_its_transport_is_cut_and_says_so(tracer: Tracer, info: dict[str, Any]) -> None:
    tracer.max_span_chars = 4 << 20  # as if another transport had set the limit
    span = span_of(tracer, Origin.from_osprofiler("k"), "p", info)
    encoder = packed(65_000)
    ((packet, number),) = jaeger_udp.packets(encoder.process(), encoder.encode([span]).spans, 65_000)
    assert number == 1
    assert len(packet) <= 65_000
    assert len(packet) > 300
    made = jaeger_spans.convert(span)
    assert len(jaeger_spans.cut_to(made, 60_000)) <= 60_000
    tags = values(made.tags)
    assert tags[names.CUT] is True
    unflatten(tags, "start")  # what was JSON and has been cut does not pretend to be JSON still


def test_what_is_not_cut_enough_is_counted_and_the_rest_goes_on(tracer: Tracer) -> None:
    encoder = packed(2000)
    good = span_of(tracer, Origin.from_osprofiler("k"), "good")
    hopeless = span_of(tracer, Origin.from_osprofiler("k"), "x", operation="o" * 3000)
    bad = span_of(tracer, Origin.from_osprofiler("k"), "bad")
    bad.own_tags = {"k": 1 << 70}
    encoded = encoder.encode([hopeless, good, bad, good])
    assert len(encoded.spans) == 2
    assert encoded.dropped == {"too_large": 1, "unencodable": 1}


def test_packets_hold_as_much_as_fits(tracer: Tracer) -> None:
    encoder = packed(5000)
    span = span_of(tracer, Origin.from_osprofiler("k"), "p", {"text": "x" * 500})
    packets = list(jaeger_udp.packets(encoder.process(), encoder.encode([span] * 100).spans, 5000))
    assert sum(number for _, number in packets) == 100
    assert all(3500 < len(packet) <= 5000 for packet, _ in packets[:-1])


def record(phase: str, us: int, info: dict[str, Any], point: str = "8b1f3e7c-0000-4000-8000-00000000002a") -> Any:
    return {
        "name": f"cast-start-{phase}",
        "base_id": BASE,
        "trace_id": point,
        "parent_id": PARENT,
        "timestamp": f"2026-11-20T10:00:00.{us:06}",
        "info": info,
    }


def test_two_records_made_by_hand_are_one_span() -> None:
    encoder = encoding.Encoder(thrift_binary.process, thrift_binary.span)
    encoded = encoder.encode([Recorded(record("start", 100, {"a": 1}), 0)])
    assert (encoded.spans, encoded.merged) == ([], 1)
    assert len(encoder.encode([Recorded(record("stop", 350, {"etype": "OSError"}), 0)]).spans) == 1

    pairs = Pairs()
    assert pairs.add(record("start", 100, {"a": 1})) is None
    whole: Any = pairs.add(record("stop", 350, {"etype": "OSError"}))
    made = jaeger_spans.convert(whole)
    tags = values(made.tags)
    assert (made.duration, made.spanId) == (250, 42 - (1 << 63))
    assert made.parentSpanId == int("8f0123456789abcd", 16) - (1 << 64)
    assert (tags[names.NAME], tags["start.a"], tags["error"]) == ("cast-start", 1, True)
    assert tags[names.POINT_ID] == "8b1f3e7c-0000-4000-8000-00000000002a", "its high half is not the trace's"


def test_what_the_reserved_key_says_is_the_spans_own(tracer: Tracer) -> None:
    """A span and its records become the same structure."""
    origin = Origin.from_osprofiler("k", BASE, PARENT)
    span = span_of(tracer, origin, "db", {"db": {"statement": "SELECT 1"}}, fault=KeyError("gone"), follows=True)
    span.links = [(ReferenceType.FOLLOWS_FROM, origin.trace_id, 7), (ReferenceType.CHILD_OF, 5, 6)]
    pairs = Pairs()
    assert pairs.add(span_records.start(span)) is None
    whole: Any = pairs.add(span_records.stop(span))
    expected, made = jaeger_spans.convert(span), jaeger_spans.convert(whole)
    for key in ("start.host", "stop.host"):  # which records have beside the process's tag
        made.tags = [tag for tag in made.tags if tag.key != key]
    assert thrift.encode(made) == thrift.encode(expected)


def test_a_parent_with_the_traces_own_id_is_one_where_the_record_says_so() -> None:
    """The root of another tracer may have the low half of its trace id as span id."""
    ids_alike = {"base_id": BASE, "parent_id": BASE}
    for info, parent in ({"osprofiler": {"parent": "child_of"}}, int(BASE[-17:].replace("-", ""), 16)), ({}, 0):
        pairs = Pairs()
        pairs.add({**record("start", 1, info), **ids_alike})
        whole: Any = pairs.add({**record("stop", 2, {}), **ids_alike})
        assert whole.parent_span_id == parent


def test_a_record_that_is_none_costs_itself_only() -> None:
    encoder = encoding.Encoder(thrift_binary.process, thrift_binary.span)
    encoded = encoder.encode([Recorded({"name": "x-stop"}, 0), Recorded(record("stop", 1, {}), 0)])
    assert encoded.dropped == {"unencodable": 1}
    assert len(encoded.spans) == 1


def test_starts_without_stop_do_not_pile_up() -> None:
    pairs = Pairs()
    for number in range(MOST_WAITING + 10):
        pairs.add(record("start", 0, {}, point=str(number)))
    assert len(pairs._starts) == MOST_WAITING


def test_the_process_says_who_and_where(tracer: Tracer) -> None:
    encoder = packed(65_000)
    encoder.set_process("nova-api", {"project": "nova", "rack": "r1"})
    one = encoder.process()
    for word in (b"nova-api", b"hostname", b"pid", b"rack", b"r1"):
        assert word in one
    encoder.set_process("nova-compute", {})
    assert b"nova-compute" in encoder.process()
