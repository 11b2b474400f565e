# SPDX-License-Identifier: Apache-2.0
"""jaeger-client: a service whose own code extracts and injects with it."""

import contextlib
import threading

from jaeger_client import ConstSampler, Tracer
from jaeger_client.codecs import B3Codec, TextCodec
from jaeger_client.reporter import InMemoryReporter
from peer import Peer


class Made(Peer):
    def __init__(self, options):
        self._reporter = InMemoryReporter()
        self._tracer = Tracer(
            "peer",
            self._reporter,
            ConstSampler(options.get("sampled", True)),
            extra_codecs={"jaeger": TextCodec(url_encoding=True), "b3 multi": B3Codec()},
            generate_128bit_trace_id=True,
        )
        self._local = threading.local()
        self._format = ""

    @contextlib.contextmanager
    def received(self, fields):
        found = [self._tracer.extract(format_, fields) for format_ in ("jaeger", "b3 multi")]
        parent = next((context for context in found if context is not None and context.trace_id), None)
        with self._tracer.start_span("seen", child_of=parent) as span:
            self._local.span = span
            yield

    def seen(self, environ):
        span = self._local.span
        return {
            "trace": f"{span.trace_id:032x}",
            "parent": f"{span.parent_id:016x}" if span.parent_id else None,
            "recorded": bool(span.is_sampled()),
            "baggage": span.get_baggage_item("user"),
        }

    def run(self, format_, work):
        self._format = format_
        with self._tracer.start_span("run") as span:
            self._local.span = span
            span.set_baggage_item("user", "u")
            work()

    def headers(self):
        fields = {}
        self._tracer.inject(self._local.span, self._format, fields)
        return fields

    message = headers

    def trace(self):
        return f"{self._local.span.trace_id:032x}"

    def spans(self):
        return [f"{self._local.span.span_id:016x}"]
