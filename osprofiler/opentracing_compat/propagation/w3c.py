# SPDX-License-Identifier: Apache-2.0
"""The W3C's format: ``traceparent``, and ``tracestate``, which other vendors fill and we hand on.

Source: W3C Trace Context, Level 1 (2021) and Level 2 (2024), sections 3.2 and 3.3.
"""

from __future__ import annotations

import re

from osprofiler.opentracing_compat.propagation.formats import Malformed, Remote, bounded
from osprofiler.opentracing_compat.scope import SAMPLED

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"

# A later version may append fields after another dash; version ff is forbidden.
_SHAPE = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.A)
_LONGEST = 512
# Tabs may stand between the entries. Of an entry 513 characters are allowed, of all 512 are the least to be handed on.
_TRACESTATE = re.compile(r"[\t\x20-\x7e]+", re.A)


def decode(text: str) -> Remote:
    """Read a ``traceparent``. Raises Malformed for upper case, zero ids, version ff and a version 00 that is longer."""
    match = _SHAPE.fullmatch(text.strip(" \t")) if len(text) <= _LONGEST else None
    if match is None:
        raise Malformed("not a traceparent")
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more is not None):
        raise Malformed(f"a traceparent of version {version} in another shape")
    remote = Remote(int(trace_id, 16), int(span_id, 16), int(flags, 16) & SAMPLED)
    if not (remote.trace_id and remote.span_id):
        raise Malformed("a traceparent without a trace or a span")
    return remote


def encode(trace_id: int, span_id: int, flags: int) -> str:
    """Write a ``traceparent`` of version 00. Of the flags only "sampled" means the same there."""
    return f"00-{trace_id:032x}-{span_id:016x}-{flags & SAMPLED:02x}"


def tracestate(text: str) -> str:
    """A ``tracestate`` that may be handed on, but for white space around it. Raises Malformed where it may not."""
    if not (_TRACESTATE.fullmatch(bounded(text)) and "=" in text):
        raise Malformed("not a tracestate")
    return text.strip(" \t")
