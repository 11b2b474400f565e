# SPDX-License-Identifier: Apache-2.0
"""OpenStack's own OpenTelemetry tracing: a WSGI span in oslo.middleware, RPC spans in oslo.messaging."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from opentelemetry import context, propagate, trace
from oslo_config import cfg
from oslo_middleware import tracing

import contenders


class Made(contenders.Contender):
    def __init__(self, target: str, service: str) -> None:
        tracing.set_defaults(service_name=service, otlp_endpoint=target or "http://127.0.0.1:1", enabled=bool(target))
        cfg.CONF([])
        self._app = tracing.TracingMiddleware(contenders.hello, {"oslo_config_project": "bench"})
        self._headers: dict[str, str] = {}

    @contextlib.contextmanager
    def root(self) -> Iterator[None]:
        tracer = trace.get_tracer("bench")
        with tracer.start_as_current_span("root", context=context.Context()):
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            self._headers = {"HTTP_TRACEPARENT": carrier.get("traceparent", "")}
            yield

    def wsgi(self, n: int) -> None:
        contenders.answer(self._app, contenders.environ(n, **self._headers))

    def prepare_rpc(self) -> Any:
        import oslo_messaging._tracing.client  # noqa: F401  (it registers the options)

        from contenders import rpc

        cfg.CONF.set_override("tracing_enabled", True, group="oslo_messaging_tracing")
        made = rpc.Rpc()
        self.rpc = made.call
        return made

    def flush(self) -> None:
        trace.get_tracer_provider().force_flush(120_000)

    def requests(self) -> dict[str, Any]:
        return {"app": self._app, "headers": lambda: {"traceparent": self._headers["HTTP_TRACEPARENT"]}}
