# SPDX-License-Identifier: Apache-2.0
"""Tracing of aiohttp's client: each HTTP request that a session sends is a span.

It is a client middleware, the innermost one, so that redirects and the retries of other middlewares are spans of their
own. aiohttp has client middlewares since 3.12.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current
from osprofiler.handlers import http_client

LOG = logging.getLogger(__name__)


class Aiohttp:
    """Translates the requests and responses of aiohttp for the handler."""

    name = component = "aiohttp"

    def request(self, outgoing: Any) -> http_client.Request:
        return http_client.describe(outgoing.method, urlsplit(str(outgoing.url)))

    def with_headers(self, outgoing: Any, headers: Mapping[str, str]) -> Any:
        outgoing.headers.update(headers)  # the session's own, made for this request
        return outgoing

    def response(self, received: Any) -> http_client.Response:
        return http_client.describe_status(received.status)


LIBRARY = Aiohttp()


async def _middleware(request: Any, handler: Method) -> Any:
    here = current.point.get()
    if here is None:
        return await handler(request)
    return await http_client.exchange_async(LIBRARY, here, request, handler)


def _request(original: Method) -> Method:
    has_middlewares = "middlewares" in inspect.signature(original).parameters
    if not has_middlewares:
        LOG.warning("requests of aiohttp's client are not traced: that needs aiohttp 3.12")

    def request(self: Any, /, *args: Any, middlewares: Any = None, **kwargs: Any) -> Any:
        if not has_middlewares:
            return original(self, *args, **kwargs)
        if current.point.get() is not None:
            middlewares = (*(self._middlewares if middlewares is None else middlewares), _middleware)
        return original(self, *args, middlewares=middlewares, **kwargs)

    return request


_wrapping = Wrapping(Target("aiohttp.client", "ClientSession", "_request", _request))

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
