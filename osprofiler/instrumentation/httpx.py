# SPDX-License-Identifier: Apache-2.0
"""Tracing of httpx: each HTTP request that a client sends is a span, for synchronous and asynchronous clients.

Redirects and the requests of an authentication are spans of their own. A transport that is not HTTP (ASGI, WSGI, a
mock) sends nothing, so it has no span.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current
from osprofiler.handlers import http_client


class Httpx:
    """Translates the requests and responses of httpx for the handler."""

    name = component = "httpx"

    def request(self, outgoing: Any) -> http_client.Request:
        return http_client.describe(outgoing.method, urlsplit(str(outgoing.url)))

    def with_headers(self, outgoing: Any, headers: Mapping[str, str]) -> Any:
        """Return a copy: the caller owns the request, and may send it again, in another trace or in none."""
        traced = object.__new__(type(outgoing))  # copy.copy() would lose the body
        vars(traced).update(vars(outgoing))
        traced.headers = outgoing.headers.copy()
        traced.headers.update(headers)
        return traced

    def response(self, received: Any) -> http_client.Response:
        return http_client.describe_status(received.status_code)


LIBRARY = Httpx()


def _handle_request(original: Method) -> Method:
    def handle_request(self: Any, request: Any) -> Any:
        here = current.point.get()
        if here is None:
            return original(self, request)
        return http_client.exchange(LIBRARY, here, request, lambda traced: original(self, traced))

    return handle_request


def _handle_async_request(original: Method) -> Method:
    async def handle_async_request(self: Any, request: Any) -> Any:
        here = current.point.get()
        if here is None:
            return await original(self, request)
        return await http_client.exchange_async(LIBRARY, here, request, lambda traced: original(self, traced))

    return handle_async_request


_wrapping = Wrapping(
    Target("httpx", "HTTPTransport", "handle_request", _handle_request),
    Target("httpx", "AsyncHTTPTransport", "handle_async_request", _handle_async_request),
)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
