# SPDX-License-Identifier: Apache-2.0
"""OpenStack's own OpenTelemetry tracing: oslo.middleware makes the spans of requests, oslo.messaging those of RPC."""

import logging
import threading

from kind_opentelemetry import seen
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from oslo_config import cfg
from oslo_middleware import tracing
from peer import Peer, answer


class Made(Peer):
    def __init__(self, options):
        tracing.set_defaults(service_name="peer", enabled=True, otlp_endpoint="http://127.0.0.1:1")
        tracing.set_defaults(sampling_rate=1.0 if options.get("sampled", True) else 0.0)
        tracing.init_tracing(cfg.CONF)
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # nobody is at that endpoint
        cfg.CONF.set_override("tracing_enabled", True, group="oslo_messaging_tracing")
        self._exporter = InMemorySpanExporter()
        trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(self._exporter))
        self._local = threading.local()

    def around(self, application):
        return tracing.TracingMiddleware(application, cfg.CONF)

    def seen(self, environ):
        return seen(environ["otel.span"] if environ is not None else trace.get_current_span())

    def run(self, format_, work):
        self._exporter.clear()

        def application(environ, start_response):
            token = context.attach(baggage.set_baggage("user", "u"))
            work()
            context.detach(token)
            start_response("200 OK", [])
            return [b""]

        answer(self.around(application))

    def headers(self):
        fields = {}
        propagate.inject(fields)
        return fields

    def trace(self):
        return f"{trace.get_current_span().get_span_context().trace_id:032x}"

    def spans(self):
        return [f"{span.context.span_id:016x}" for span in self._exporter.get_finished_spans()]
