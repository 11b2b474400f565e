# SPDX-License-Identifier: Apache-2.0
"""Zipkin's format, B3: one field ``b3``, or several fields ``x-b3-*``. Both are read; only the second is written.

Source: github.com/openzipkin/b3-propagation, README.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from osprofiler.context.trace_context import DEBUG, SAMPLED
from osprofiler.propagation.formats import Malformed, Remote

SINGLE = "b3"
TRACE_ID = "x-b3-traceid"
SPAN_ID = "x-b3-spanid"
PARENT_ID = "x-b3-parentspanid"
SAMPLED_FIELD = "x-b3-sampled"
FLAGS = "x-b3-flags"

_TRACE_SHAPE = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}", re.I | re.A)
_SPAN_SHAPE = re.compile(r"[0-9a-f]{16}", re.I | re.A)
_SINGLE_SHAPE = re.compile(r"([0-9a-f]{16}|[0-9a-f]{32})-([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?", re.I | re.A)
_DECISIONS = {"1": SAMPLED, "d": SAMPLED | DEBUG, "0": 0}


def decode(fields: Mapping[str, str]) -> Remote | None:
    """Read either form, the single field first; None if there is neither. A decision without ids has zero ids.

    Ids without a decision leave it to the receiver. Raises Malformed.
    """
    single = fields.get(SINGLE)
    if single is not None:
        return _decode_single(single)
    trace_id, sampled, debug = fields.get(TRACE_ID), fields.get(SAMPLED_FIELD), fields.get(FLAGS) == "1"
    if trace_id is None and sampled is None and not debug:
        return None
    if sampled not in ("1", "0", "true", "false", None):
        raise Malformed("not an x-b3-sampled")
    flags = SAMPLED | DEBUG if debug else SAMPLED if sampled in ("1", "true") else 0
    if trace_id is None:
        return Remote(0, 0, flags)
    span_id = fields.get(SPAN_ID) or ""
    if not (_TRACE_SHAPE.fullmatch(trace_id) and _SPAN_SHAPE.fullmatch(span_id)):
        raise Malformed("not an x-b3-traceid with an x-b3-spanid")
    decided = debug or sampled is not None
    return _checked(Remote(int(trace_id, 16), int(span_id, 16), flags, decided=decided))


def _decode_single(text: str) -> Remote:
    if text in ("0", "1", "d"):
        return Remote(0, 0, _DECISIONS[text])
    match = _SINGLE_SHAPE.fullmatch(text)
    if match is None:
        raise Malformed("not a b3")
    trace_id, span_id, decision = match.groups()
    flags = _DECISIONS[decision.lower()] if decision else 0
    return _checked(Remote(int(trace_id, 16), int(span_id, 16), flags, decided=bool(decision)))


def _checked(remote: Remote) -> Remote:
    if not (remote.trace_id and remote.span_id):
        raise Malformed("a B3 context without a trace or a span")
    return remote


def encode(trace_id: int, span_id: int, parent_id: int, flags: int) -> dict[str, str]:
    """Write the ``x-b3-*`` fields; *parent_id* 0 means a root span."""
    fields = {
        "X-B3-TraceId": f"{trace_id:032x}" if trace_id >> 64 else f"{trace_id:016x}",
        "X-B3-SpanId": f"{span_id:016x}",
    }
    if parent_id:
        fields["X-B3-ParentSpanId"] = f"{parent_id:016x}"
    if flags & DEBUG:
        fields["X-B3-Flags"] = "1"
    else:
        fields["X-B3-Sampled"] = "1" if flags & SAMPLED else "0"
    return fields
