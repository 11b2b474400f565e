# SPDX-License-Identifier: Apache-2.0
"""What the fields of a received carrier say: a signed context, unsigned ones, and baggage.

A malformed field counts as absent. ``precedence`` decides which of them counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from osprofiler.config.trust import Trust
from osprofiler.context.trace_context import TraceContext
from osprofiler.propagation import b3, jaeger, osprofiler, signed, w3c
from osprofiler.propagation.formats import Format, Malformed, Remote
from osprofiler.propagation.signed import Signed

T = TypeVar("T")

_CONTEXT, _INFO, _HMAC = (name.lower() for name in (signed.HEADER, osprofiler.TRACE_INFO, osprofiler.TRACE_HMAC))
_MAX_TAG_CHARS = 256
_NO_FORMATS: Mapping[str, Format] = {}


class Foreign(NamedTuple):
    """An unsigned context."""

    format: str
    name: str  # of the field
    text: str  # as a tag shows it
    remote: Remote


class Received:
    """The fields of one carrier, names in lower case. ``malformed``: how many of those read so far were malformed."""

    def __init__(self, fields: Mapping[str, str], registered: Mapping[str, Format] = _NO_FORMATS) -> None:
        """*registered*: formats of other packages, which count after ours."""
        self.malformed = 0
        self._fields = fields
        self._registered = registered
        self._foreign: list[Foreign] | None = None

    def signed(self, keys: Sequence[str], plain: Any) -> Signed | None:
        """The context that is signed with one of *keys*, or None. *plain*: the ``trace_info`` of an RPC message."""
        if not keys:
            return None
        get = self._fields.get
        if text := get(_CONTEXT):
            ours = self._attempt(signed.decode, text, keys)
            if ours is not None:
                return ours
        info, signature = get(_INFO), get(_HMAC)
        context = self._attempt(osprofiler.decode, info, signature, keys) if info and signature else None
        if context is None and plain:
            context = self._attempt(osprofiler.decode_plain, plain, keys)
        return None if context is None else Signed(context, False, None)

    @property
    def foreign(self) -> list[Foreign]:
        """The well-formed unsigned contexts, in the order in which they count."""
        if self._foreign is None:  # no cached_property: before CPython 3.12 that takes a lock
            self._foreign = self._read_foreign()
        return self._foreign

    def _read_foreign(self) -> list[Foreign]:
        contexts = []
        for format_, name, decode in (
            ("jaeger", jaeger.TRACE_ID, jaeger.decode),
            ("w3c", w3c.TRACEPARENT, w3c.decode),
        ):
            text = self._fields.get(name)
            remote = self._attempt(decode, text) if text else None
            if text and remote is not None:
                contexts.append(Foreign(format_, name, text[:_MAX_TAG_CHARS], remote))
        remote = self._attempt(b3.decode, self._fields)
        if remote is not None:
            contexts.append(Foreign("b3", b3.SINGLE, f"{remote.trace_id:032x}-{remote.span_id:016x}", remote))
        for name, registered in self._registered.items():
            remote = self._attempt(registered.decode, self._fields)
            if remote is not None:
                contexts.append(Foreign(name, name, f"{remote.trace_id:032x}-{remote.span_id:016x}", remote))
        return contexts

    @property
    def debug_id(self) -> str | None:
        """The id of a request that Jaeger's clients want to be recorded, as a tag shows it."""
        text = self._fields.get(jaeger.DEBUG_ID)
        return text[:_MAX_TAG_CHARS] if text else None

    def completed(
        self, context: TraceContext, foreign: Sequence[Foreign], url_encoding: bool, trust: Trust
    ) -> TraceContext:
        """*context* with the baggage, and with the state and flags of W3C's fields if they have the same trace id.

        Baggage counts in the formats that *trust* reads.
        """
        text = self._fields.get(w3c.BAGGAGE)
        baggage = w3c.decode_baggage(text) if text and trust.reads("w3c") else {}
        if trust.reads("jaeger"):
            baggage.update(jaeger.decode_baggage(self._fields, url_encoding=url_encoding))
        if baggage:
            context = context._replace(baggage=baggage)
        for one in foreign:
            if one.name == w3c.TRACEPARENT and one.remote.trace_id == context.trace_id:
                text = self._fields.get(w3c.TRACESTATE)
                state = self._attempt(w3c.tracestate, text) if text else None
                if state or one.remote.w3c_flags:
                    context = context._replace(tracestate=state or "", w3c_flags=one.remote.w3c_flags)
        return context

    def _attempt(self, decode: Callable[..., T], *arguments: Any) -> T | None:
        try:
            return decode(*arguments)
        except Malformed:
            self.malformed += 1
            return None


def foreign_tags(foreign: Iterable[Foreign]) -> dict[str, str]:
    """The ids of unsigned contexts, as tags for the first span of a trace that continues none of them."""
    return {f"foreign.{one.name}": one.text for one in foreign if one.remote.trace_id}
