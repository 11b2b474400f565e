# SPDX-License-Identifier: Apache-2.0
"""A trace's context in the context dictionary of an RPC message: our signed text, and the unsigned formats.

``trace_info`` is the dictionary that services' own serializers have put there all along. It holds the HMAC key, so it
is written, and let through, only under ``[profiler] rpc_plain_peers``; received, it counts only with one of our keys.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any

from osprofiler import _guard, _settings
from osprofiler.opentracing_compat import propagation
from osprofiler.opentracing_compat.propagation import Incoming, b3, carriers, jaeger, osprofiler, signed, w3c
from osprofiler.opentracing_compat.scope import SAMPLED, Origin, Point

TRACE_INFO = "trace_info"

_W3C = (w3c.TRACEPARENT, w3c.TRACESTATE)
_UNSIGNED = {jaeger.TRACE_ID, *_W3C, b3.SINGLE}
_UNSIGNED_PREFIXES = (jaeger.BAGGAGE_PREFIX, "x-b3-")


def inject(
    context: Mapping[str, Any], point: Point | None, *, follows: bool = False, keep_w3c: bool = False
) -> dict[str, Any]:
    """A copy of *context* that carries on the trace at *point*, and no trace of any other request.

    *follows*: the sender will not wait. *keep_w3c*: another tracer of this process writes ``traceparent`` itself.
    """
    carried = without_key(context)
    carried.pop(signed.ENVELOPE_KEY, None)
    if point is None or not point.origin.trace_id:
        return carried
    carried.pop(TRACE_INFO, None)
    for name in [name for name in carried if _is_unsigned(name) and not (keep_w3c and name in _W3C)]:
        del carried[name]
    for name, value in _unsigned(point).items():
        if not (keep_w3c and name in _W3C):
            carried[name] = value
    signer = _with_key(point)
    if signer is not None:
        carried[signed.ENVELOPE_KEY] = signed.encode(signer, follows=follows)
    key = point.origin.hmac_key
    if _settings.current().rpc_plain_peers and key and _flags(point) & SAMPLED:
        carried[TRACE_INFO] = {"hmac_key": key, "base_id": point.origin.base_id, "parent_id": point.id()}
    return carried


def without_key(context: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of *context* without the key that plain code put there; with it, where plain peers are to understand."""
    carried = dict(context)
    if not _settings.current().rpc_plain_peers:
        carried.pop(TRACE_INFO, None)
    return carried


def extract(context: Mapping[str, Any], keys: Sequence[str] | None = None) -> Incoming | None:
    """What a received *context* asks to be continued; None where nothing in it counts. Never raises for its content.

    *keys* are those that may ask for a trace; ``[profiler] hmac_keys`` if None.
    """
    settings = _settings.current()
    if keys is None:
        keys = settings.hmac_keys
    carrier = carriers.fields({name: value for name, value in context.items() if _is_unsigned(name)})
    found = _signed(context.get(signed.ENVELOPE_KEY), keys) or _plain(context.get(TRACE_INFO), keys)
    if found is not None:
        found.origin.foreign = propagation.foreign_tags(carrier, found.origin)
    elif settings.trust_incoming:
        found = propagation.read_foreign(carrier)
    if found is not None:
        found.origin.baggage = jaeger.decode_baggage(carrier)
    return found


def is_ours(context: Mapping[str, Any]) -> bool:
    """Whether *context* came from an osprofiler, this one or the one before it."""
    return signed.ENVELOPE_KEY in context or TRACE_INFO in context


def strip(context: Mapping[str, Any], *, keep_w3c: bool = False) -> dict[str, Any]:
    """A copy of *context* without what :func:`inject` wrote, for a service that knows nothing of it."""
    return {
        name: value
        for name, value in context.items()
        if name not in (signed.ENVELOPE_KEY, TRACE_INFO) and (not _is_unsigned(name) or (keep_w3c and name in _W3C))
    }


def _signed(text: Any, keys: Sequence[str]) -> Incoming | None:
    if text is None:
        return None
    if not isinstance(text, str):
        _guard.count("malformed")
        return None
    return propagation.read_signed({signed.HEADER.lower(): text}, keys)


def _plain(trace_info: Any, keys: Sequence[str]) -> Incoming | None:
    if not trace_info:
        return None
    if not osprofiler.is_trace_info(trace_info) or not isinstance(trace_info["hmac_key"], str):
        _guard.count("malformed")
        return None
    given = trace_info["hmac_key"].encode("utf-8", "surrogatepass")
    key = next((key for key in keys if hmac.compare_digest(key.encode(), given)), None)
    if key is None:
        return None
    return Incoming(Origin.from_osprofiler(key, trace_info["base_id"], trace_info.get("parent_id")))


def _flags(point: Point) -> int:
    return point.origin.flags if point.span is None else point.span.flags


def _unsigned(point: Point) -> dict[str, str]:
    """The unsigned formats; they have no word for a trace without a span."""
    origin, span = point.origin, point.span
    if span is None:
        if not origin.parent_span_id:
            return {}
        return propagation.write_ids(
            origin.trace_id, origin.parent_span_id, 0, origin.flags, origin.baggage, origin.foreign
        )
    return propagation.write_ids(
        origin.trace_id, span.span_id, span.parent_span_id, span.flags, span.context.baggage, origin.foreign
    )


def _with_key(point: Point) -> Point | None:
    """*point* where its trace has a key; else a stand-in whose trace has our first key; None without any.

    "Not sampled" is signed too: or the sampler of the next service would decide anew, and trace half a request.
    """
    settings, origin = _settings.current(), point.origin
    if "osprofiler" not in settings.propagation:
        return None
    if origin.hmac_key:
        return point
    if not settings.hmac_keys:
        return None
    span = point.span
    with_key = Origin(
        origin.base_id,
        origin.trace_id,
        parent_id=origin.parent_id if span is None else span.uuid,
        parent_span_id=origin.parent_span_id if span is None else span.span_id,
        hmac_key=settings.hmac_keys[0],
        flags=_flags(point),
    )
    return Point(None, None, with_key)


def _is_unsigned(name: Any) -> bool:
    if not isinstance(name, str):
        return False
    name = name.lower()
    return name in _UNSIGNED or name.startswith(_UNSIGNED_PREFIXES)
