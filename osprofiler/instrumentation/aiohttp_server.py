# SPDX-License-Identifier: Apache-2.0
"""aiohttp's server: each request is a span, from the call of its handler to the handler's return.

The body of a plain response is sent after that. A streamed response, or a WebSocket connection, is sent by the handler.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.config import switches
from osprofiler.context.identity import NOBODY
from osprofiler.handlers import http_server
from osprofiler.instrumentation import routes
from osprofiler.propagation import carriers

NAME = "aiohttp"


def _handle_request(original: Method) -> Method:
    def handle_request(self: Any, request: Any, start_time: Any, request_handler: Method) -> Any:
        async def handler(request: Any) -> Any:
            served = _accept(request)
            return await (request_handler(request) if served is None else _run(served, request_handler, request))

        return original(self, request, start_time, handler)

    return handle_request


async def _run(served: http_server.Served, request_handler: Method, request: Any) -> Any:
    try:
        with served.pieces:
            response = await request_handler(request)
    except BaseException as fault:
        if _is_response(fault):
            _close(served, fault)
        else:
            served.close(None, fault, unread=False, deliver=False)
        raise
    _close(served, response)
    return response


def _is_response(fault: BaseException) -> bool:
    """Whether an exception is a response, such as ``HTTPNotFound``."""
    library = sys.modules.get("aiohttp.web_exceptions")
    return library is not None and isinstance(fault, library.HTTPException)


def _close(served: http_server.Served, response: Any) -> None:
    """Close the span, and name the trace in a response whose headers are still to be sent."""
    with guard.Harmless("web.response"):
        own = list(response.headers.items())
        ours = served.response(own)[len(own) :]
        if not response.prepared:
            response.headers.extend(ours)
    served.close(getattr(response, "status", None), None, unread=False, deliver=False)


def _accept(request: Any) -> http_server.Served | None:
    """Decide how to run this request; None: unchanged."""
    try:
        settings = config.fresh()
        if not switches.wsgi(True, settings):
            return None
        asks = not carriers.ASKING.isdisjoint([name.lower() for name, _ in request.raw_headers])
        return http_server.accept(settings, NAME, settings.hmac_keys, asks, _Request, request)
    except Exception as fault:
        guard.swallow("web.request", fault)
        return None


class _Request:
    """Describes an ``aiohttp.web.Request`` to the handler."""

    outer_span = None

    __slots__ = ("_request", "fields")

    identity = NOBODY  # nothing between the client and the application checks who sends the request
    component = NAME

    def __init__(self, request: Any) -> None:
        self._request = request
        self.fields: Mapping[str, str] = carriers.headers(request.raw_headers)

    @property
    def peer(self) -> str | None:
        transport = self._request.transport  # request.remote is what a middleware makes of it
        address = transport.get_extra_info("peername") if transport is not None else None
        return carriers.peer(address[0], self.fields) if isinstance(address, tuple) else None

    @property
    def method(self) -> str:
        return str(self._request.method)

    @property
    def scheme(self) -> str:
        return str(self._request.scheme)

    @property
    def host(self) -> str:
        return self.fields.get("host", "").rpartition("@")[2]

    @property
    def path(self) -> str:
        return quote(self._request.rel_url.raw_path, safe=carriers.RAW_PATH_SAFE)

    @property
    def query(self) -> str:
        return str(self._request.rel_url.raw_query_string)

    @property
    def route(self) -> str | None:
        try:
            route = self._request.match_info.route
        except (AssertionError, AttributeError):  # no application has looked for it
            return None
        template = getattr(route.resource, "canonical", None)
        return None if template is None else routes.plain(template)

    def service_context(self, response: Mapping[str, str]) -> Mapping[str, Any]:
        # Nothing between the client and the application checks headers such as X-User-Id.
        return {"request_id": response.get("x-openstack-request-id")}


_wrapping = Wrapping(Target("aiohttp.web_protocol", "RequestHandler", "_handle_request", _handle_request))

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
