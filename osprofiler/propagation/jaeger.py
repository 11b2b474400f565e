# SPDX-License-Identifier: Apache-2.0
"""Jaeger's own format: ``uber-trace-id`` and baggage in ``uberctx-*``.

Source: Jaeger's documentation, "Client Libraries", "Propagation Format".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, unquote

from osprofiler.propagation.formats import MAX_FIELD_CHARS, Malformed, Remote, bounded, starting

TRACE_ID = "uber-trace-id"
BAGGAGE_PREFIX = "uberctx-"
#: Baggage that a person adds to a request by hand: ``key=value, key2=value2``.
BAGGAGE = "jaeger-baggage"
#: Text that a person adds to a request by hand, to have it traced. The first span has it as a tag.
DEBUG_ID = "jaeger-debug-id"

# A pattern, since int(x, 16) also accepts "0x1", "1_0", " 1 " and non-ASCII digits.
# It names both cases, since a match with re.I takes twice the time.
_SHAPE = re.compile(r"([0-9a-fA-F]{1,32}):([0-9a-fA-F]{1,16}):[0-9a-fA-F]{1,16}:([0-9a-fA-F]{1,2})")
_KEY = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def decode(text: str) -> Remote:
    """Read an ``uber-trace-id`` as received, percent-encoded or not. Raises Malformed, also for a zero id.

    The parent id is checked, but not returned: it is deprecated, and receivers ignore it.
    """
    match = _SHAPE.fullmatch(unquote(bounded(text)))
    if match is None:
        raise Malformed("not an uber-trace-id")
    trace_id, span_id, flags = match.groups()
    remote = Remote(int(trace_id, 16), int(span_id, 16), int(flags, 16))
    if not (remote.trace_id and remote.span_id):
        raise Malformed("an uber-trace-id without a trace or a span")
    return remote


def encode(trace_id: int, span_id: int, parent_id: int, flags: int) -> str:
    """Write an ``uber-trace-id``; *parent_id* 0 means a root span.

    Ids are written with all their digits, since some readers refuse shorter ids.
    """
    parent = f"{parent_id:016x}" if parent_id else "0"
    return f"{trace_id:032x}:{span_id:016x}:{parent}:{flags:x}"


def encode_baggage(baggage: Mapping[str, str], *, url_encoding: bool = True) -> Iterator[tuple[str, str]]:
    """Write baggage as fields. An item that a header cannot hold, or that exceeds the limit on size, is left out."""
    left = MAX_FIELD_CHARS
    for name, value in baggage.items():
        key = str(name)
        text = quote(str(value), errors="replace") if url_encoding else str(value)
        left -= len(key) + len(text)
        if left >= 0 and _KEY.fullmatch(key) and not _UNPRINTABLE.search(text):
            yield BAGGAGE_PREFIX + key, text


def decode_baggage(fields: Mapping[str, str], *, url_encoding: bool = True) -> dict[str, str]:
    """Read the baggage in *fields*, whose names are in lower case; items that exceed the limits are left out."""
    baggage: dict[str, str] = {}
    left = MAX_FIELD_CHARS
    for name, text in _items(fields):
        value = unquote(text) if url_encoding else text
        left -= len(name) + len(value)
        if left >= 0 and name and len(name) <= 256:
            baggage[name] = value
    return baggage


def _items(fields: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if text := fields.get(BAGGAGE):
        for part in text[:MAX_FIELD_CHARS].split(","):
            key, equals, value = part.strip().partition("=")
            if equals:
                yield key, value
    for name in starting(fields, BAGGAGE_PREFIX):
        yield name[len(BAGGAGE_PREFIX) :], fields[name][: MAX_FIELD_CHARS + 1]
