# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry's SDK: a service whose own code extracts and injects with it."""

import contextlib

from opentelemetry import baggage, context, propagate, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.jaeger import JaegerPropagator
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from peer import Peer

FORMATS = {
    "w3c": [TraceContextTextMapPropagator(), W3CBaggagePropagator()],
    "b3 single": [B3SingleFormat()],
    "b3 multi": [B3MultiFormat()],
    "jaeger": [JaegerPropagator()],
}


def seen(span):
    """What a span of OpenTelemetry shows."""
    ids = span.get_span_context()
    parent = getattr(span, "parent", None)
    return {
        "trace": f"{ids.trace_id:032x}",
        "parent": f"{parent.span_id:016x}" if parent else None,
        "recorded": span.is_recording(),
        "baggage": baggage.get_baggage("user"),
    }


class Made(Peer):
    def __init__(self, options):
        root = sampling.ALWAYS_ON if options.get("sampled", True) else sampling.ALWAYS_OFF
        self._tracer = TracerProvider(sampler=sampling.ParentBased(root)).get_tracer("peer")
        propagate.set_global_textmap(CompositePropagator([each for some in FORMATS.values() for each in some]))

    @contextlib.contextmanager
    def received(self, fields):
        extracted = propagate.extract(fields)
        token = context.attach(extracted)
        try:
            with self._tracer.start_as_current_span("seen"):
                yield
        finally:
            context.detach(token)

    def seen(self, environ):
        return seen(trace.get_current_span())

    def run(self, format_, work):
        propagate.set_global_textmap(CompositePropagator(FORMATS[format_]))
        token = context.attach(baggage.set_baggage("user", "u"))
        with self._tracer.start_as_current_span("run") as span:
            self._ids = span.get_span_context()
            work()
        context.detach(token)

    def headers(self):
        fields = {}
        propagate.inject(fields)
        return fields

    message = headers

    def trace(self):
        return f"{self._ids.trace_id:032x}"

    def spans(self):
        return [f"{self._ids.span_id:016x}"]
