# SPDX-License-Identifier: Apache-2.0
"""Tracing of keystoneauth: each call of a session is a span, with the HTTP requests that it needs.

A call may fetch a token first, follow redirects, wait and try again, or authenticate again. All this is inside the
span. openstacksdk and the clients of OpenStack's services send by such sessions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current
from osprofiler.handlers import http_client, openstack

#: The tag with the number of requests after the first: redirects, retries, and those with a new token. The name is
#: from OpenTelemetry's conventions.
RESENT = "http.request.resend_count"


class CallPoint(http_client.RequestPoint):
    """The point of a session's call. It counts the requests that the call sends."""

    __slots__ = ("sent",)

    sent: int

    @classmethod
    def here(cls) -> CallPoint | None:
        """The point of the call that this code runs in, if that is recorded; None inside another point."""
        here = current.point.get()
        return here if isinstance(here, cls) else None


class _Outgoing(NamedTuple):
    method: str
    url: str  # may be only a path: the session adds the endpoint
    service: str | None  # the type of the service


class Keystoneauth:
    """Translates the calls of sessions for the handler."""

    name = component = "keystoneauth"

    def request(self, outgoing: _Outgoing) -> http_client.Request:
        described = http_client.describe(outgoing.method, urlsplit(outgoing.url))
        tags = {name: value for name, value in described.tags.items() if value}  # a path alone has no host
        if outgoing.service:
            tags["peer.service"] = outgoing.service
        operation = f"{outgoing.service or self.name} {outgoing.method}"
        return described._replace(name=self.name, tags=tags, operation=operation, point_class=CallPoint)

    def with_headers(self, outgoing: _Outgoing, headers: Mapping[str, str]) -> _Outgoing:
        return outgoing  # the session asks osprofiler.web for them, after it has got its token

    def response(self, received: Any) -> http_client.Response:
        first = received.history[0] if received.history else received
        tags = {"http.url": http_client.url_text(urlsplit(first.url))}  # the whole one is known only now
        if request_id := openstack.request_id(received.headers):
            tags["request_id"] = request_id
        return http_client.describe_status(received.status_code)._replace(tags=tags)


LIBRARY = Keystoneauth()


def _request(original: Method) -> Method:
    def request(self: Any, /, url: str, method: str, *args: Any, **kwargs: Any) -> Any:
        here = current.point.get()
        if here is None:
            return original(self, url, method, *args, **kwargs)

        def send(_: _Outgoing) -> Any:
            try:
                return original(self, url, method, *args, **kwargs)
            except Exception as fault:
                _tag_refusal(CallPoint.here(), fault)
                raise

        service = (kwargs.get("endpoint_filter") or {}).get("service_type")
        return http_client.exchange(LIBRARY, here, _Outgoing(method, url, service), send)

    return request


def _tag_refusal(point: CallPoint | None, fault: Exception) -> None:
    """Tag the span of a call whose response is an exception of keystoneauth."""
    with guard.Harmless("keystoneauth.stop"):
        received = getattr(fault, "response", None)
        if point is not None and point.span is not None and received is not None:
            response = LIBRARY.response(received)
            for name, value in {"http.status_code": response.status, **response.tags}.items():
                point.span.set_tag(name, value)


def _send_request(original: Method) -> Method:
    """Count a request. The session calls this method for each one; the method calls itself for the next."""

    def send_request(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if current.point.get() is not None:
            with guard.Harmless("keystoneauth.send"):
                _count(CallPoint.here())
        return original(self, *args, **kwargs)

    return send_request


def _count(point: CallPoint | None) -> None:
    if point is None or point.span is None:
        return
    point.sent = getattr(point, "sent", 0) + 1
    if point.sent > 1:
        point.span.set_tag(RESENT, point.sent - 1)


def _invalidate(original: Method) -> Method:
    """Log that the session drops its token: it will authenticate again."""

    def invalidate(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if current.point.get() is not None:
            with guard.Harmless("keystoneauth.invalidate"):
                point = CallPoint.here()
                if point is not None and point.span is not None:
                    point.span.log_kv({"event": "reauthentication"})
        return original(self, *args, **kwargs)

    return invalidate


_SESSION = "keystoneauth1.session", "Session"
_wrapping = Wrapping(
    Target(*_SESSION, "request", _request),
    Target(*_SESSION, "_send_request", _send_request),
    Target(*_SESSION, "invalidate", _invalidate),
)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
