# SPDX-License-Identifier: Apache-2.0
"""The driver of Jaeger: it sends spans to the collector or the agent, and reads them from the query service."""

from __future__ import annotations

from osprofiler.connection import options, strings
from osprofiler.drivers import jaeger_query
from osprofiler.drivers.span_store import SpanStore


class Jaeger(SpanStore):
    """``jaeger://host[:6831]`` (UDP) and ``jaeger+http(s)://host[:14268]``.

    ``?query=http://host:16686`` is the address of the query service; by default it is on the same host.
    """

    @classmethod
    def get_name(cls) -> str:
        return "jaeger"

    @classmethod
    def query_address(cls, connection_string: str) -> str:
        address = super().query_address(connection_string)
        if address:
            return address
        parts, host, _ = strings.split(connection_string, 0)
        return f"{options.http_scheme(parts.scheme)}://{strings.place(host, jaeger_query.PORT)}"
