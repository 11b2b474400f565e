# SPDX-License-Identifier: Apache-2.0
"""Write a trace's context into the fields of a carrier, and read the fields of a received one.

Each format has a module of its own, strict and pure. ``precedence`` decides which fields of a carrier count. This
module applies the current settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler.config import trust
from osprofiler.context.origin import Origin
from osprofiler.context.trace_context import TraceContext
from osprofiler.context.undecided import Undecided
from osprofiler.propagation import b3, formats, jaeger, osprofiler, precedence, signed, w3c
from osprofiler.propagation.formats import Remote
from osprofiler.propagation.limits import Who
from osprofiler.propagation.precedence import Sample, SampleAsked

#: The header of an HTTP response with the id of the trace as Jaeger shows it: 32 hexadecimal digits.
TRACE_ID = "X-Trace-Id"


class Incoming(NamedTuple):
    """The trace of a received request or message. If it is not sampled, nothing is recorded."""

    origin: Origin
    follows: bool = False  # reference the parent as FollowsFrom: the sender does not wait
    begins: bool = False  # the trace begins here: no other process knows it
    below_outer: bool = False  # its parent is the *outer* span


def write(context: TraceContext | None, *, follows: bool = False) -> dict[str, str]:
    """The fields of *context* in the configured formats; {} for None.

    The signed fields come first. A virtual root has no span, so the formats that need one are left out. *follows*: the
    caller will not wait, so the receiver's span references FollowsFrom.
    """
    if context is None:
        return {}
    return {**write_signed(context, follows=follows), **write_unsigned(context)}


def response_headers(origin: Origin, span_id: int, flags: int) -> list[tuple[str, str]]:
    """The headers of an HTTP response that name the trace of *origin* and a span in it; [] if they are not wanted."""
    if not config.current().response_headers:
        return []
    text = w3c.encode(origin.trace_id, span_id, flags, origin.w3c_flags)
    return [(TRACE_ID, f"{origin.trace_id:032x}"), (w3c.TRACERESPONSE, text)]


def write_signed(context: TraceContext, *, follows: bool = False) -> dict[str, str]:
    """Only the signed fields of :func:`write`: osprofiler 4's pair, if the trace is sampled, and our signed text."""
    text = signed_text(context, follows=follows)
    if text is None:
        return {}
    fields = osprofiler.encode(context, signing_key(context) or "") if context.sampled else {}
    fields[signed.HEADER] = text
    return fields


def signed_text(context: TraceContext, *, follows: bool = False) -> str | None:
    """Our signed text for *context*; None without a key, or if the format is not configured.

    "Not sampled" is signed too. Otherwise the sampler of the next service would decide again, and trace only a part of
    the request.
    """
    key = signing_key(context)
    if key is None or "osprofiler" not in config.current().propagation:
        return None
    return signed.encode(context._replace(hmac_key=key), follows=follows)


def signing_key(context: TraceContext) -> str | None:
    """The key of the trace, or else the first configured key."""
    return context.hmac_key or config.current().first_key


def write_unsigned(context: TraceContext, *, url_encoding: bool = True) -> dict[str, str]:
    """The fields of the unsigned formats; {} for a virtual root, which these formats cannot express.

    *url_encoding*: percent-encode Jaeger's baggage, as headers need it.
    """
    if not context.span_id:
        return {}
    wanted = config.current().propagation
    trace_id, span_id, parent_id, flags = context.trace_id, context.span_id, context.parent_span_id, context.flags
    fields: dict[str, str] = {}
    if "jaeger" in wanted:
        fields[jaeger.TRACE_ID] = jaeger.encode(trace_id, span_id, parent_id, flags)
        fields.update(jaeger.encode_baggage(context.baggage, url_encoding=url_encoding))
    if "w3c" in wanted:
        fields[w3c.TRACEPARENT] = w3c.encode(trace_id, span_id, flags, context.w3c_flags)
        if context.tracestate:
            fields[w3c.TRACESTATE] = context.tracestate
        if context.baggage and (baggage := w3c.encode_baggage(context.baggage)):
            fields[w3c.BAGGAGE] = baggage
    if "b3" in wanted:
        fields.update(b3.encode(trace_id, span_id, parent_id, flags))
    for registered in formats.registered(wanted).values():
        fields.update(registered.encode(context))
    return fields


def count(decision: precedence.Decision) -> None:
    """Count the fields of *decision* that were malformed, and what keys and rates have refused."""
    if decision.malformed:
        guard.count("malformed", decision.malformed)
    for reason in decision.refused:
        guard.count(reason)


def read(
    fields: Mapping[str, str],
    keys: Sequence[str] | None = None,
    *,
    peer: str | None = None,
    plain: Any = None,
    sample: Sample | None = None,
    sample_asked: SampleAsked | None = None,
    who: Who | None = None,
    outer: Remote | None = None,
) -> Incoming | None:
    """The trace that *fields* (names in lower case) belong to; None if neither a sender nor the sampler has decided.

    *keys*: the keys that may ask for a trace; if None, ``[profiler] hmac_keys``. *peer*, *plain*, *sample*,
    *sample_asked*, *who*: see :func:`precedence.decide`. *outer*: the span that another tracer of this process has made
    for the same request. A recorded trace that begins here, or is the same, goes on below it. Never raises for the
    content of *fields*.
    """
    settings = config.current()
    decision = precedence.decide(
        fields,
        settings.hmac_keys if keys is None else keys,
        trust=settings.trust_incoming or trust.SIGNED,
        peer=peer,
        plain=plain,
        sample=sample,
        sample_asked=sample_asked,
        who=who,
        registered=formats.registered(settings.propagation),
        limited=settings.keys_by_secret,
        trusted_rate=settings.trusted_rate,
        debug_rate=settings.debug_rate,
    )
    count(decision)
    context = decision.context
    if context is None:
        return None
    if outer is not None and context.sampled and (decision.begins or context.trace_id == outer.trace_id):
        return Incoming(_origin(below(context, outer), decision), below_outer=True)
    return Incoming(_origin(context, decision), decision.follows, decision.begins)


def _origin(context: TraceContext, decision: precedence.Decision) -> Origin:
    if decision.later is not None:
        return Undecided.until(context, decision.tags, decision.later)
    return Origin(context, decision.tags)


def asked(fields: Mapping[str, str]) -> TraceContext | None:
    """The recorded trace that *fields* ask to continue, with any key, or None. Limits of the key are not checked."""
    settings = config.current()
    context = precedence.signed_context(fields, (*settings.hmac_keys, *settings.keys_by_secret))
    return context if context is not None and context.sampled else None


def below(context: TraceContext, span: Remote) -> TraceContext:
    """*context*, in the trace of *span* and below it, which another tracer of this process has made."""
    here = TraceContext.from_ids(span.trace_id, span.span_id)
    base_id = context.base_id if context.trace_id == span.trace_id else here.base_id
    return context._replace(
        base_id=base_id, trace_id=span.trace_id, point_id=here.point_id, span_id=span.span_id, parent_span_id=0
    )
