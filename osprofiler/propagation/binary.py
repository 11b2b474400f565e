# SPDX-License-Identifier: Apache-2.0
"""Jaeger's binary format, as its Go and Python clients write it.

Big-endian. High half of the trace id, low half, span id, parent id: 8 bytes each. Flags: 1 byte. Number of baggage
items: 4 bytes. Then the key and the value of each item, each with its length before it in 4 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from osprofiler.propagation.formats import Malformed, Remote

_HEAD = struct.Struct(">QQQQBI")
_LENGTH = struct.Struct(">I")
_MASK_64 = (1 << 64) - 1
_MAX_ITEMS = 1024


def encode(trace_id: int, span_id: int, parent_id: int, flags: int, baggage: Mapping[str, str]) -> bytes:
    """Write a context with its baggage; *parent_id* 0 means a root span."""
    parts = [_HEAD.pack(trace_id >> 64, trace_id & _MASK_64, span_id, parent_id, flags, len(baggage))]
    for text in (text for item in baggage.items() for text in item):
        data = str(text).encode("utf-8", "replace")
        parts += (_LENGTH.pack(len(data)), data)
    return b"".join(parts)


def decode(data: bytes) -> tuple[Remote, dict[str, str]]:
    """Read a context and its baggage; later bytes are ignored. Raises Malformed, also for a zero id."""
    if len(data) < _HEAD.size:
        raise Malformed("a binary context cut short")
    high, low, span_id, _, flags, items = _HEAD.unpack_from(data)
    if not ((high or low) and span_id) or items > _MAX_ITEMS:
        raise Malformed("not a binary context")
    texts: list[str] = []
    at = _HEAD.size
    for _ in range(2 * items):
        text, at = _text(data, at)
        texts.append(text)
    return Remote(high << 64 | low, span_id, flags), dict(zip(texts[::2], texts[1::2], strict=True))


def _text(data: bytes, at: int) -> tuple[str, int]:
    start = at + _LENGTH.size
    if len(data) < start:
        raise Malformed("baggage cut short")
    end = start + _LENGTH.unpack_from(data, at)[0]
    if len(data) < end:
        raise Malformed("baggage cut short")
    try:
        return data[start:end].decode("utf-8"), end
    except UnicodeDecodeError as fault:
        raise Malformed("baggage that is not UTF-8") from fault
