# SPDX-License-Identifier: Apache-2.0
"""OpenTracing's ``inject`` and ``extract`` for the formats TEXT_MAP, HTTP_HEADERS and BINARY.

``extract`` follows the same rules as requests and messages (``precedence``). A malformed field counts as absent. Only a
carrier of a wrong type is an error, as OpenTracing specifies.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import opentracing
from jaeger_client.span_context import SpanContext as JaegerContext

from osprofiler import config, propagation
from osprofiler._runtime import guard
from osprofiler.config import trust as trusts
from osprofiler.config.trust import Trust
from osprofiler.context.origin import Origin
from osprofiler.context.trace_context import TraceContext
from osprofiler.propagation import binary, carriers, formats, jaeger, precedence, received
from osprofiler.propagation.formats import Malformed
from osprofiler.tracer.span_context import SpanContext


class TextCodec:
    """Fields in a dictionary. With *url_encoding* baggage is percent-encoded, as headers need it."""

    def __init__(self, url_encoding: bool) -> None:
        self._url_encoding = url_encoding

    def inject(self, span_context: JaegerContext, carrier: MutableMapping[str, str]) -> None:
        """Add the fields of *span_context*. Raises InvalidCarrierException if *carrier* is not a dictionary."""
        if not isinstance(carrier, MutableMapping):
            raise opentracing.InvalidCarrierException("the carrier must be a dictionary")
        context = _context_of(span_context)
        if getattr(span_context, "origin", None) is not None:  # of a trace of ours, not made by other code
            carrier.update(propagation.write_signed(context))
        carrier.update(propagation.write_unsigned(context, url_encoding=self._url_encoding))

    def extract(self, carrier: Mapping[str, str]) -> SpanContext | None:
        """The context in *carrier*, or None. Raises InvalidCarrierException if *carrier* has no ``items``.

        Headers need not be a ``Mapping``: those of ``http.server`` and of werkzeug before 3.1 are not.
        """
        if not hasattr(carrier, "items"):
            raise opentracing.InvalidCarrierException("the carrier must be a dictionary")
        fields = carriers.fields(carrier)
        settings = config.current()
        decision = precedence.decide(
            fields,
            settings.hmac_keys,
            trust=_trust(),
            url_encoding=self._url_encoding,
            registered=formats.registered(settings.propagation),
            limited=settings.keys_by_secret,
            trusted_rate=settings.trusted_rate,
        )
        propagation.count(decision)
        context, tags = decision.context, decision.tags
        if decision.joins is not None:
            return SpanContext(0, 0, None, 0, dict(decision.joins.baggage), joins=decision.joins)
        if context is None:
            tags = received.foreign_tags(received.Received(fields).foreign)
            return SpanContext(0, 0, None, 0, foreign=tags) if tags else None
        if jaeger.DEBUG_ID in tags:  # the tracer's throttler decides
            return SpanContext(0, 0, None, 0, dict(context.baggage), tags[jaeger.DEBUG_ID])
        origin = Origin(context, tags)
        return SpanContext(context.trace_id, context.span_id, None, context.flags, dict(context.baggage), origin=origin)


class BinaryCodec:
    """Jaeger's binary format in a ``bytearray``."""

    def inject(self, span_context: JaegerContext, carrier: bytearray) -> None:
        """Append *span_context*. Raises InvalidCarrierException if *carrier* is not a ``bytearray``."""
        if not isinstance(carrier, bytearray):
            raise opentracing.InvalidCarrierException("the carrier must be a bytearray")
        carrier += binary.encode(
            span_context.trace_id,
            span_context.span_id,
            span_context.parent_id or 0,
            _context_of(span_context).flags,
            span_context.baggage,
        )

    def extract(self, carrier: bytearray) -> SpanContext | None:
        """The context in *carrier*, or None. Raises InvalidCarrierException if *carrier* is not a ``bytearray``."""
        if not isinstance(carrier, bytearray):
            raise opentracing.InvalidCarrierException("the carrier must be a bytearray")
        trust = _trust()
        if not (carrier and trust.trusts(None) and trust.reads("jaeger")):
            return None
        try:
            remote, baggage = binary.decode(bytes(carrier))
        except Malformed:
            guard.count("malformed")
            return None
        if trust.join:
            joins = TraceContext.from_ids(remote.trace_id, remote.span_id, flags=0, baggage=baggage)
            return SpanContext(0, 0, None, 0, baggage, joins=joins)
        return SpanContext(remote.trace_id, remote.span_id, None, remote.flags, baggage)


def _trust() -> Trust:
    """Which unsigned context counts. A process without a configuration trusts the context that it extracts."""
    configured = config.current().trust_incoming
    return trusts.ALL if configured is None else configured


def _context_of(span_context: JaegerContext) -> TraceContext:
    origin = getattr(span_context, "origin", None) or Origin.from_ids(span_context.trace_id, 0)
    context: TraceContext = origin.context(
        span_context.span_id, span_context.parent_id or 0, span_context.flags, span_context.baggage
    )
    return context


def codecs() -> Mapping[str, Any]:
    """A codec for each format that OpenTracing requires."""
    return {
        opentracing.Format.TEXT_MAP: TextCodec(url_encoding=False),
        opentracing.Format.HTTP_HEADERS: TextCodec(url_encoding=True),
        opentracing.Format.BINARY: BinaryCodec(),
    }
