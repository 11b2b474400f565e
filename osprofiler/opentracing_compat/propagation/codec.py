# SPDX-License-Identifier: Apache-2.0
"""OpenTracing's ``inject`` and ``extract`` for the formats TEXT_MAP, HTTP_HEADERS and BINARY.

Who calls ``extract`` has decided to trust what it reads, so a foreign context counts here whatever
``[profiler] trust_incoming`` says. A bad field is as an absent one; only a carrier of a wrong type is an error, as
OpenTracing wants it.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import opentracing
from jaeger_client.span_context import SpanContext as JaegerContext

from osprofiler import _guard, _settings
from osprofiler.opentracing_compat import ids, propagation
from osprofiler.opentracing_compat.propagation import binary, carriers, jaeger
from osprofiler.opentracing_compat.propagation.formats import Malformed
from osprofiler.opentracing_compat.scope import Origin, Point
from osprofiler.opentracing_compat.span import SpanContext


class TextCodec:
    """Fields in a dictionary; *url_encoding*: baggage is percent-encoded, as headers need it."""

    def __init__(self, url_encoding: bool) -> None:
        self._url_encoding = url_encoding

    def inject(self, span_context: JaegerContext, carrier: MutableMapping[str, str]) -> None:
        """Add the fields of *span_context*. Raises InvalidCarrierException where *carrier* is no dictionary."""
        if not isinstance(carrier, MutableMapping):
            raise opentracing.InvalidCarrierException("a dictionary is wanted")
        origin: Origin | None = getattr(span_context, "origin", None)
        if origin is not None:
            carrier.update(propagation.write_signed(_point_of(span_context, origin)))
        carrier.update(
            propagation.write_ids(
                span_context.trace_id,
                span_context.span_id,
                span_context.parent_id or 0,
                span_context.flags,
                span_context.baggage,
                origin.foreign if origin is not None else None,
                url_encoding=self._url_encoding,
            )
        )

    def extract(self, carrier: Mapping[str, str]) -> SpanContext | None:
        """The context in *carrier*, or None. Raises InvalidCarrierException where *carrier* has no ``items``.

        Headers need not be a ``Mapping``: those of ``http.server`` and of werkzeug before 3.1 are none.
        """
        if not hasattr(carrier, "items"):
            raise opentracing.InvalidCarrierException("a dictionary is wanted")
        fields = carriers.fields(carrier)
        found = propagation.read_signed(fields, _settings.current().hmac_keys)
        if found is None:
            found = propagation.read_foreign(fields)
        else:
            found.origin.foreign = propagation.foreign_tags(fields, found.origin)
        baggage = jaeger.decode_baggage(fields, url_encoding=self._url_encoding)
        if found is None:
            return SpanContext(0, 0, None, 0, baggage) if baggage else None
        origin = found.origin
        debug_id = (origin.foreign or {}).get(jaeger.DEBUG_ID)
        if debug_id:
            return SpanContext(0, 0, None, 0, baggage, debug_id)
        return SpanContext(origin.trace_id, origin.parent_span_id, None, origin.flags, baggage, origin=origin)


class BinaryCodec:
    """Jaeger's binary format in a ``bytearray``."""

    def inject(self, span_context: JaegerContext, carrier: bytearray) -> None:
        """Append *span_context*. Raises InvalidCarrierException where *carrier* is no ``bytearray``."""
        if not isinstance(carrier, bytearray):
            raise opentracing.InvalidCarrierException("a bytearray is wanted")
        carrier += binary.encode(
            span_context.trace_id,
            span_context.span_id,
            span_context.parent_id or 0,
            span_context.flags,
            span_context.baggage,
        )

    def extract(self, carrier: bytearray) -> SpanContext | None:
        """The context in *carrier*, or None. Raises InvalidCarrierException where *carrier* is no ``bytearray``."""
        if not isinstance(carrier, bytearray):
            raise opentracing.InvalidCarrierException("a bytearray is wanted")
        if not carrier:
            return None
        try:
            remote, baggage = binary.decode(bytes(carrier))
        except Malformed:
            _guard.count("malformed")
            return None
        return SpanContext(remote.trace_id, remote.span_id, None, remote.flags, baggage)


def _point_of(context: JaegerContext, origin: Origin) -> Point:
    """A virtual root that stands where *context* does, so that what is called is signed as under its span."""
    if context.span_id == origin.parent_span_id:
        parent_id = origin.parent_id
    else:
        parent_id = ids.point_uuid(origin.prefix, context.span_id)
    at = Origin(
        origin.base_id,
        origin.trace_id,
        parent_id=parent_id,
        parent_span_id=context.span_id,
        hmac_key=origin.hmac_key,
        flags=context.flags,
    )
    return Point(None, None, at)


def codecs() -> Mapping[str, Any]:
    """A codec for each format that OpenTracing requires."""
    return {
        opentracing.Format.TEXT_MAP: TextCodec(url_encoding=False),
        opentracing.Format.HTTP_HEADERS: TextCodec(url_encoding=True),
        opentracing.Format.BINARY: BinaryCodec(),
    }
