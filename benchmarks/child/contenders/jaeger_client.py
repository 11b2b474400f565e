# SPDX-License-Identifier: Apache-2.0
"""Stock jaeger-client, the tracer that this project builds on."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import jaeger_client as library
import opentracing
from jaeger_client.metrics import MetricsFactory
from jaeger_client.reporter import NullReporter
from opentracing.scope_managers.contextvars import ContextVarsScopeManager

import contenders
from contenders import TEXT


class Counts(MetricsFactory):
    """Keeps jaeger-client's own counters of spans reported."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def create_counter(self, name: str, tags: dict[str, str] | None = None) -> Callable[[int], None]:
        key = f"{name.rpartition(':')[2]}.{(tags or {}).get('result', '')}"

        def count(value: int) -> None:
            if key.startswith("reporter_spans"):
                self.seen[key] += value

        return count

    def create_timer(self, name: str, tags: dict[str, str] | None = None) -> Callable[[float], None]:
        return lambda value: None

    def create_gauge(self, name: str, tags: dict[str, str] | None = None) -> Callable[[float], None]:
        return lambda value: None


class Made(contenders.Contender):
    def __init__(self, target: str, service: str) -> None:
        self._counts = Counts()
        agent = urlsplit(target)
        self.tracer = library.Config(
            config={
                "sampler": {"type": "const", "param": 1},
                "local_agent": {"reporting_host": agent.hostname or "127.0.0.1", "reporting_port": agent.port or 6831},
                "reporter_queue_size": 200_000,  # its own default, 100, would lose most of a burst
                "reporter_flush_interval": 0.1,  # instead of 1 s: only what is left of a burst waits for it
                "generate_128bit_trace_id": True,
                "logging": False,
            },
            service_name=service,
            metrics_factory=self._counts,
            scope_manager=ContextVarsScopeManager(),
        ).initialize_tracer()

    @contextlib.contextmanager
    def root(self) -> Iterator[None]:
        with self.tracer.start_active_span("root", ignore_active_span=True):
            yield

    def two_tags(self, n: int) -> None:
        with self.tracer.start_active_span("two_tags", tags={"n": n, "text": TEXT}):
            pass

    def ten_tags(self, n: int) -> None:
        with self.tracer.start_active_span("ten_tags", tags=contenders.ten(n)):
            pass

    def with_log(self, n: int) -> None:
        with self.tracer.start_active_span("with_log", tags={"n": n, "text": TEXT}) as at:
            at.span.log_kv({"event": "retry", "attempt": 1})

    def traced(self, n: int, text: str = TEXT) -> None:
        with self.tracer.start_active_span("traced", tags={"args": repr((n,)), "kwargs": repr({}), "text": text}):
            return

    def nested(self, n: int) -> None:
        self._down(n * 10, 10)

    def _down(self, number: int, left: int) -> None:
        with self.tracer.start_active_span("nested", tags={"n": number, "text": TEXT}):
            if left > 1:
                self._down(number + 1, left - 1)

    def drain(self) -> None:
        while not self.tracer.reporter.queue.empty():
            time.sleep(0.02)

    def flush(self) -> None:
        # It cannot flush and go on. Its own counters say when nothing is on the way any more: what is too little for
        # a batch waits for its interval.
        before = -1
        while (now := sum(self._counts.seen.values())) != before:
            before = now
            self.drain()
            time.sleep(1.2 * self.tracer.reporter.flush_interval)

    def counts(self) -> dict[str, int]:
        return dict(self._counts.seen)

    def micro(self) -> contenders.Rows:
        sampler = library.ConstSampler(False)
        tracer = library.Tracer("bench", NullReporter(), sampler, scope_manager=ContextVarsScopeManager())

        def unsampled() -> None:
            with tracer.start_active_span("bench"):
                pass

        return {"unsampled": unsampled, "unsampled start/finish": lambda: tracer.start_span("bench").finish()}

    def held(self) -> tuple[Callable[[], opentracing.Span], Callable[[Any], None]]:
        return lambda: self.tracer.start_span("bench", tags={"n": 1, "text": TEXT}), lambda span: span.finish()
