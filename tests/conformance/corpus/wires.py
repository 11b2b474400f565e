# SPDX-License-Identifier: Apache-2.0
"""What is written into headers, envelopes and carriers, and what those that were received lead to."""

from __future__ import annotations

import base64
import contextvars
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import opentracing
from edges import Clock
from services import BASE, PARENT, answer, signed_headers
from sinks import KEY, Sink, configure

from osprofiler import messaging, opentracing_compat, profiler, web

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"

#: Headers as others send them.
FOREIGN = {
    "uber-trace-id": {"uber-trace-id": f"{TRACE}:{SPAN}:0:1"},
    "uber-trace-id, not sampled": {"uber-trace-id": f"{TRACE}:{SPAN}:0:0"},
    "uber-trace-id, debug": {"uber-trace-id": f"{TRACE}:{SPAN}:0:3", "uberctx-user": "%C3%BC%20"},
    "uber-trace-id, 64 bits, percent-encoded": {"uber-trace-id": "8448eb211c80319c%3Ab7ad6b7169203331%3A1%3A1"},
    "uber-trace-id, root whose span id is the low half": {"uber-trace-id": f"{TRACE}:{TRACE[16:]}:0:1"},
    "uber-trace-id, malformed": {"uber-trace-id": "0x1:1_0:0:1"},
    "traceparent": {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=1,b=2", "baggage": "user=u;p=1,x=%20"},
    "traceparent, not sampled": {"traceparent": f"00-{TRACE}-{SPAN}-00"},
    "traceparent, random and of a later version": {"traceparent": f"cc-{TRACE}-{SPAN}-03-more"},
    "traceparent, malformed": {"traceparent": f"00-{'0' * 32}-{SPAN}-01"},
    "b3 single": {"b3": f"{TRACE}-{SPAN}-1-{SPAN}"},
    "b3 single, debug": {"b3": f"{TRACE}-{SPAN}-d"},
    "b3 says no": {"b3": "0"},
    "b3 multi": {"X-B3-TraceId": TRACE, "X-B3-SpanId": SPAN, "X-B3-Sampled": "1", "X-B3-Flags": "0"},
    "all, of different traces": {
        "uber-trace-id": f"{TRACE}:{SPAN}:0:1",
        "traceparent": f"00-{TRACE[::-1]}-{SPAN}-01",
        "b3": f"{TRACE[16:]}-{SPAN}-0",
    },
}

FORMATS = ([], ["osprofiler"], ["jaeger"], ["w3c"], ["b3"], ["osprofiler", "jaeger", "w3c", "b3"])

#: A message's context as a service makes it.
MESSAGE = {"user_id": "u", "roles": ["member"], "trace_info": {"hmac_key": "k", "base_id": "b", "parent_id": "p"}}


def cases(store: Sink, clock: Clock) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Every case by its name."""
    for (state, work), formats in itertools.product(STATES.items(), FORMATS):
        yield f"out, {state}, formats {','.join(formats) or 'none'}", _configured(work, propagation=formats)
    for state, work in STATES.items():
        yield f"out, {state}, rpc_plain_peers", _configured(work, rpc_plain_peers=True)
    received = {"nothing": {}, **FOREIGN, **_ours(clock)}
    for (name, headers), trust, sampler in itertools.product(
        received.items(), (False, True), ("", "const:1", "const:0")
    ):
        options = {"trust_incoming": trust, "sampler": sampler}
        text = f"trust {trust}, sampler {sampler or 'none'}"
        yield f"request with {name}, {text}", _request(store, headers, options)
        yield f"message with {name}, {text}", _message(headers, options)
    for name, headers in received.items():
        yield f"carrier of a branch with {name}", _branch(headers)
        yield f"extracted {name}", _extracted(headers, trust=True)
        yield f"extracted {name}, not trusted", _extracted(headers, trust=False)
    for format_ in (opentracing.Format.TEXT_MAP, opentracing.Format.HTTP_HEADERS, opentracing.Format.BINARY):
        yield f"injected into {format_}", _configured(lambda format_=format_: _injected(format_), trust_incoming=True)


def _configured(work: Callable[[], Any], **options: Any) -> Callable[[], Any]:
    def case() -> Any:
        configure("jaeger://127.0.0.1:1", **options)
        seen = work()
        profiler.clean()
        return seen

    return case


def here() -> dict[str, Any]:
    """What the current trace looks like to the service, and what it hands on."""
    current = profiler.get()
    seen: dict[str, Any] = {"profiler": None}
    if current is not None:
        ids = (current.get_base_id(), current.get_parent_id(), current.get_id())
        seen["profiler"] = [*ids, current.get_shorten_id(current.get_id()), current.hmac_key]
    seen["headers"] = dict(web.get_trace_id_headers())
    seen["envelope"] = dict(messaging.inject(MESSAGE))
    return seen


def _everything() -> dict[str, Any]:
    """The same, with the envelope of a cast, and carriers."""
    seen = here()
    seen["envelope of a cast"] = dict(messaging.inject({"user_id": "u"}, follows=True))
    for name, detached in (("carrier", False), ("carrier of a detached branch", True)):
        seen[name] = dict(profiler.fork("fork", detached=detached).to_carrier("bränch"))
    return seen


def _in_request(headers: dict[str, str]) -> Any:
    """What a request with *headers* hands on: from the middleware's point, and from one below."""
    seen: list[Any] = []

    def work() -> None:
        seen.append(_everything())
        with profiler.Trace("below"):
            seen.append(here())

    answer(headers, work)
    return seen


def _open_point(base_id: str | None, parent_id: str | None) -> Any:
    profiler.init(KEY, base_id=base_id, parent_id=parent_id)
    virtual = _everything()
    with profiler.Trace("point"):
        return [virtual, _everything()]


def _with_baggage() -> Any:
    profiler.init(KEY, base_id=BASE)
    with opentracing_compat.get_tracer().start_active_span("outer") as scope:
        scope.span.set_baggage_item("user", "ü &=;,")
        return _everything()


def _unsampled() -> dict[str, str]:
    """Signed headers that say no."""
    configure("jaeger://127.0.0.1:1", sampler="const:0")
    seen: list[dict[str, str]] = []
    answer({}, lambda: seen.append(dict(web.get_trace_id_headers())))
    return seen[0]


#: States of a flow of control, each of which hands something on.
STATES: dict[str, Callable[[], Any]] = {
    "untraced": _everything,
    "a trace of our own": lambda: _open_point(None, None),
    "a UUID with a parent": lambda: _open_point(BASE, PARENT),
    "a UUID without a parent": lambda: _open_point(BASE, None),
    "no UUID": lambda: _open_point("some text", "some other"),
    "baggage": _with_baggage,
    "a signed request": lambda: _in_request(signed_headers()),
}


def _ours(clock: Clock) -> dict[str, dict[str, str]]:
    """Headers as osprofiler sends them, whole and in parts, and with a mistake."""

    def made(make: Callable[[], dict[str, str]]) -> dict[str, str]:
        clock.begin()  # whatever was recorded before
        return contextvars.Context().run(make)

    def signed() -> dict[str, str]:
        configure("jaeger://127.0.0.1:1")
        return signed_headers()

    whole = made(signed)
    pair = {name: whole[name] for name in (web.X_TRACE_INFO, web.X_TRACE_HMAC)}
    newer = {name: value for name, value in whole.items() if name == "X-Trace-Context"}
    return {
        "all that osprofiler sends": whole,
        "osprofiler 4's pair": pair,
        "the pair with another signature": {**pair, web.X_TRACE_HMAC: "0" * 40},
        "only the newer header": newer,
        "the newer header, changed": {name: f"{value[:-1]}0" for name, value in newer.items()},
        "a signed no": made(_unsampled),
        "signed and foreign": {**pair, **FOREIGN["traceparent"], **FOREIGN["uber-trace-id, debug"]},
    }


def _request(store: Sink, headers: dict[str, str], options: dict[str, Any]) -> Callable[[], Any]:
    def case() -> Any:
        store.begin(**options)
        seen: list[Any] = []
        answer(headers, lambda: seen.append(here()))
        return {"inside": seen, "records": store.end()}

    return case


def _message(headers: dict[str, str], options: dict[str, Any]) -> Callable[[], Any]:
    """A message whose context has *headers*' fields, in the names of an envelope."""

    def case() -> Any:
        configure("jaeger://127.0.0.1:1", **options)
        names = {"X-Trace-Context": "osprofiler_context"}
        context = {"user_id": "u", **{names.get(name, name): value for name, value in headers.items()}}
        left = messaging.TracingSerializer().deserialize_context(context)
        seen = {"left": dict(left), "inside": here()}
        profiler.clean()
        return seen

    return case


def _branch(headers: dict[str, str]) -> Callable[[], Any]:
    def work() -> Any:
        with profiler.branch(headers, "branch"):
            return here()

    return _configured(work, trust_incoming=True)


def _extracted(headers: dict[str, str], *, trust: bool) -> Callable[[], Any]:
    def work() -> Any:
        tracer = opentracing_compat.get_tracer()
        context = tracer.extract(opentracing.Format.HTTP_HEADERS, headers)
        if context is None:
            return None
        carrier: dict[str, str] = {}
        tracer.inject(tracer.start_span("below", child_of=context).context, opentracing.Format.TEXT_MAP, carrier)
        return [f"{context.trace_id:x}", f"{context.span_id:x}", context.flags, dict(context.baggage), carrier]

    return _configured(work, trust_incoming=trust)


def _injected(format_: str) -> Any:
    tracer = opentracing_compat.get_tracer()
    binary = format_ == opentracing.Format.BINARY
    carrier: Any = bytearray() if binary else {}
    profiler.init(KEY, base_id=BASE)
    with tracer.start_active_span("outer") as scope:
        scope.span.set_baggage_item("user", "ü &=;,")
        tracer.inject(scope.span.context, format_, carrier)
    if not binary:
        return carrier
    context = tracer.extract(format_, carrier)
    return [base64.b64encode(carrier).decode(), f"{context.trace_id:x}", f"{context.span_id:x}", context.flags]
