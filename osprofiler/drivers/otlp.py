# SPDX-License-Identifier: Apache-2.0
"""Traces to an OpenTelemetry Collector, or whatever else takes OTLP over HTTP."""

from __future__ import annotations

from osprofiler.drivers import jaeger


class OTLP(jaeger.SpanStore):
    """``otlp://host[:4318][/path]``, ``otlps://`` with TLS.

    OTLP only sends. Where what it sends ends up in Jaeger, ``?query=http://host:16686`` says where to read it.
    """

    @classmethod
    def get_name(cls) -> str:
        return "otlp"

    @classmethod
    def check(cls, connection_string: str) -> None:
        from osprofiler.opentracing_compat.reporting import otlp

        super().check(connection_string)
        otlp.check_library()
