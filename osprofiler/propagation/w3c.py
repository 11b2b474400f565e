# SPDX-License-Identifier: Apache-2.0
"""The W3C's format: ``traceparent``; ``tracestate`` of other vendors, which is passed on; and ``baggage``.

Sources: W3C Trace Context, Level 1 (2021) and Level 2 (2024), sections 3.2 and 3.3; W3C Baggage (2024), section 3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

from osprofiler.context.trace_context import SAMPLED
from osprofiler.propagation.formats import Malformed, Remote, bounded

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"
#: The header of a response, which has the form of a ``traceparent``: the editors' draft of Trace Context, "Trace
#: Context HTTP Response Headers Format".
TRACERESPONSE = "traceresponse"
BAGGAGE = "baggage"

#: The flag for a random trace id; it is passed on.
RANDOM = 0x02

#: The size of the baggage to pass on: characters of the field, and items. The specification's minimum is our maximum.
MAX_BAGGAGE_CHARS, MAX_BAGGAGE_ITEMS = 8192, 64

# A later version may append fields after another dash; version ff is forbidden.
_SHAPE = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.A)
_LONGEST = 512
# Tabs are allowed between the entries. One entry may have 513 characters; at least 512 of all have to be passed on.
_KEY = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.A)
_VALUE_SAFE = "!#$&'()*+-./:<=>?@[]^_`{|}~"
_TRACESTATE = re.compile(r"[\t\x20-\x7e]+", re.A)


def decode(text: str) -> Remote:
    """Read a ``traceparent``. Raises Malformed for upper case, zero ids, version ff, and a longer version 00."""
    match = _SHAPE.fullmatch(text.strip(" \t")) if len(text) <= _LONGEST else None
    if match is None:
        raise Malformed("not a traceparent")
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more is not None):
        raise Malformed(f"a traceparent of version {version} in another shape")
    bits = int(flags, 16)
    remote = Remote(int(trace_id, 16), int(span_id, 16), bits & SAMPLED, bits & RANDOM)
    if not (remote.trace_id and remote.span_id):
        raise Malformed("a traceparent without a trace or a span")
    return remote


def encode(trace_id: int, span_id: int, flags: int, w3c_flags: int = 0) -> str:
    """Write a ``traceparent`` of version 00. Of Jaeger's *flags* only "sampled" has the same meaning there."""
    return f"00-{trace_id:032x}-{span_id:016x}-{flags & SAMPLED | w3c_flags:02x}"


def tracestate(text: str) -> str:
    """A ``tracestate`` without the white space around it. Raises Malformed if it cannot be passed on."""
    if not (_TRACESTATE.fullmatch(bounded(text)) and "=" in text):
        raise Malformed("not a tracestate")
    return text.strip(" \t")


def encode_baggage(baggage: Mapping[str, str]) -> str:
    """Write a ``baggage`` field, or "". An item that a header cannot hold, or that exceeds the limits, is left out."""
    items: list[str] = []
    left = MAX_BAGGAGE_CHARS
    for name, value in baggage.items():
        item = f"{name}={quote(str(value), safe=_VALUE_SAFE, errors='replace')}"
        if _KEY.fullmatch(str(name)) and len(item) < left and len(items) < MAX_BAGGAGE_ITEMS:
            items.append(item)
            left -= len(item) + 1
    return ",".join(items)


def decode_baggage(text: str) -> dict[str, str]:
    """Read a ``baggage`` field, without the properties of its items. Malformed items and those over the limit are left
    out.
    """
    baggage: dict[str, str] = {}
    for member in text[:MAX_BAGGAGE_CHARS].split(","):
        key, equals, value = member.partition(";")[0].partition("=")
        key = key.strip(" \t")
        if equals and _KEY.fullmatch(key) and len(baggage) < MAX_BAGGAGE_ITEMS:
            baggage[key] = unquote(value.strip(" \t"))
    return baggage
