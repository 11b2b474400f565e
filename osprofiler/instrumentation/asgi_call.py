# SPDX-License-Identifier: Apache-2.0
"""One request or WebSocket connection through the ASGI middleware.

The application runs at the trace point of its request. ``receive`` and ``send`` are code of the server: they run at the
point from which the server called us. A server may begin the next request inside them, and that request must not
inherit this one's trace. Exceptions of the application and of the server pass unchanged.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from osprofiler._runtime import guard
from osprofiler.context import current, scope
from osprofiler.handlers.http_server import LOWEST_ERROR, Served

Message = MutableMapping[str, Any]

_STARTS = frozenset(("http.response.start", "websocket.accept", "websocket.http.response.start"))
_BODIES = frozenset(("http.response.body", "http.response.zerocopysend", "http.response.pathsend"))

_SWITCHING_PROTOCOLS = 101
_FORBIDDEN = 403


class _Call:
    """Runs an application at the point of a request. A subclass reads the messages that it sends."""

    def __init__(
        self, served: Served, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        self._served = served
        self._receive_from_server = receive
        self._send_to_server = send
        self._server_point = current.point.get()
        self._status: int | None = None

    async def run(self, application: Callable[..., Awaitable[None]], asgi_scope: MutableMapping[str, Any]) -> None:
        try:
            with self._served.pieces:
                await application(asgi_scope, self._receive, self._send)
        except BaseException as fault:
            self._end(fault)
            raise
        self._end(None)

    async def _receive(self) -> Message:
        with scope.entered(self._server_point):
            return await self._receive_from_server()

    async def _send(self, message: Message) -> None:
        if message.get("type") in _STARTS:
            message = self._with_headers(message)
        with scope.entered(self._server_point):
            await self._send_to_server(message)
        self._after(message)

    def _with_headers(self, message: Message) -> Message:
        """The *message* that begins the response, with the headers that name the trace."""
        with guard.Harmless("web.response"):
            own = list(message.get("headers") or ())
            text = [(bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in own]
            ours = self._served.response(text)[len(text) :]
            if ours:
                encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in ours]
                return {**message, "headers": [*own, *encoded]}
        return message

    def _after(self, message: Message) -> None:
        """Learn from a *message* that the server has taken."""
        raise NotImplementedError

    def _end(self, fault: BaseException | None) -> None:
        # The loop must not wait for a delivery.
        self._served.close(self._status, fault, unread=self._is_unread and fault is None, deliver=False)

    @property
    def _is_unread(self) -> bool:
        """Whether the client did not get the whole response."""
        return False


class Exchange(_Call):
    """One request and its response."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._has_trailers = False
        self._is_whole = False
        self._client_has_left = False  # before the response was whole

    async def _receive(self) -> Message:
        message = await super()._receive()
        if message.get("type") == "http.disconnect" and not self._is_whole:
            self._client_has_left = True
        return message

    def _after(self, message: Message) -> None:
        kind = message.get("type")
        if kind == "http.response.start":
            self._status = message.get("status")
            self._has_trailers = bool(message.get("trailers"))
        elif kind in _BODIES:
            self._is_whole = not (message.get("more_body") or self._has_trailers)
        elif kind == "http.response.trailers":
            self._is_whole = not message.get("more_trailers")
        # After an error of the server the exception is still to come: Starlette responds first, and then raises it.
        is_error = self._status is not None and self._status >= LOWEST_ERROR
        if self._is_whole and not is_error and not self._client_has_left:
            self._served.responded(self._status)

    @property
    def _is_unread(self) -> bool:
        return not self._is_whole or self._client_has_left  # some middleware of Starlette sends the end to nobody


class Connection(_Call):
    """One WebSocket connection, from its handshake to the return of the application."""

    def _after(self, message: Message) -> None:
        if self._status is not None:
            return
        kind = message.get("type")
        if kind == "websocket.accept":
            self._status = _SWITCHING_PROTOCOLS
        elif kind == "websocket.close":
            self._status = _FORBIDDEN  # as the ASGI specification wants it before the connection is accepted
        elif kind == "websocket.http.response.start":
            self._status = message.get("status")
