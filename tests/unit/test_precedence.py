# SPDX-License-Identifier: Apache-2.0
"""One decision for whatever is received: the documented table, and that every way in decides alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import opentracing
import pytest
from jaeger_client.sampler import ConstSampler

from osprofiler import config, profiler, propagation, web
from osprofiler.concurrency import carrier as branches
from osprofiler.config import switches, trust
from osprofiler.context import current, scope
from osprofiler.context.points import Point
from osprofiler.context.trace_context import TraceContext
from osprofiler.context.undecided import Later, Verdict
from osprofiler.propagation import envelope, osprofiler, precedence, signed
from osprofiler.tracer import global_tracer
from tests.unit import decision_table
from tests.unit.decision_table import FOREIGN, KEY, SAMPLERS, SIGNED, SPAN, Row, rows, words
from tests.unit.span_kit import Recorder, spans  # noqa: F401

PAGE = Path(__file__).resolve().parents[2] / "doc" / "source" / "propagation.rst"

every_row = pytest.mark.parametrize("row", list(rows()), ids=lambda row: "-".join(map(str, row)).replace(" ", "_"))
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS)


def test_the_documentation_shows_the_tables() -> None:
    for table in (decision_table.table(), decision_table.trust_table()):
        assert table in PAGE.read_text(), "put in the output of: python -m tests.unit.decision_table"


@every_row
@every_sampler
def test_whoever_decides_first_decides_for_all(row: Row, sampler: str) -> None:
    """What is decided here is what the next service, which trusts nobody and samples all, finds decided."""
    decision = row.decide(sampler)
    if decision.context is None:
        assert sampler == "none"
        return
    config.publish(propagation=("osprofiler",))
    fields = {name.lower(): value for name, value in propagation.write(decision.context).items()}
    behind = precedence.decide(fields, [KEY], sample=SAMPLERS["yes"])
    assert behind.context is not None
    assert not behind.begins
    assert (behind.context.trace_id, behind.context.flags) == (decision.context.trace_id, decision.context.flags)
    assert ("x-trace-info" in fields) is decision.context.sampled, "the pair cannot say no"


@every_row
@every_sampler
def test_each_way_in_decides_alike(
    spans: Recorder,  # noqa: F811
    row: Row,
    sampler: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = words(row.decide(sampler))
    trusted = decision_table.trust_of(row.trust)
    config.publish(trust_incoming=trusted, hmac_keys=(KEY,), sampler="" if sampler == "none" else "const:1")
    tracer = global_tracer.get_tracer()
    monkeypatch.setattr(tracer, "sampler", ConstSampler(sampler == "yes"))
    assert _by_http(row) == expected
    assert _by_rpc(row, sampler) == expected
    if sampler == "none":  # a branch belongs to somebody's trace; the sampler has no say
        assert _by_branch(row) == expected
    if sampler == "yes":  # where nobody has decided, the tracer asks the sampler when a span starts
        assert _by_opentracing(row, tracer) == expected


@pytest.fixture(autouse=True)
def _as_imported() -> Iterator[None]:
    switches.reset()
    yield
    switches.reset()


def _words(trace_id: int, tags: Any, recorded: bool) -> str:
    context = TraceContext.from_ids(trace_id, SPAN, flags=1 if recorded else 0)
    return words(precedence.Decision(context, tags=tags))


def _by_http(row: Row) -> str:
    seen: list[Point | None] = []

    def application(*_: Any) -> list[bytes]:
        seen.append(current.point.get())
        return [b""]

    environ = {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in row.fields.items()}
    environ |= {
        "REQUEST_METHOD": "GET",
        "wsgi.url_scheme": "http",
        "SERVER_NAME": "s",
        "SERVER_PORT": "80",
        "PATH_INFO": "/",
    }
    web.WsgiMiddleware(application, hmac_keys=KEY, enabled=True)(environ, lambda *_: None)  # type: ignore[arg-type]
    (point,) = seen
    if point is None:
        return "untraced"
    tags = point.span.own_tags if point.span is not None else {}
    return _words(point.origin.trace_id, tags or point.origin.foreign, point.span is not None)


def _by_rpc(row: Row, sampler: str) -> str:
    fields = dict(row.fields)
    if "x-trace-context" in fields:
        fields["osprofiler_context"] = fields.pop("x-trace-context")
    incoming = envelope.extract(fields, sample=SAMPLERS[sampler])
    if incoming is None:
        return "untraced"
    return _words(incoming.origin.trace_id, incoming.origin.foreign, incoming.origin.sampled)


def _by_branch(row: Row) -> str:
    branch = branches.read(row.fields)
    if branch is None or branch.at is None:
        return "untraced"
    return _words(branch.at.origin.trace_id, branch.at.origin.foreign, branch.at.origin.sampled)


def _by_opentracing(row: Row, tracer: Any) -> str:
    extracted = tracer.extract(opentracing.Format.HTTP_HEADERS, row.fields)
    with tracer.start_span("x", child_of=extracted) as span:
        return _words(span.trace_id, span.own_tags or span.origin.foreign, bool(span.flags & 1))


def test_a_plain_peer_s_trace_info_counts_where_nothing_signed_came() -> None:
    context = TraceContext.from_ids(SIGNED, SPAN, hmac_key=KEY)
    plain = osprofiler.encode_plain(context, KEY)
    foreign = {"uber-trace-id": f"{FOREIGN:032x}:{SPAN:016x}:0:1"}
    assert words(precedence.decide(foreign, [KEY], trust=trust.ALL, plain=plain)) == "signed, recorded, tags"
    assert words(precedence.decide(foreign, ["other"], plain=plain)) == "untraced"
    assert precedence.decide({}, [KEY], plain={**plain, "more": 1}).malformed == 1


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"b3": "0"}, "new, not recorded"),
        ({"x-b3-sampled": "0"}, "new, not recorded"),
        ({"b3": "1"}, "new, recorded"),
        ({"jaeger-debug-id": "me"}, "new, recorded"),
    ],
)
@every_sampler
def test_a_decision_without_a_trace(fields: dict[str, str], expected: str, sampler: str) -> None:
    decision = precedence.decide(fields, [KEY], trust=trust.ALL, sample=SAMPLERS[sampler])
    assert words(decision) == expected
    assert decision.begins
    assert decision.context is not None
    assert decision.context.hmac_key == KEY
    untrusted = precedence.decide(fields, [KEY], sample=SAMPLERS[sampler])
    assert words(untrusted) == {"none": "untraced", "yes": "new, recorded", "no": "new, not recorded"}[sampler]


@pytest.mark.parametrize(
    "fields",
    [
        {"b3": f"{FOREIGN:032x}-{SPAN:016x}"},
        {"x-b3-traceid": f"{FOREIGN:032x}", "x-b3-spanid": f"{SPAN:016x}"},  # a "no" of jaeger-client
    ],
)
def test_ids_of_b3_without_a_decision_leave_it_to_the_sampler(fields: dict[str, str]) -> None:
    decided = {
        name: words(precedence.decide(fields, [KEY], trust=trust.ALL, sample=sample))
        for name, sample in SAMPLERS.items()
    }
    assert decided == {"none": "untraced", "yes": "foreign, recorded", "no": "foreign, not recorded"}


def test_the_decision_is_pure() -> None:
    """The same fields lead to the same context, and settings have no say in it."""
    row = Row("both", "sampled", "all")
    first = row.decide("none")
    config.publish(trust_incoming=trust.SIGNED, hmac_keys=(), propagation=())
    assert row.decide("none") == first


def test_nothing_of_the_trace_context_shows_its_key() -> None:
    context = TraceContext.from_ids(SIGNED, SPAN, hmac_key="the secret")
    assert "the secret" not in f"{context} {context!r} {precedence.Decision(context)!r}"


def test_the_service_s_own_code_sees_nothing_of_a_no(spans: Recorder) -> None:  # noqa: F811
    """``profiler.get()`` is None, and a trace that the service itself begins in such a request is recorded."""
    incoming = propagation.read({}, [KEY], sample=SAMPLERS["no"])
    assert incoming is not None
    with scope.entered(Point(None, None, incoming.origin)):
        assert profiler.get() is None
        with profiler.Trace("nothing"):
            pass
        assert spans.started == []
        profiler.init(KEY)
        with profiler.Trace("asked for"):
            pass
    assert spans.names() == ["asked for"]


# Rules for keys


ASKED = {"x-trace-context": propagation.write(TraceContext.from_osprofiler(KEY, "a1" * 16))["X-Trace-Context"]}


@pytest.mark.parametrize("yes", [True, False])
def test_a_rule_for_a_key_decides_where_its_trace_begins(yes: bool) -> None:
    asked: list[tuple[int, Any]] = []

    def sample(trace_id: int, keys: Any) -> Verdict:
        asked.append((trace_id, keys))
        return yes, {"sampling.rule": "support"}

    decision = precedence.decide(ASKED, [KEY], sample_asked=sample)
    context = decision.context
    assert context is not None
    assert asked == [(context.trace_id, (signed.key_id(KEY),))]
    assert (context.base_id, context.hmac_key, context.sampled) == ("a1" * 16, KEY, yes)
    assert decision.tags == ({"sampling.rule": "support"} if yes else {})
    # A "no" has a span that nobody records: so formats without a virtual root pass it on too.
    assert bool(context.span_id) != yes
    behind = {name.lower(): value for name, value in propagation.write(context).items()}
    read = precedence.decide(behind, [KEY], sample_asked=lambda *_: (True, {}))
    assert read.context is not None
    assert read.context.sampled == yes


def test_a_rule_for_a_key_has_no_say_behind_the_first_service() -> None:
    context = TraceContext.from_osprofiler(KEY, "a1" * 16, "b2" * 16)
    for flags, fields in ((1, context), (0, TraceContext.from_osprofiler(KEY, "a1" * 16, flags=0))):
        headers = {name.lower(): value for name, value in propagation.write(fields).items()}
        decision = precedence.decide(headers, [KEY], sample_asked=lambda *_: pytest.fail("it was asked"))
        assert decision.context is not None
        assert decision.context.flags == flags


def test_a_rule_for_a_key_may_wait_for_who_asks() -> None:
    later = Later(lambda: None, lambda identity: (bool(identity.user), {}))
    decision = precedence.decide(ASKED, [KEY], sample_asked=lambda *_: later)
    assert (decision.later, decision.begins) == (later, False)
    assert decision.context is not None
    assert decision.context.sampled
