# SPDX-License-Identifier: Apache-2.0
"""osprofiler's own signed pair, ``X-Trace-Info`` and ``X-Trace-HMAC``, exactly as in all of its releases.

``X-Trace-Info`` is base64url of JSON with ``base_id`` and ``parent_id``. ``X-Trace-HMAC`` is the HMAC-SHA-1 of that, in
hexadecimal. A parent equal to the base means that there is no point above.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any

from osprofiler.context.trace_context import TraceContext
from osprofiler.propagation import packing
from osprofiler.propagation.formats import Malformed, bounded

TRACE_INFO = "X-Trace-Info"
TRACE_HMAC = "X-Trace-HMAC"

_MAX_ID_CHARS = 1024


def decode(info: str, signature: str, keys: Sequence[str]) -> TraceContext | None:
    """Read the pair; None if it is not signed with one of *keys*. Raises Malformed if the signed content is wrong."""
    trace_info = packing.signed_unpack(bounded(info), bounded(signature), keys)
    if trace_info is None:
        return None
    if not is_trace_info(trace_info):
        raise Malformed("not an X-Trace-Info")
    return TraceContext.from_osprofiler(trace_info["hmac_key"], trace_info["base_id"], trace_info.get("parent_id"))


def decode_plain(trace_info: Any, keys: Sequence[str]) -> TraceContext | None:
    """Read the dictionary that plain services put into RPC messages; None if its key is not one of *keys*.

    Raises Malformed.
    """
    if not is_trace_info(trace_info) or not isinstance(trace_info["hmac_key"], str):
        raise Malformed("not a trace_info")
    received_key = trace_info["hmac_key"].encode("utf-8", "surrogatepass")
    key = next((key for key in keys if hmac.compare_digest(key.encode(), received_key)), None)
    if key is None:
        return None
    return TraceContext.from_osprofiler(key, trace_info["base_id"], trace_info.get("parent_id"))


def encode(context: TraceContext, key: str) -> dict[str, str]:
    """Write the pair for a call that continues *context*."""
    trace_info = {"base_id": context.base_id, "parent_id": context.point_id or context.base_id}
    packed, signature = packing.signed_pack(trace_info, key)
    return {TRACE_INFO: packed.decode("ascii"), TRACE_HMAC: signature or ""}


def encode_plain(context: TraceContext, key: str) -> dict[str, str]:
    """Write the dictionary that plain services read in RPC messages. It holds the key itself."""
    return {"hmac_key": key, "base_id": context.base_id, "parent_id": context.point_id or context.base_id}


def is_trace_info(value: Any) -> bool:
    """Whether *value* is a valid ``trace_info``: ``hmac_key``, ``base_id``, maybe ``parent_id``, and no other key."""
    if not isinstance(value, dict) or not {"base_id", "hmac_key"} <= value.keys() <= {
        "base_id",
        "hmac_key",
        "parent_id",
    }:
        return False
    base_id, parent_id = value["base_id"], value.get("parent_id")
    return (
        isinstance(base_id, str)
        and 0 < len(base_id) <= _MAX_ID_CHARS
        and (parent_id is None or (isinstance(parent_id, str) and len(parent_id) <= _MAX_ID_CHARS))
    )
