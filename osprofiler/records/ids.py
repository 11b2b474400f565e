# SPDX-License-Identifier: Apache-2.0
"""Identifiers: Jaeger's integers, osprofiler's UUIDs, and the reversible mapping between them.

The base_id of a trace is a UUID whose 128 bits are the Jaeger trace id. The UUID of a trace point is the high 64 bits
of the trace id, followed by its 64-bit span id. An id that is not a UUID maps to a stable hash; records keep its text.
"""

from __future__ import annotations

import hashlib
import random
import re
import uuid

from osprofiler._runtime import forks

#: The low 64 bits of a trace id, and of the UUID of a trace point.
MASK_64 = (1 << 64) - 1

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

_random = random.Random()
_bits = _random.getrandbits
_fork_marker = forks.marker


@forks.in_child
def _seed_anew() -> None:
    # Otherwise two workers would make the same ids.
    _random.seed()


def new_span_id() -> int:
    """A random span id, 1 .. 2**64-1; zero means "none" in every format."""
    if not _fork_marker[0]:
        forks.take_over()
    return _bits(64) or 1


def new_trace_id() -> int:
    """A random 128-bit trace id. Its low half is odd, so never zero: some collectors keep only that half."""
    if not _fork_marker[0]:
        forks.take_over()
    return _bits(128) | 1


def uuid_text(value: int) -> str:
    """The canonical text of the UUID with these 128 bits."""
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def point_prefix(trace_id: int) -> str:
    """The part that the UUIDs of all points of a trace share: the high 64 bits of *trace_id*."""
    digits = f"{trace_id >> 64:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:]}-"


def point_uuid(prefix: str, span_id: int) -> str:
    """The UUID of a trace point, from the :func:`point_prefix` of its trace and its span id."""
    return f"{prefix}{span_id >> 48:04x}-{span_id & 0xFFFFFFFFFFFF:012x}"


def _uuid_int(text: str) -> int | None:
    if _CANONICAL.fullmatch(text):  # nearly all ids are, and uuid.UUID takes twice the time
        return int(text.replace("-", ""), 16)
    try:
        return uuid.UUID(text).int
    except ValueError:
        return None


def _stable_hash(text: str, size: int) -> int:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:size], "big") or 1


def trace_id_of(base_id: str) -> int:
    """The Jaeger trace id of a base_id: its 128 bits if it is a UUID, otherwise a stable hash. Never zero."""
    return _uuid_int(base_id) or _stable_hash(base_id, 16)


def span_id_of(point_id: str) -> int:
    """The Jaeger span id of a trace point's id: the low 64 bits of a UUID, otherwise a stable hash. Never zero."""
    value = _uuid_int(point_id)
    return (value & MASK_64 if value is not None else 0) or _stable_hash(point_id, 8)
