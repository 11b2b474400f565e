# SPDX-License-Identifier: Apache-2.0
"""The envelope of RPC messages: which fields are written and read, and that hostile fields are stopped."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from osprofiler import config, messaging, profiler
from osprofiler._runtime import guard
from osprofiler.config import trust
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.instrumentation import messaging as adapter
from osprofiler.propagation import envelope
from osprofiler.tracer import global_tracer

KEY = "the secret key"
BASE = "7bbd2d5c-3c54-4d45-8a9c-9a4b3d1f0a01"
PARENT = "7bbd2d5c-3c54-4d45-1111-222233334444"
CONTEXT = {"user_id": "u", "is_admin": True, "roles": ["member"]}


@pytest.fixture(autouse=True)
def configured() -> Iterator[None]:
    config.publish(enabled=True, hmac_keys=(KEY, "an older key"))
    with scope.entered(None):
        yield
    config.reset()


@pytest.fixture
def point() -> Iterator[Point]:
    """An open trace point in a received trace."""
    profiler.init(KEY, base_id=BASE, parent_id=PARENT)
    with profiler.Trace("above"):
        here = current.point.get()
        assert here is not None
        yield here


def trace_info(**changes: Any) -> dict[str, Any]:
    return {"hmac_key": KEY, "base_id": BASE, "parent_id": PARENT, **changes}


def test_the_context_of_a_point_comes_out_as_it_went_in(point: Point) -> None:
    carried = json.loads(json.dumps(messaging.inject(CONTEXT, follows=True)))
    assert {name: carried[name] for name in CONTEXT} == CONTEXT
    incoming = messaging.extract(carried)
    assert incoming is not None
    assert incoming.follows
    origin = incoming.origin
    assert (origin.base_id, origin.parent_id, origin.hmac_key, origin.sampled) == (BASE, point.id(), KEY, True)
    assert point.span is not None
    assert origin.parent_span_id == point.span.span_id
    assert origin.foreign == {}  # our own unsigned fields have the same context


def test_a_virtual_root_stays_one() -> None:
    profiler.init(KEY, base_id=BASE)
    carried = messaging.inject({})
    assert set(carried) == {"osprofiler_context"}  # the unsigned formats have no field for it
    incoming = messaging.extract(carried)
    assert incoming is not None
    assert (incoming.origin.parent_id, incoming.origin.parent_span_id) == (None, 0)


@pytest.mark.parametrize("tracing", [True, False])
@pytest.mark.usefixtures("point")
def test_the_applications_own_dictionary_is_left_alone(tracing: bool) -> None:
    if not tracing:
        current.point.set(None)
    given_context = {**CONTEXT, "trace_info": trace_info(), "osprofiler_context": "stale"}
    before = copy.deepcopy(given_context)
    messaging.inject(given_context)
    messaging.extract(given_context)
    messaging.TracingSerializer().deserialize_context(given_context)
    assert given_context == before


@pytest.mark.usefixtures("point")
def test_the_key_never_leaves() -> None:
    carried = messaging.inject({**CONTEXT, "trace_info": trace_info()})
    assert KEY not in json.dumps(carried)
    assert "trace_info" not in carried


def test_nor_what_another_request_left_there_where_no_trace_is_on() -> None:
    assert messaging.inject({**CONTEXT, "trace_info": trace_info(), "osprofiler_context": "stale"}) == CONTEXT


@pytest.mark.usefixtures("point")
def test_nor_where_our_own_code_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("tracing is broken")

    sent = []

    def send(target: object, ctxt: dict[str, Any]) -> None:
        sent.append(ctxt)

    monkeypatch.setattr(envelope, "inject", fail)
    given_context = {**CONTEXT, "trace_info": trace_info()}
    adapter.sent(send, None, None, given_context)
    assert [messaging.inject(given_context), *sent] == [CONTEXT, CONTEXT]


def test_plain_peers_get_exactly_what_they_understand(point: Point) -> None:
    config.publish(rpc_plain_peers=True)
    carried = messaging.inject({**CONTEXT, "trace_info": {"hmac_key": "other"}})
    assert carried["trace_info"] == {"hmac_key": KEY, "base_id": BASE, "parent_id": point.id()}


def test_plain_peers_hear_nothing_of_a_request_that_is_not_sampled() -> None:
    config.publish(rpc_plain_peers=True)
    current.point.set(Point(None, None, Origin.from_osprofiler(KEY, BASE, PARENT, flags=0)))
    assert "trace_info" not in messaging.inject({**CONTEXT, "trace_info": trace_info()})


@pytest.mark.parametrize("plain_peers", [True, False])
def test_a_plain_peers_trace_info_counts_with_one_of_our_keys(plain_peers: bool) -> None:
    config.publish(rpc_plain_peers=plain_peers)
    incoming = messaging.extract({"trace_info": trace_info(hmac_key="an older key")})
    assert incoming is not None
    origin = incoming.origin
    assert (origin.base_id, origin.parent_id, origin.hmac_key) == (BASE, PARENT, "an older key")
    assert messaging.extract({"trace_info": trace_info(hmac_key="unknown")}) is None


@pytest.mark.usefixtures("point")
def test_what_is_signed_wins() -> None:
    carried = messaging.inject({})
    other = trace_info(base_id="11111111-2222-3333-4444-555555555555")
    incoming = messaging.extract({**carried, "trace_info": other})
    assert incoming is not None
    assert incoming.origin.base_id == BASE


@pytest.mark.usefixtures("point")
def test_one_changed_character_and_it_is_as_absent() -> None:
    text = messaging.inject({})["osprofiler_context"]
    for at in range(0, len(text), 7):
        changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        assert messaging.extract({"osprofiler_context": changed}) is None
    config.publish(hmac_keys=("another",))
    assert messaging.extract({"osprofiler_context": text}) is None


def test_not_sampled_is_carried_on_and_recognised() -> None:
    current.point.set(Point(None, None, Origin.from_ids(7 << 64 | 5, 9, flags=0)))
    carried = messaging.inject(CONTEXT)
    assert carried["traceparent"].endswith("-00")
    incoming = messaging.extract(carried)
    assert incoming is not None
    assert not incoming.origin.sampled
    assert messaging.TracingSerializer().deserialize_context(carried) == CONTEXT
    assert profiler.get() is None


def test_a_trace_without_a_key_of_its_own_is_signed_with_the_first() -> None:
    current.point.set(Point(None, None, Origin.from_ids(7 << 64 | 5, 9)))
    incoming = messaging.extract(messaging.inject({}))
    assert incoming is not None
    assert (incoming.origin.hmac_key, incoming.origin.trace_id, incoming.origin.parent_span_id) == (KEY, 7 << 64 | 5, 9)


def test_under_the_reporter_nothing_is_written() -> None:
    with scope.entered(scope.SUPPRESSED):
        assert messaging.inject({**CONTEXT, "trace_info": trace_info()}) == CONTEXT


FOREIGN = "00-0000000000000000000000000000abcd-000000000000ef01-01"


def test_a_foreign_context_is_a_tag_where_it_is_not_trusted() -> None:
    assert messaging.extract({"traceparent": FOREIGN}) is None
    incoming = messaging.extract({"traceparent": FOREIGN, "trace_info": trace_info()})
    assert incoming is not None
    assert incoming.origin.foreign == {"foreign.traceparent": FOREIGN}


def test_and_is_continued_where_it_is() -> None:
    config.publish(trust_incoming=trust.ALL)
    incoming = messaging.extract({"traceparent": FOREIGN})
    assert incoming is not None
    assert (incoming.origin.trace_id, incoming.origin.parent_span_id) == (0xABCD, 0xEF01)


def test_another_tracers_traceparent_is_kept_where_it_is_its_business(point: Point) -> None:
    kept = envelope.inject({"traceparent": FOREIGN, "tracestate": "a=b"}, point.context(), keep_w3c=True)
    assert (kept["traceparent"], kept["tracestate"]) == (FOREIGN, "a=b")
    ours = envelope.inject({"traceparent": FOREIGN, "tracestate": "a=b"}, point.context())
    assert point.span is not None
    assert f"{point.span.span_id:016x}" in ours["traceparent"]
    assert "tracestate" not in ours


HOSTILE = [
    {"osprofiler_context": None},
    {"osprofiler_context": 7},
    {"osprofiler_context": b"bytes"},
    {"osprofiler_context": ["a", "list"]},
    {"osprofiler_context": ""},
    {"osprofiler_context": "." * 64},
    {"osprofiler_context": "x" * 10_000_000},
    {"osprofiler_context": "e30=." + "0" * 64},
    {"osprofiler_context": "\ud800.\udfff"},
    {"trace_info": "text"},
    {"trace_info": []},
    {"trace_info": {}},
    {"trace_info": trace_info(base_id=None)},
    {"trace_info": trace_info(base_id=["a"])},
    {"trace_info": trace_info(base_id="")},
    {"trace_info": trace_info(base_id="x" * 100_000)},
    {"trace_info": trace_info(parent_id=17)},
    {"trace_info": trace_info(hmac_key=None)},
    {"trace_info": trace_info(hmac_key=[KEY])},
    {"trace_info": trace_info(hmac_key="\ud800")},
    {"trace_info": trace_info(more="than stock has")},
    {"traceparent": 5, "uber-trace-id": {}, "b3": None, 7: "a number as a name"},
]


@pytest.mark.parametrize("context", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("trusting", [True, False])
def test_a_hostile_envelope_is_as_an_empty_one(context: dict[Any, Any], trusting: bool) -> None:
    config.publish(trust_incoming=trust.ALL if trusting else trust.SIGNED)
    faults = {name: value for name, value in guard.counters.items() if name.startswith("fault.")}
    assert messaging.extract(context) is None
    messaging.TracingSerializer().deserialize_context(context)
    assert profiler.get() is None
    assert faults == {name: value for name, value in guard.counters.items() if name.startswith("fault.")}


def test_what_is_malformed_is_counted() -> None:
    before = guard.counters["malformed"]
    messaging.extract({"osprofiler_context": 7, "trace_info": "text"})
    assert guard.counters["malformed"] == before + 2


NAMES = st.sampled_from(["osprofiler_context", "trace_info", "traceparent", "uber-trace-id", "b3", "uberctx-a", "user"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=200),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["hmac_key", "base_id", "parent_id", "x"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@hypothesis.given(st.dictionaries(NAMES, VALUES))
def test_no_envelope_raises_and_none_turns_tracing_on(context: dict[str, Any]) -> None:
    faults = sum(value for name, value in guard.counters.items() if name.startswith("fault."))
    assert messaging.extract(context) is None
    others = {name: value for name, value in context.items() if name not in ("osprofiler_context", "trace_info")}
    assert messaging.inject(context) == others
    assert faults == sum(value for name, value in guard.counters.items() if name.startswith("fault."))


class Base:
    """A service's own serializer."""

    def serialize_entity(self, ctxt: Any, entity: Any) -> Any:
        return ("out", ctxt, entity)

    def deserialize_entity(self, ctxt: Any, entity: Any) -> Any:
        return ("in", ctxt, entity)

    def serialize_context(self, ctxt: Any) -> dict[str, Any]:
        return dict(ctxt.items)

    def deserialize_context(self, ctxt: dict[str, Any]) -> Any:
        return Request(**ctxt)


class Request:
    """A request context that accepts only its own fields."""

    def __init__(self, user: str) -> None:
        self.items = {"user": user}


def test_the_serializer_carries_the_trace_round_a_service_that_knows_nothing_of_it(point: Point) -> None:
    serializer = messaging.TracingSerializer(Base())
    carried = serializer.serialize_context(Request("me"))
    current.point.set(None)
    assert serializer.deserialize_context(carried).items == {"user": "me"}
    here = profiler.get()
    assert here is not None
    assert (here.get_base_id(), here.get_id(), here.hmac_key) == (BASE, point.id(), KEY)
    assert serializer.serialize_entity(1, 2) == ("out", 1, 2)
    assert serializer.deserialize_entity(1, 2) == ("in", 1, 2)


def test_the_serializer_changes_nothing_inside_a_span_of_the_same_dispatch(point: Point) -> None:
    carried = messaging.inject({})
    incoming = messaging.extract(carried)
    assert incoming is not None
    server = global_tracer.get_tracer().open_point(Point(None, None, incoming.origin), "rpc")
    messaging.TracingSerializer().deserialize_context(carried)
    assert current.point.get() is server
    server.end()
    current.point.set(point)


def test_while_tracing_is_off_nothing_is_read() -> None:
    profiler.init(KEY, base_id=BASE)
    carried = messaging.inject({})
    current.point.set(None)
    config.publish(enabled=False)
    assert messaging.TracingSerializer().deserialize_context(carried) == {}
    assert current.point.get() is None
