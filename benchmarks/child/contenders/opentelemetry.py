# SPDX-License-Identifier: Apache-2.0
"""OpenTelemetry's SDK with its batch processor and OTLP over HTTP."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import contenders
from contenders import TEXT


class Made(contenders.Contender):
    def __init__(self, target: str, service: str) -> None:
        self._provider = TracerProvider(resource=Resource.create({"service.name": service}))
        if target:
            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{target}/v1/traces")))
        self.tracer = self._provider.get_tracer("bench")

    @contextlib.contextmanager
    def root(self) -> Iterator[None]:
        with self.tracer.start_as_current_span("root", context=context.Context()):
            yield

    def two_tags(self, n: int) -> None:
        with self.tracer.start_as_current_span("two_tags", attributes={"n": n, "text": TEXT}):
            pass

    def ten_tags(self, n: int) -> None:
        with self.tracer.start_as_current_span("ten_tags", attributes=contenders.ten(n)):
            pass

    def with_log(self, n: int) -> None:
        with self.tracer.start_as_current_span("with_log", attributes={"n": n, "text": TEXT}) as span:
            span.add_event("retry", {"attempt": 1})

    def traced(self, n: int, text: str = TEXT) -> None:
        shown = {"args": repr((n,)), "kwargs": repr({}), "text": text}
        with self.tracer.start_as_current_span("traced", attributes=shown):
            return

    def nested(self, n: int) -> None:
        self._down(n * 10, 10)

    def _down(self, number: int, left: int) -> None:
        with self.tracer.start_as_current_span("nested", attributes={"n": number, "text": TEXT}):
            if left > 1:
                self._down(number + 1, left - 1)

    def flush(self) -> None:
        if not self._provider.force_flush(120_000):
            raise AssertionError("not delivered")

    def micro(self) -> contenders.Rows:
        tracer = TracerProvider(sampler=sampling.ALWAYS_OFF).get_tracer("bench")
        none = trace.NoOpTracerProvider().get_tracer("bench")

        def unsampled() -> None:
            with tracer.start_as_current_span("bench"):
                pass

        def rest() -> None:
            with none.start_as_current_span("bench"):
                pass

        return {"unsampled": unsampled, "rest Trace": rest}

    def held(self) -> tuple[Callable[[], Any], Callable[[Any], None]]:
        return lambda: self.tracer.start_span("bench", attributes={"n": 1, "text": TEXT}), lambda span: span.end()
