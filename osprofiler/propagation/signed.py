# SPDX-License-Identifier: Apache-2.0
"""Our signed text, for REST (``X-Trace-Context``) and RPC (``osprofiler_context``). It holds more than the older pair.

``<base64url of JSON>.<HMAC-SHA-256 in hexadecimal>``. The keys of the JSON: ``v`` version, 1; ``b`` base_id; ``p`` id
of the point above, absent if there is none (so a real parent may have the same id as the base); ``f`` flags, as
Jaeger's; ``t`` time of signing, in seconds since the epoch; ``k`` id of the key that signed it; ``r`` is ``"follows"``
if the sender will not wait; ``a`` what the request may show beyond the settings of the services, a list of names,
absent if it asked for nothing. The key itself is never in it.
"""

from __future__ import annotations

import base64
import functools
import hmac
import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from osprofiler._runtime import clocks
from osprofiler.context.trace_context import NOTHING, SAMPLED, TraceContext
from osprofiler.propagation import packing
from osprofiler.propagation.formats import Malformed, bounded
from osprofiler.records import ids

#: The header, and the key in an RPC message's context dictionary.
HEADER = "X-Trace-Context"
ENVELOPE_KEY = "osprofiler_context"

VERSION = 1
FOLLOWS = "follows"

_SHAPE = re.compile(r"([A-Za-z0-9_=-]+)\.([0-9a-f]{64})", re.A)
_MAX_ID_CHARS = 1024
_MAX_ASKED = 32
_ASKED = re.compile(r"[a-z][a-z0-9_]{0,31}", re.A)


class Signed(NamedTuple):
    """A received context that is signed with one of our keys."""

    context: TraceContext  # for the receiver to continue
    follows: bool  # the receiver references FollowsFrom, since nobody waits for it
    signed_at_s: int | None  # seconds since the epoch, by the sender's clock; None: not known


@functools.lru_cache(maxsize=64)
def key_id(key: str | bytes) -> str:
    """Eight hexadecimal digits that identify a key, but do not reveal it."""
    return packing.hmac_text(b"osprofiler key id", key, "sha256")[:8]


def encode(context: TraceContext, *, follows: bool = False) -> str:
    """Sign *context*, which has a key. *follows*: the caller will not wait."""
    key = context.hmac_key or ""
    fields: dict[str, Any] = {
        "v": VERSION,
        "b": context.base_id,
        "f": context.flags,
        "t": clocks.wall_ns() // 1_000_000_000,
        "k": key_id(key),
    }
    if context.span_id:
        fields["p"] = context.point_id
    if follows:
        fields["r"] = FOLLOWS
    if context.asked:
        fields["a"] = sorted(context.asked)
    body = base64.urlsafe_b64encode(json.dumps(fields, separators=(",", ":")).encode())
    return f"{body.decode('ascii')}.{_signature(body, key)}"


def decode(text: str, keys: Sequence[str]) -> Signed | None:
    """Read a signed text; None if it is not signed with one of *keys*, or if its version is unknown.

    The signature is checked before the content is parsed. Raises Malformed.
    """
    match = _SHAPE.fullmatch(bounded(text))
    if match is None:
        raise Malformed("not a signed context")
    body, signature = match[1].encode("ascii"), match[2]
    key = next((key for key in keys if hmac.compare_digest(_signature(body, key), signature)), None)
    if key is None:
        return None
    try:
        fields = json.loads(base64.urlsafe_b64decode(body).decode())
    except (ValueError, RecursionError) as fault:
        raise Malformed("signed, but not JSON") from fault
    if not isinstance(fields, dict):
        raise Malformed("signed, but not a context")
    if fields.get("v") != VERSION:
        return None
    return _read(fields, key)


def _read(fields: dict[str, Any], key: str) -> Signed:
    base_id, point_id = fields.get("b"), fields.get("p")
    flags, at_s = fields.get("f", SAMPLED), fields.get("t", 0)
    if not isinstance(base_id, str) or not isinstance(point_id, str | None):
        raise Malformed("a signed context without ids")
    if not 0 < len(base_id) <= _MAX_ID_CHARS or len(point_id or "") > _MAX_ID_CHARS:
        raise Malformed("a signed context without ids")
    if not (type(flags) is int and 0 <= flags <= 255 and type(at_s) is int):
        raise Malformed("a signed context with invalid flags or time")
    asked = fields.get("a")
    if asked is not None and not is_asked(asked):
        raise Malformed("a signed context that asks for something without a name")
    context = TraceContext(
        base_id,
        ids.trace_id_of(base_id),
        point_id or None,
        ids.span_id_of(point_id) if point_id else 0,
        flags=flags,
        hmac_key=key,
        asked=frozenset(asked) if asked else NOTHING,
    )
    return Signed(context, fields.get("r") == FOLLOWS, at_s)


def is_asked(names: Any) -> bool:
    """Whether *names* is a list of names that a request can ask for. A service may not know some of them."""
    if not isinstance(names, list) or len(names) > _MAX_ASKED:
        return False
    return all(isinstance(name, str) and _ASKED.fullmatch(name) for name in names)


def _signature(body: bytes, key: str | bytes) -> str:
    return packing.hmac_text(body, key, "sha256")
