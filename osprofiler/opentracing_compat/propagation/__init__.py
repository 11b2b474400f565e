# SPDX-License-Identifier: Apache-2.0
"""How a trace's context travels between processes, and what a received one leads to.

Formats are modules of their own, strict and pure. Here it is decided which of them are written, which of those that
came counts, and that a bad field is as an absent one: counted under ``malformed``, never an error.

What counts, first to last: our signed text; stock's signed pair; a foreign context (Jaeger, W3C, B3), only where
``[profiler] trust_incoming`` is on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from osprofiler import _guard, _settings
from osprofiler.opentracing_compat.propagation import b3, jaeger, osprofiler, signed, w3c
from osprofiler.opentracing_compat.propagation.formats import Malformed, Remote
from osprofiler.opentracing_compat.scope import DEBUG, SAMPLED, Origin, Point

T = TypeVar("T")

_TRACESTATE_TAG = "w3c.tracestate"
_MAX_TAG_CHARS = 256


class Incoming(NamedTuple):
    """A trace that a received carrier asks us to continue."""

    origin: Origin
    follows: bool = False  # reference the parent as FollowsFrom: it does not wait


class _Foreign(NamedTuple):
    name: str  # of the field
    text: str  # as a tag shows it
    remote: Remote


def write(point: Point | None, *, follows: bool = False) -> dict[str, str]:
    """The fields that carry the trace on to what is called under *point*, in the formats that are configured.

    The signed ones come first, and only for a sampled trace with a key. Formats that have no word for a trace
    without a span are left out for a virtual root. Nothing for None and under the reporter. *follows*: the caller
    will not wait, so the receiver's span references FollowsFrom.
    """
    if point is None or not point.origin.trace_id:
        return {}
    origin, span = point.origin, point.span
    fields = write_signed(point, follows=follows)
    if span is not None:
        context = span.context
        fields.update(
            write_ids(origin.trace_id, span.span_id, span.parent_span_id, span.flags, context.baggage, origin.foreign)
        )
    elif origin.parent_span_id:
        fields.update(
            write_ids(origin.trace_id, origin.parent_span_id, 0, origin.flags, origin.baggage, origin.foreign)
        )
    return fields


def write_signed(point: Point, *, follows: bool = False) -> dict[str, str]:
    """Only the signed fields of :func:`write`: stock's pair first, then ours."""
    flags = point.span.flags if point.span is not None else point.origin.flags
    key = point.origin.hmac_key
    if not (key and flags & SAMPLED and "osprofiler" in _settings.current().propagation):
        return {}
    return {
        **osprofiler.encode(point.origin.base_id, point.id(), key),
        signed.HEADER: signed.encode(point, follows=follows),
    }


def write_ids(
    trace_id: int,
    span_id: int,
    parent_id: int,
    flags: int,
    baggage: Mapping[str, str],
    foreign: Mapping[str, str] | None = None,
    *,
    url_encoding: bool = True,
) -> dict[str, str]:
    """The fields of the unsigned formats that are configured."""
    formats = _settings.current().propagation
    fields: dict[str, str] = {}
    if "jaeger" in formats:
        fields[jaeger.TRACE_ID] = jaeger.encode(trace_id, span_id, parent_id, flags)
        fields.update(jaeger.encode_baggage(baggage, url_encoding=url_encoding))
    if "w3c" in formats:
        fields[w3c.TRACEPARENT] = w3c.encode(trace_id, span_id, flags)
        if foreign and _TRACESTATE_TAG in foreign:
            fields[w3c.TRACESTATE] = foreign[_TRACESTATE_TAG]
    if "b3" in formats:
        fields.update(b3.encode(trace_id, span_id, parent_id, flags))
    return fields


def read(carrier: Mapping[str, str], keys: Sequence[str] | None = None) -> Incoming | None:
    """What *carrier* asks to be continued; None where it carries nothing that counts. Never raises for its content.

    *keys* are those that may ask for a trace; ``[profiler] hmac_keys`` if None. The result may be unsampled: then
    nothing is recorded, and the context is carried on.
    """
    settings = _settings.current()
    if keys is None:
        keys = settings.hmac_keys
    found = read_signed(carrier, keys)
    if found is not None:
        found.origin.foreign = foreign_tags(carrier, found.origin)
    elif settings.trust_incoming:
        found = read_foreign(carrier)
        if found is not None and keys:
            # This service vouches for it: those behind, which need not trust anybody, continue it too.
            found.origin.hmac_key = keys[0]
    if found is not None:
        found.origin.baggage = jaeger.decode_baggage(carrier)
    return found


def read_signed(carrier: Mapping[str, str], keys: Sequence[str]) -> Incoming | None:
    """Only what is signed with one of *keys*."""
    if not keys:
        return None
    text = carrier.get(signed.HEADER.lower())
    if text:
        ours = _attempt(signed.decode, text, keys)
        if ours is not None:
            return Incoming(ours.origin, ours.follows)
    info, signature = carrier.get(osprofiler.TRACE_INFO.lower()), carrier.get(osprofiler.TRACE_HMAC.lower())
    origin = _attempt(osprofiler.decode, info, signature, keys) if info and signature else None
    return None if origin is None else Incoming(origin)


def read_foreign(carrier: Mapping[str, str]) -> Incoming | None:
    """What is not signed, as if it were trusted; the first format that is there and well-formed."""
    found = _foreign(carrier)
    if found:
        remote = found[0].remote
        origin = Origin.from_ids(remote.trace_id, remote.span_id, flags=remote.flags)
        origin.foreign = _tracestate(carrier, found, remote.trace_id)
        return Incoming(origin)
    debug_id = carrier.get(jaeger.DEBUG_ID)
    if debug_id:
        origin = Origin.from_osprofiler(None, flags=SAMPLED | DEBUG)
        origin.foreign = {jaeger.DEBUG_ID: debug_id[:_MAX_TAG_CHARS]}
        return Incoming(origin)
    return None


def foreign_tags(carrier: Mapping[str, str], origin: Origin | None = None) -> dict[str, str]:
    """The ids of foreign contexts as tags, for a request that is traced for another reason.

    A reference into another trace would move the span there. What says the same as *origin* is left out, and the
    ``tracestate`` of its trace is handed on: ours that wrote both may have it from a vendor that is called further on.
    """
    known = (origin.trace_id, origin.parent_span_id) if origin is not None else None
    found = _foreign(carrier)
    tags = {f"foreign.{one.name}": one.text for one in found if (one.remote.trace_id, one.remote.span_id) != known}
    state = _tracestate(carrier, found, origin.trace_id) if origin is not None else None
    return {**tags, **(state or {})}


def _foreign(carrier: Mapping[str, str]) -> list[_Foreign]:
    """The well-formed foreign contexts in *carrier*, in the order in which they count."""
    found = []
    for name, decode in ((jaeger.TRACE_ID, jaeger.decode), (w3c.TRACEPARENT, w3c.decode)):
        text = carrier.get(name)
        remote = _attempt(decode, text) if text else None
        if text and remote is not None:
            found.append(_Foreign(name, text[:_MAX_TAG_CHARS], remote))
    remote = _attempt(b3.decode, carrier)
    if remote is not None:
        found.append(_Foreign(b3.SINGLE, f"{remote.trace_id:032x}-{remote.span_id:016x}", remote))
    return found


def _tracestate(carrier: Mapping[str, str], found: list[_Foreign], trace_id: int) -> dict[str, str] | None:
    """Other vendors' ``tracestate``, if the trace that it belongs to is the one that is continued."""
    text = carrier.get(w3c.TRACESTATE)
    if text and any(one.name == w3c.TRACEPARENT and one.remote.trace_id == trace_id for one in found):
        state = _attempt(w3c.tracestate, text)
        if state:
            return {_TRACESTATE_TAG: state}
    return None


def _attempt(decode: Callable[..., T], *arguments: Any) -> T | None:
    """A bad field is as an absent one, and counted."""
    try:
        return decode(*arguments)
    except Malformed:
        _guard.count("malformed")
        return None


def codecs() -> Mapping[str, Any]:
    """OpenTracing's formats by name, as jaeger-client's tracers take them. Loads jaeger-client."""
    from osprofiler.opentracing_compat.propagation import codec

    return codec.codecs()
