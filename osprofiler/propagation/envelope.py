# SPDX-License-Identifier: Apache-2.0
"""A trace's context in the envelope, the context dictionary of an RPC message: our signed text and unsigned formats.

``trace_info`` is the dictionary that the services' own serializers put there. It holds the HMAC key, so it is written,
or left in a message, only with ``[profiler] rpc_plain_peers``. A received one counts only if its key is one of ours.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from osprofiler import config, propagation
from osprofiler._runtime import guard
from osprofiler.config import trust
from osprofiler.context.trace_context import TraceContext
from osprofiler.propagation import Incoming, b3, carriers, jaeger, osprofiler, signed, w3c
from osprofiler.propagation.limits import Who
from osprofiler.propagation.precedence import Sample, SampleAsked

TRACE_INFO = "trace_info"

_W3C = (w3c.TRACEPARENT, w3c.TRACESTATE, w3c.BAGGAGE)
_UNSIGNED = {jaeger.TRACE_ID, *_W3C, b3.SINGLE}
_UNSIGNED_PREFIXES = (jaeger.BAGGAGE_PREFIX, "x-b3-")


def inject(
    message_context: Mapping[str, Any],
    context: TraceContext | None,
    *,
    follows: bool = False,
    keep_w3c: bool = False,
) -> dict[str, Any]:
    """A copy of *message_context* with the fields of *context*, and without the fields of any other trace.

    *follows*: the sender will not wait. *keep_w3c*: another tracer of this process writes W3C's fields itself.
    """
    result = without_key(message_context)
    result.pop(signed.ENVELOPE_KEY, None)
    if context is None:
        return result
    result.pop(TRACE_INFO, None)
    for name in [name for name in result if _is_unsigned(name) and not (keep_w3c and name in _W3C)]:
        del result[name]
    for name, value in propagation.write_unsigned(context).items():
        if not (keep_w3c and name in _W3C):
            result[name] = value
    text = propagation.signed_text(context, follows=follows)
    if text is not None:
        result[signed.ENVELOPE_KEY] = text
    if config.current().rpc_plain_peers and context.hmac_key and context.sampled:
        result[TRACE_INFO] = osprofiler.encode_plain(context, context.hmac_key)
    return result


def without_key(message_context: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of *message_context* without ``trace_info``, which holds the key; plain peers, if configured, need it."""
    result = dict(message_context)
    if not config.current().rpc_plain_peers:
        result.pop(TRACE_INFO, None)
    return result


def extract(
    message_context: Mapping[str, Any],
    keys: Sequence[str] | None = None,
    *,
    sample: Sample | None = None,
    sample_asked: SampleAsked | None = None,
    who: Who | None = None,
) -> Incoming | None:
    """The trace that a received *message_context* belongs to, or None: see ``propagation.read``."""
    fields = carriers.fields({name: value for name, value in message_context.items() if _is_unsigned(name)})
    text = message_context.get(signed.ENVELOPE_KEY)
    if isinstance(text, str):
        fields[signed.HEADER.lower()] = text
    elif text is not None:
        guard.count("malformed")
    plain = message_context.get(TRACE_INFO)
    return propagation.read(
        fields, keys, peer=trust.RPC, plain=plain, sample=sample, sample_asked=sample_asked, who=who
    )


def is_ours(message_context: Mapping[str, Any]) -> bool:
    """Whether *message_context* came from an osprofiler, of this or an older release."""
    return signed.ENVELOPE_KEY in message_context or TRACE_INFO in message_context


def strip(message_context: Mapping[str, Any], *, keep_w3c: bool = False) -> dict[str, Any]:
    """A copy of *message_context* without the fields of :func:`inject`, for a service that does not expect them."""
    return {
        name: value
        for name, value in message_context.items()
        if name not in (signed.ENVELOPE_KEY, TRACE_INFO) and (not _is_unsigned(name) or (keep_w3c and name in _W3C))
    }


@functools.lru_cache(maxsize=512)  # messages have the same names again and again
def _is_unsigned(name: Any) -> bool:
    if not isinstance(name, str):
        return False
    name = name.lower()
    return name in _UNSIGNED or name.startswith(_UNSIGNED_PREFIXES)
