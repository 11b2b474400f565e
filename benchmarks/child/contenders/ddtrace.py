# SPDX-License-Identifier: Apache-2.0
"""Datadog's tracer, to a sink in the place of its agent. It has no logs on spans."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import contenders
from contenders import TEXT


class Made(contenders.Contender):
    def __init__(self, target: str, service: str) -> None:
        os.environ.update(
            DD_TRACE_AGENT_URL=target or "http://127.0.0.1:1",
            DD_TRACE_ENABLED="true" if target else "false",
            DD_SERVICE=service,
            DD_INSTRUMENTATION_TELEMETRY_ENABLED="false",
            DD_REMOTE_CONFIGURATION_ENABLED="false",
            DD_TRACE_STARTUP_LOGS="false",
            DD_TRACE_API_VERSION="v0.4",  # the one whose spans the sink can read
        )
        from ddtrace.trace import tracer

        self.tracer = tracer

    @contextlib.contextmanager
    def root(self) -> Iterator[None]:
        with self.tracer.trace("root"):
            yield

    def two_tags(self, n: int) -> None:
        with self.tracer.trace("two_tags") as span:
            span.set_tag("n", n)
            span.set_tag("text", TEXT)

    def ten_tags(self, n: int) -> None:
        with self.tracer.trace("ten_tags") as span:
            span.set_tags(contenders.ten(n))

    def traced(self, n: int, text: str = TEXT) -> None:
        with self.tracer.trace("traced") as span:
            span.set_tag("args", repr((n,)))
            span.set_tag("kwargs", repr({}))
            span.set_tag("text", text)

    def nested(self, n: int) -> None:
        self._down(n * 10, 10)

    def _down(self, number: int, left: int) -> None:
        with self.tracer.trace("nested") as span:
            span.set_tag("n", number)
            span.set_tag("text", TEXT)
            if left > 1:
                self._down(number + 1, left - 1)

    def flush(self) -> None:
        self.tracer.flush()

    def micro(self) -> contenders.Rows:
        self.tracer.enabled = False

        def rest() -> None:
            with self.tracer.trace("bench"):
                pass

        return {"rest Trace": rest}

    def held(self) -> tuple[Callable[[], Any], Callable[[Any], None]]:
        def start() -> Any:
            span = self.tracer.start_span("bench")
            span.set_tag("n", 1)
            span.set_tag("text", TEXT)
            return span

        return start, lambda span: span.finish()
