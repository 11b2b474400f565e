# SPDX-License-Identifier: Apache-2.0
"""The common parts of the wire formats: the ids that a decoder returns, and the error that it raises.

The module of a format is pure and strict: it takes text, and returns ids or raises :class:`Malformed`. ``carriers``
handles the case of headers. ``precedence`` decides what happens after a malformed field.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from osprofiler._runtime import entry_points, guard
from osprofiler.config.kinds import FORMATS
from osprofiler.context.trace_context import TraceContext

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
    decided: bool = True  # only B3: False where the sender leaves the decision to the receiver


def bounded(text: str) -> str:
    """*text* itself. Raises Malformed if it is longer than :data:`MAX_FIELD_CHARS`."""
    if len(text) > MAX_FIELD_CHARS:
        raise Malformed(f"a field of {len(text)} characters")
    return text


def starting(fields: Mapping[str, str], prefix: str) -> Iterable[str]:
    """The names in *fields* that start with *prefix*. A carrier may have a quicker method for it, ``starting``."""
    own = getattr(fields, "starting", None)
    return [name for name in fields if name.startswith(prefix)] if own is None else own(prefix)


class Format(Protocol):
    """An unsigned format of another package, registered by an entry point in the group ``osprofiler.propagators``.

    It is written where ``[profiler] propagation`` names it, and read there where unsigned context is trusted.
    """

    def encode(self, context: TraceContext) -> Mapping[str, str]:
        """Write the fields of *context*, whose ``span_id`` is not 0."""

    def decode(self, fields: Mapping[str, str]) -> Remote | None:
        """Read *fields*, by name in lower case; None where the format's are not there. Raises :class:`Malformed`."""


@functools.lru_cache(maxsize=16)
def registered(names: Sequence[str]) -> Mapping[str, Format]:
    """The formats among *names* that are not built in, by name; one that cannot be loaded is left out."""
    found: dict[str, Format] = {}
    for name in names:
        if name not in FORMATS:
            with guard.Harmless("propagation.load"):
                found[name] = entry_points.load(entry_points.PROPAGATORS, name)
    return {name: format_ for name, format_ in found.items() if format_ is not None}
