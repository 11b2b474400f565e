# SPDX-License-Identifier: Apache-2.0
"""The common parts of the wire formats: the ids that a decoder returns, and the error that it raises.

The module of a format is pure and strict: it takes text, and returns ids or raises :class:`Malformed`. ``carriers``
handles the case of headers. ``precedence`` decides what happens after a malformed field.
"""

from __future__ import annotations

from typing import NamedTuple

#: The longest field that is read, in characters. All fields that we write are far shorter.
MAX_FIELD_CHARS = 4096


class Malformed(ValueError):
    """The field is present, but does not have this format."""


class Remote(NamedTuple):
    """A span of another process, as a wire format shows it."""

    trace_id: int  # 1 .. 2**128-1; only B3: 0 for a decision without a trace
    span_id: int  # 1 .. 2**64-1; only B3: 0 for a decision without a trace
    flags: int  # one byte, as Jaeger's: 1 sampled, 2 debug
    w3c_flags: int = 0  # the flags of ``traceparent`` to pass on, without "sampled"


def bounded(text: str) -> str:
    """*text* itself. Raises Malformed if it is longer than :data:`MAX_FIELD_CHARS`."""
    if len(text) > MAX_FIELD_CHARS:
        raise Malformed(f"a field of {len(text)} characters")
    return text
