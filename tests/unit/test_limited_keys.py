# SPDX-License-Identifier: Apache-2.0
"""Keys with limits: what they let in, what they refuse and count, and who signs the trace from then on."""

from __future__ import annotations

import base64
import dataclasses
import json
import random
import threading
from collections.abc import Iterator
from typing import Any

import opentracing
import pytest

from osprofiler import config, profiler, propagation, web
from osprofiler._runtime import clocks, guard
from osprofiler.config import trust
from osprofiler.config.limited_key import LimitedKey
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.context.trace_context import SAMPLED, TraceContext
from osprofiler.handlers import rpc
from osprofiler.propagation import Incoming, envelope, limits, osprofiler, precedence, signed
from osprofiler.records import ids
from osprofiler.testing.recorder import recording
from osprofiler.tracer import global_tracer
from tests.unit.core_kit import a_clean_process

OWN, OTHER = "the key of all services", "the second key of all services"
SUPPORT = LimitedKey("support", "the key of the support team")
NOW_S = 1_800_000_000


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with a_clean_process():
        limits._bucket.cache_clear()
        yield


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


class Clock:
    """Both clocks of the process, which a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = float(NOW_S)
        monkeypatch.setattr(clocks, "wall_ns", lambda: int(self.now_s * 1e9))
        monkeypatch.setattr(limits, "_tick_ns", lambda: int(self.now_s * 1e9))


def with_limits(**of_support: Any) -> LimitedKey:
    """Put the key of the support team in force, with limits."""
    key = dataclasses.replace(SUPPORT, **of_support)
    config.publish(enabled=True, hmac_keys=(OWN, OTHER), limited_keys=(key,), propagation=("osprofiler",))
    return key


def asking(
    key: str = SUPPORT.secret, asked: frozenset[str] = frozenset(), flags: int = SAMPLED, trace_id: int = 0
) -> dict[str, str]:
    """The signed text of a client that begins a trace with *key*."""
    context = TraceContext.from_ids(trace_id or ids.new_trace_id(), 0, flags=flags, hmac_key=key)
    return {signed.HEADER.lower(): signed.encode(context._replace(asked=asked))}


def pair(key: str = SUPPORT.secret) -> dict[str, str]:
    """The pair that a client with osprofiler 4 sends."""
    context = TraceContext.from_osprofiler(key)
    return {name.lower(): value for name, value in osprofiler.encode(context, key).items()}


def refused() -> dict[str, int]:
    return {name: number for name, number in guard.totals().items() if name.startswith("key.")}


def passed_on(incoming: Incoming) -> dict[str, str]:
    """The headers for the next service."""
    point = Point(None, None, incoming.origin)
    return {name.lower(): value for name, value in propagation.write(point.context()).items()}


# Who signs


@pytest.mark.parametrize("ask", [asking, pair])
def test_a_trace_that_is_let_in_goes_on_with_the_services_own_key(ask: Any) -> None:
    with_limits()
    incoming = propagation.read(ask())
    assert incoming is not None
    assert incoming.origin.sampled
    assert incoming.origin.hmac_key == OWN
    assert incoming.origin.foreign == {"osprofiler.key": "support"}
    config.publish(limited_keys=())  # a service behind knows nothing of the key
    behind = propagation.read(passed_on(incoming))
    assert behind is not None
    assert (behind.origin.base_id, behind.origin.sampled) == (incoming.origin.base_id, True)
    stock = {name: value for name, value in passed_on(incoming).items() if name != signed.HEADER.lower()}
    assert propagation.read(stock) is not None, "osprofiler 4 has its pair, signed with the service's key"


def test_a_trace_with_an_unlimited_key_keeps_it() -> None:
    with_limits()
    incoming = propagation.read(asking(OTHER))
    assert incoming is not None
    assert (incoming.origin.hmac_key, incoming.origin.foreign) == (OTHER, {})


def test_over_rpc_it_is_the_same() -> None:
    with_limits(may=frozenset(("sql",)))
    text = asking(asked=frozenset(("sql", "redis")))[signed.HEADER.lower()]
    incoming = envelope.extract({signed.ENVELOPE_KEY: text})
    assert incoming is not None
    assert (incoming.origin.hmac_key, incoming.origin.asked) == (OWN, {"sql"})
    message = envelope.inject({}, Point(None, None, incoming.origin).context())
    assert signed.decode(message[signed.ENVELOPE_KEY], [OWN]) is not None
    plain = {"trace_info": {"hmac_key": SUPPORT.secret, "base_id": ids.uuid_text(ids.new_trace_id())}}
    incoming = envelope.extract(plain)
    assert incoming is not None
    assert incoming.origin.hmac_key == OWN


def test_opentracing_extracts_by_the_same_limits(clock: Clock) -> None:
    with_limits(until_s=clock.now_s + 1)
    tracer = global_tracer.get_tracer()
    fields = asking()
    context = tracer.extract(opentracing.Format.HTTP_HEADERS, fields)
    assert context.origin.hmac_key == OWN
    clock.now_s += 1
    assert tracer.extract(opentracing.Format.HTTP_HEADERS, fields) is None
    assert refused() == {limits.ENDED: 1}


def test_service_code_sees_the_services_key() -> None:
    with_limits()
    seen = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        seen.append(profiler.get().hmac_key)  # type: ignore[union-attr]
        seen.append(web.get_trace_id_headers())
        start_response("200 OK", [])
        return []

    web.WsgiMiddleware(application, hmac_keys=OTHER, enabled=True)(environ(asking()), lambda *_: None)
    key, headers = seen
    assert key == OTHER, "the keys of the middleware are those of its service"
    assert signed.decode(headers[signed.HEADER], [OTHER]) is not None
    assert current.point.get() is None


def test_without_a_key_of_its_own_a_service_signs_nothing() -> None:
    with_limits()
    config.publish(hmac_keys=())
    incoming = propagation.read(asking())
    assert incoming is not None
    assert incoming.origin.sampled
    assert passed_on(incoming) == {}


def test_a_secret_that_is_also_in_hmac_keys_has_no_limits() -> None:
    with_limits(until_s=0)
    config.publish(hmac_keys=(OWN, SUPPORT.secret))
    assert propagation.read(asking()) is not None


# Time


def test_a_key_ends(clock: Clock) -> None:
    with_limits(until_s=clock.now_s + 60)
    clock.now_s += 59.9
    assert propagation.read(asking()) is not None
    clock.now_s += 0.1
    assert propagation.read(asking()) is None
    assert propagation.read(pair()) is None
    assert refused() == {limits.ENDED: 2}


@pytest.mark.parametrize("later_s", [-10.0, 0.0, 300.0, 310.0])
def test_a_header_counts_while_it_is_young(clock: Clock, later_s: float) -> None:
    with_limits(max_age_s=300.0)
    fields = asking()
    clock.now_s += later_s
    assert propagation.read(fields) is not None


@pytest.mark.parametrize("later_s", [-11.0, 311.0, 1e9])
def test_a_replayed_header_starts_nothing_after_its_age_nor_one_from_the_future(clock: Clock, later_s: float) -> None:
    with_limits(max_age_s=300.0)
    fields = asking()
    clock.now_s += later_s
    assert propagation.read(fields) is None
    assert refused() == {limits.AGE: 1}


def test_the_clocks_may_differ_as_much_as_the_key_says(clock: Clock) -> None:
    with_limits(max_age_s=0.0, clock_skew_s=2.0)
    fields = asking()
    for later_s, counts in ((2.0, True), (3.0, False), (-2.0, True), (-3.0, False)):
        clock.now_s = NOW_S + later_s
        assert (propagation.read(fields) is not None) is counts, later_s


def test_the_pair_has_no_time_so_a_key_with_an_age_refuses_it_alone() -> None:
    with_limits(max_age_s=300.0)
    assert propagation.read(pair()) is None
    assert refused() == {limits.NO_TIME: 1}
    assert propagation.read({**pair(), **asking()}) is not None, "our client sends both"
    plain = {"trace_info": {"hmac_key": SUPPORT.secret, "base_id": ids.uuid_text(ids.new_trace_id())}}
    assert envelope.extract(plain) is None


def test_a_refused_text_does_not_fall_back_to_the_pair(clock: Clock) -> None:
    with_limits(until_s=clock.now_s)
    assert propagation.read({**asking(), **pair()}) is None
    assert refused() == {limits.ENDED: 1}


# Rate


def test_at_most_so_many_traces_a_second_are_let_in(clock: Clock) -> None:
    with_limits(rate="ratelimiting:2")
    per_second = []
    for _ in range(4):
        per_second.append(sum(propagation.read(asking()) is not None for _ in range(50)))
        clock.now_s += 1
    assert per_second == [2, 2, 2, 2]
    assert refused() == {limits.RATE: 192}


def test_the_requests_of_one_trace_are_let_in_together_or_not_at_all(clock: Clock) -> None:
    """A command sends several requests in one trace. A part of them would be a fragment."""
    with_limits(rate="ratelimiting:1")
    first, second = ids.new_trace_id(), ids.new_trace_id()
    for _ in range(20):
        assert propagation.read(asking(trace_id=first)) is not None
        assert propagation.read(asking(trace_id=second)) is None
        clock.now_s += 1


def test_a_trace_without_an_end_counts_again(clock: Clock) -> None:
    """Else one id would let in everything."""
    with_limits(rate="ratelimiting:1")
    trace_id = ids.new_trace_id()
    let_in = [propagation.read(asking(trace_id=trace_id)) is not None for _ in range(1000)]
    assert sum(let_in) == limits.MAX_REQUESTS
    clock.now_s += limits.KEPT_S
    assert propagation.read(asking(trace_id=trace_id)) is not None
    assert propagation.read(asking()) is None


def test_the_memory_of_a_rate_is_bounded(clock: Clock) -> None:
    with_limits(rate="ratelimiting:1")
    for _ in range(2000):
        propagation.read(asking())
    assert len(limits._bucket("support", 1.0)._traces) <= 1024


def test_a_rate_holds_with_many_threads(clock: Clock) -> None:
    bucket = limits.Bucket(100.0)
    let_in: list[int] = []

    def ask() -> None:
        let_in.extend(trace_id for trace_id in (ids.new_trace_id() for _ in range(500)) if bucket.admits(trace_id))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(let_in) == 100


def test_a_rate_stays_when_the_policy_changes_elsewhere(clock: Clock) -> None:
    with_limits(rate="ratelimiting:1")
    assert propagation.read(asking()) is not None
    with_limits(rate="ratelimiting:1", may=frozenset(("sql",)))
    assert propagation.read(asking()) is None, "a reload does not fill the bucket"


def test_a_share_of_traces_is_the_same_in_every_service() -> None:
    with_limits(rate="probabilistic:0.25")
    traces = [ids.new_trace_id() for _ in range(4000)]
    first = [propagation.read(asking(trace_id=trace_id)) is not None for trace_id in traces]
    again = [propagation.read(asking(trace_id=trace_id)) is not None for trace_id in traces[:100]]
    assert again == first[:100]
    assert abs(sum(first) - 1000) < 6 * (4000 * 0.25 * 0.75) ** 0.5
    config.publish(hmac_keys=(OTHER,))
    elsewhere = [propagation.read(asking(trace_id=trace_id)) is not None for trace_id in traces]
    assert elsewhere != first, "who only has the limited key cannot tell which ids are in"


@pytest.mark.parametrize(
    ("rate", "let_in"), [("const:0", 0), ("const:1", 50), ("ratelimiting:0", 0), ("probabilistic:0", 0)]
)
def test_all_or_none(rate: str, let_in: int) -> None:
    with_limits(rate=rate)
    assert sum(propagation.read(asking()) is not None for _ in range(50)) == let_in


def test_the_sampler_decides_on_a_refused_request() -> None:
    """A refused request is like one that asked for nothing."""
    with_limits(rate="const:0")
    fields = asking()
    incoming = propagation.read(fields, sample=lambda _: (True, {"sampler.type": "const"}))
    assert incoming is not None
    assert incoming.begins
    assert incoming.origin.base_id != signed.decode(*fields.values(), [SUPPORT.secret]).context.base_id  # type: ignore
    no = propagation.read(fields, sample=lambda _: (False, {}))
    assert no is not None
    assert not no.origin.sampled
    assert propagation.read(fields) is None


def test_not_sampled_is_let_in_without_a_rate() -> None:
    with_limits(rate="const:0")
    incoming = propagation.read(asking(flags=0))
    assert incoming is not None
    assert not incoming.origin.sampled


# Whom it is for


def environ(fields: dict[str, str]) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "SERVER_NAME": "api",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in fields.items()},
    }


def served_for(project: str | None, user: str = "somebody") -> list[str]:
    """The points of a request with the key, of *project* as keystonemiddleware finds out behind us; None: of nobody."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        with profiler.Trace("before"):
            sent = web.get_trace_id_headers()
            assert signed.decode(sent[signed.HEADER], [OWN]).context.sampled is False  # type: ignore[union-attr]
        if project is not None:
            environ["keystone.token_info"] = {}
            environ.update(HTTP_X_PROJECT_ID=project, HTTP_X_PROJECT_NAME=f"name of {project}", HTTP_X_USER_ID=user)
        with profiler.Trace("work"):
            pass
        start_response("200 OK", [])
        return [b"done"]

    with recording(trace=False) as spans:
        web.WsgiMiddleware(application, hmac_keys=OWN, enabled=True)(environ(asking()), lambda *_: None)
        return spans.names()


@pytest.mark.parametrize("who", ["demo", "name of demo"])
def test_a_key_for_one_project_waits_for_keystonemiddleware(who: str) -> None:
    with_limits(projects=frozenset((who,)))
    assert served_for("demo") == ["before", "work", "wsgi"]
    assert served_for("admin") == []
    assert served_for(None) == []
    assert refused() == {limits.WHOM: 2}


def test_a_key_for_a_user_of_a_project() -> None:
    with_limits(projects=frozenset(("demo",)), users=frozenset(("alice",)))
    assert served_for("demo", "alice") == ["before", "work", "wsgi"]
    assert served_for("demo", "bob") == served_for("admin", "alice") == []


def test_over_rpc_the_context_of_the_message_says_who_sends_it() -> None:
    with_limits(projects=frozenset(("demo",)))
    for project, is_let_in in (("demo", True), ("admin", False), (None, False)):
        message = {signed.ENVELOPE_KEY: asking()[signed.HEADER.lower()], "project_id": project}
        incoming = rpc.extract(message)
        assert incoming is not None
        assert incoming.origin.sampled is is_let_in
    assert refused() == {limits.WHOM: 2}


def test_where_nobody_knows_who_sends_it_such_a_key_is_refused() -> None:
    with_limits(projects=frozenset(("demo",)))
    assert propagation.read(asking()) is None
    assert refused() == {limits.WHOM: 1}


# What it may ask


def test_a_key_gets_only_what_it_may_ask_for() -> None:
    with_limits(may=frozenset(("sql", "arguments")))
    incoming = propagation.read(asking(asked=frozenset(("sql", "redis"))))
    assert incoming is not None
    assert incoming.origin.asked == {"sql"}
    assert refused() == {limits.MAY: 1}
    fields = passed_on(incoming)
    behind = propagation.read(fields)
    assert behind is not None
    assert behind.origin.asked == {"sql"}, "signed by the service, for all services"


def test_an_unlimited_key_may_ask_for_all() -> None:
    with_limits()
    incoming = propagation.read(asking(OWN, frozenset(("sql", "a_layer_of_next_year"))))
    assert incoming is not None
    assert incoming.origin.asked == {"sql", "a_layer_of_next_year"}, "a service behind may know it"


def test_a_limited_key_cannot_make_a_collector_keep_a_trace() -> None:
    with_limits()
    incoming = propagation.read(asking(flags=3))
    assert incoming is not None
    assert incoming.origin.flags == SAMPLED


@pytest.mark.parametrize("asked", ["sql", [1], ["SQL"], ["x" * 40], ["a"] * 40, {"sql": 1}, [None], [""], ["a b"]])
def test_something_without_a_name_is_malformed(asked: Any) -> None:
    with_limits()
    body, _ = asking(OWN)[signed.HEADER.lower()].split(".")
    fields = {**json.loads(base64.urlsafe_b64decode(body)), "a": asked}
    body = base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()
    text = f"{body}.{signed._signature(body.encode(), OWN)}"
    assert propagation.read({signed.HEADER.lower(): text}) is None
    assert guard.totals()["malformed"] == 1


# Without a signature


def unsigned(trace_id: int = 0) -> dict[str, str]:
    return {"uber-trace-id": f"{trace_id or ids.new_trace_id():x}:1:0:1"}


def test_trusted_context_has_a_rate_and_goes_on_with_a_no_beyond_it(clock: Clock) -> None:
    config.publish(enabled=True, hmac_keys=(OWN,), trust_incoming=trust.ALL, trusted_rate="ratelimiting:2")
    incoming = [propagation.read(unsigned()) for _ in range(5)]
    assert [one.origin.sampled for one in incoming if one] == [True, True, False, False, False]
    behind = propagation.read(passed_on(incoming[4]), sample=lambda _: (True, {}))  # type: ignore[arg-type]
    assert behind is not None
    assert (behind.origin.base_id, behind.origin.sampled) == (incoming[4].origin.base_id, False)  # type: ignore
    assert guard.totals()[limits.TRUSTED_RATE] == 3
    config.publish(trusted_rate="")
    assert all(one.origin.sampled for one in (propagation.read(unsigned()) for _ in range(50)) if one)


def test_debug_ids_have_a_rate_and_beyond_it_the_sampler_decides(clock: Clock) -> None:
    config.publish(enabled=True, hmac_keys=(OWN,), trust_incoming=trust.ALL)
    let_in = [propagation.read({"jaeger-debug-id": "x"}) is not None for _ in range(50)]
    assert sum(let_in) == 10, "by default"
    assert guard.totals()[limits.DEBUG_RATE] == 40
    sampled = propagation.read({"jaeger-debug-id": "x"}, sample=lambda _: (True, {"sampler.type": "const"}))
    assert sampled is not None
    assert sampled.origin.foreign == {"sampler.type": "const"}
    config.publish(debug_rate="")
    assert all(propagation.read({"jaeger-debug-id": "x"}) is not None for _ in range(50))


# Forgery


def forged(chance: random.Random) -> dict[str, str]:
    """Fields of somebody who knows no key, or the secret of a key that has been removed, or only the limited key."""
    asked = frozenset(chance.sample(["sql", "arguments", "redis", "requests"], chance.randrange(5)))
    secret = chance.choice(["", "SECRET_KEY", "guess", "a key that was removed", OWN[:-1], OWN.upper(), SUPPORT.name])
    flags = chance.choice([1, 3, 255])
    kind = chance.randrange(6)
    if kind == 0:  # signed with another key
        return asking(secret, asked, flags)
    if kind == 1:
        return pair(secret or "none")
    text = asking(OWN, frozenset(), 0)[signed.HEADER.lower()]
    body, signature = text.split(".")
    fields = {**json.loads(base64.urlsafe_b64decode(body)), "f": flags, "a": sorted(asked)}
    if kind == 2:  # a "no" of a service, changed into a "yes", with its signature
        return {signed.HEADER.lower(): f"{base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()}.{signature}"}
    if kind == 3:  # the signature changed
        at = chance.randrange(64)
        digit = "0" if signature[at] != "0" else "1"
        return {signed.HEADER.lower(): f"{body}.{signature[:at]}{digit}{signature[at + 1 :]}"}
    if kind == 4:  # the pair with the signature of the text
        return {**pair("guess"), "x-trace-hmac": signature}
    return {"uber-trace-id": "1:1:0:3", "traceparent": f"00-{1:032x}-{1:016x}-01", "b3": "d", "jaeger-debug-id": "x"}


def test_10_000_forged_requests_turn_nothing_on() -> None:
    with_limits(may=frozenset(("sql",)))
    config.publish(on_request=("sql", "arguments", "redis", "requests"))
    chance = random.Random(15)
    for _ in range(10_000):
        fields = forged(chance)
        assert propagation.read(fields) is None, fields


def test_10_000_requests_with_the_limited_key_get_no_more_than_it_may() -> None:
    key = with_limits(may=frozenset(("sql",)))
    chance = random.Random(15)
    for _ in range(10_000):
        asked = frozenset(chance.sample(["sql", "arguments", "redis", "requests"], chance.randrange(5)))
        flags = chance.choice([0, 1, 2, 3, 255])
        decision = precedence.decide(asking(asked=asked, flags=flags), [OWN], limited={key.secret: key})
        assert decision.context is not None
        assert decision.context.flags == flags & SAMPLED
        assert decision.context.asked <= {"sql"}
        assert decision.context.hmac_key == OWN


def test_no_text_shows_the_secret() -> None:
    with_limits()
    incoming = propagation.read(asking())
    assert incoming is not None
    everything = [repr(SUPPORT), repr(config.current()), str(passed_on(incoming)), str(incoming.origin.foreign)]
    assert not any(SUPPORT.secret in text or OWN in text for text in everything)
