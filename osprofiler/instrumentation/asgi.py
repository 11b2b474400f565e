# SPDX-License-Identifier: Apache-2.0
"""The ASGI middleware: it describes a request to the handler, and runs the application with ``asgi_call``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import quote

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler.config import switches
from osprofiler.context.identity import NOBODY
from osprofiler.handlers import http_server
from osprofiler.instrumentation import routes
from osprofiler.instrumentation.asgi_call import Connection, Exchange
from osprofiler.propagation import carriers
from osprofiler.propagation.packing import split

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Name of the trace points of each type of ASGI scope. Other types, such as ``lifespan``, are not traced.
_NAMES = {"http": "asgi", "websocket": "websocket"}


class AsgiMiddleware:
    """An ASGI 3 application around another one: requests that ask for it with a signed header are traced.

    The span of a request ends with the last part of the response. Spans that the application opens later, for example
    in a background task of Starlette, follow from it. A WebSocket connection is one span. Nothing is buffered.
    """

    def __init__(self, app: Application, hmac_keys: str | None = None, enabled: bool = True) -> None:
        """*hmac_keys* (comma-separated) count until a configuration or ``web.enable`` names others.

        With *enabled* false nothing is traced. Otherwise the option ``trace_wsgi``, ``web.enable`` and ``web.disable``
        decide.
        """
        self.app = app
        self.enabled = enabled
        self.hmac_keys = split(hmac_keys or "")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        served = self._accept(scope)
        if served is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await Exchange(served, receive, send).run(self.app, scope)
        else:
            await Connection(served, receive, send).run(self.app, scope)

    def _accept(self, scope: Scope) -> http_server.Served | None:
        """Decide how to run this request; None: unchanged."""
        try:
            point_name = _NAMES.get(scope["type"])
            if point_name is None or not self.enabled:
                return None
            settings = config.fresh()  # first, because it may turn the middleware on or off
            if not switches.wsgi(True, settings):
                return None
            asks = not carriers.ASKING.isdisjoint([name for name, _ in scope["headers"]])
            return http_server.accept(settings, point_name, self.hmac_keys, asks, _Request, scope)
        except Exception as fault:
            guard.swallow("web.request", fault)
            return None


class _Request:
    """Describes an ASGI scope to the handler. Source of the keys: the ASGI specification 3.0, "HTTP & WebSocket"."""

    outer_span = None

    __slots__ = ("_path", "_scope", "fields")

    identity = NOBODY  # nothing between the client and the application checks who sends the request
    component = "asgi"

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._path = scope["path"]  # a mount may change it
        self.fields: Mapping[str, str] = carriers.headers(scope["headers"])

    @property
    def peer(self) -> str | None:
        client = self._scope.get("client")
        return carriers.peer(client[0], self.fields) if client else None

    @property
    def method(self) -> str:
        return str(self._scope.get("method", "GET"))  # the handshake of a WebSocket is a GET, and its scope has none

    @property
    def scheme(self) -> str:
        default = "ws" if self._scope["type"] == "websocket" else "http"
        return str(self._scope.get("scheme", default))

    @property
    def host(self) -> str:
        host = self.fields.get("host")
        if host is None:
            name, port = self._scope.get("server") or ("", None)  # a UNIX socket has no port
            host = name if port is None else f"{name}:{port}"
        return host.rpartition("@")[2]

    @property
    def path(self) -> str:
        raw = self._scope.get("raw_path")
        if raw is None:
            return quote(self._path, safe=carriers.PATH_SAFE)
        return quote(raw.partition(b"?")[0], safe=carriers.RAW_PATH_SAFE)  # some servers leave the query in it

    @property
    def query(self) -> str:
        return bytes(self._scope.get("query_string", b"")).decode("latin-1")

    @property
    def route(self) -> str | None:
        return routes.of_scope(self._scope, self._path)

    def service_context(self, response: Mapping[str, str]) -> Mapping[str, Any]:
        # Nothing between the client and the application checks headers such as X-User-Id.
        return {"request_id": response.get("x-openstack-request-id")}
