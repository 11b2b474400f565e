# SPDX-License-Identifier: Apache-2.0
"""The WSGI middleware: it describes a request to the handler, and runs the application through ``wsgi_call``."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler.concurrency import isolation
from osprofiler.config import switches
from osprofiler.context import current
from osprofiler.context.identity import Identity
from osprofiler.handlers import http_server, openstack
from osprofiler.instrumentation import opentelemetry, routes
from osprofiler.instrumentation.wsgi_call import Call
from osprofiler.propagation import carriers, osprofiler, signed
from osprofiler.propagation.formats import Remote
from osprofiler.propagation.packing import split

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_INFO_KEY = carriers.environ_key(osprofiler.TRACE_INFO)
_CONTEXT_KEY = carriers.environ_key(signed.HEADER)


class _NotGiven(int):
    """The default of ``enabled``: equal to False, and shown as it, but not False that somebody has given."""

    def __repr__(self) -> str:
        return "False"


_NOT_GIVEN: Any = _NotGiven()


def disable() -> None:
    """Turn every middleware of this process off. Its own configuration does not count any more."""
    switches.decide_wsgi(False)


def enable(hmac_keys: str | None = None) -> None:
    """Turn every middleware of this process on. *hmac_keys* (comma-separated) replace the middleware's own keys.

    Services that do not call ``init_from_conf`` turn tracing on with this function, also where they serve RPC only. So
    units of work become isolated here too.
    """
    isolation.install()
    switches.decide_wsgi(True)
    switches.decide_wsgi_keys(split(hmac_keys) if hmac_keys else None)


class WsgiMiddleware:
    """A WSGI application around another one. It traces the requests that ask for it with a signed header.

    It buffers nothing: the trace point lasts until the body is closed. If the application returns a complete body (a
    list or a file), the middleware returns the same object, and the point ends there. It may also be called with only a
    ``webob.Request``: then it returns a ``webob.Response``.
    """

    def __init__(
        self,
        application: WSGIApplication,
        hmac_keys: str | None = None,
        enabled: bool | str = _NOT_GIVEN,
        **kwargs: Any,
    ) -> None:
        """*hmac_keys* (comma-separated) and *enabled* count until :func:`enable` or :func:`disable` is called.

        With *enabled* false, or a text that means it, such as ``no``, this middleware stays off. Without the argument
        it is off until :func:`enable` is called, or a configuration turns the service on. Other arguments, which older
        configurations have, are ignored.
        """
        self.application = application
        self.name = "wsgi"
        self.enabled = None if enabled is _NOT_GIVEN else switches.means_on(enabled)
        self.hmac_keys = split(hmac_keys or "")

    @classmethod
    def factory(cls, global_conf: Mapping[str, Any] | None, **local_conf: Any) -> Callable[[Any], WsgiMiddleware]:
        """PasteDeploy's filter factory."""

        def filter_(app: Any) -> WsgiMiddleware:
            return cls(app, **local_conf)

        return filter_

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse | None = None) -> Iterable[bytes]:
        if start_response is None:
            # Not a WSGI call: osprofiler 4 takes a webob request too. Call our own __call__, not that of a subclass,
            # which may have called us.
            plain = functools.partial(WsgiMiddleware.__call__, self)
            response: Iterable[bytes] = environ.get_response(plain)  # type: ignore[attr-defined]
            return response
        served = None
        try:
            settings = config.fresh()  # first, because it may turn the middleware on or off
            if switches.wsgi(self.enabled, settings):
                asks = _INFO_KEY in environ or _CONTEXT_KEY in environ
                # Most requests end here: the handler has nothing to decide. So this path makes no further call.
                if asks or settings.traces_unasked or current.point.get() is not None:
                    served = http_server.accept(settings, self.name, self.hmac_keys, asks, _Request, environ)
        except Exception as fault:
            guard.swallow("web.request", fault)
        try:
            if served is None:
                return self.application(environ, start_response)
            return Call(served, start_response).run(self.application, environ)
        except Exception as fault:
            if not _is_response(fault):
                raise
            response_app: WSGIApplication = fault  # type: ignore[assignment]
            return response_app(environ, start_response)

    def _trace_is_valid(self, trace_info: Any) -> bool:
        return osprofiler.is_trace_info(trace_info)


class _Request:
    """Describes a WSGI request to the handler."""

    __slots__ = ("_environ",)

    component = "wsgi"

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._environ = environ

    @property
    def fields(self) -> Mapping[str, str]:
        return carriers.Environ(self._environ)

    @property
    def peer(self) -> str | None:
        return carriers.peer(self._environ.get("REMOTE_ADDR"), self.fields)

    @property
    def outer_span(self) -> Remote | None:
        return opentelemetry.span_of(self._environ)

    @property
    def identity(self) -> Identity | None:
        return openstack.identity_of_environ(self._environ)

    @property
    def method(self) -> str:
        method: str = self._environ["REQUEST_METHOD"]
        return method

    @property
    def scheme(self) -> str:
        scheme: str = self._environ["wsgi.url_scheme"]
        return scheme

    @property
    def host(self) -> str:
        environ = self._environ
        host = environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
        return str(host).rpartition("@")[2]

    @property
    def path(self) -> str:
        return quote(self._bytes("SCRIPT_NAME") + self._bytes("PATH_INFO"), safe=carriers.PATH_SAFE)

    @property
    def query(self) -> str:
        query: str = self._environ.get("QUERY_STRING", "")
        return query

    @property
    def route(self) -> str | None:
        return routes.of_environ(self._environ)

    def service_context(self, response: Mapping[str, str]) -> Mapping[str, Any]:
        environ = self._environ
        return {
            # written by oslo.middleware
            "request_id": environ.get("openstack.request_id") or response.get("x-openstack-request-id"),
            "global_request_id": environ.get("openstack.global_request_id"),
            # written by keystonemiddleware, which removes what a client has sent under these names
            "user_id": environ.get("HTTP_X_USER_ID"),
            "project_id": environ.get("HTTP_X_PROJECT_ID"),
            "domain_id": environ.get("HTTP_X_DOMAIN_ID"),
        }

    def _bytes(self, name: str) -> bytes:
        return str(self._environ.get(name, "")).encode("latin-1", "replace")


def _is_response(fault: Exception) -> bool:
    """Whether *fault* is an exception of webob that is a response too, such as a 404. osprofiler 4 sends it as one."""
    webob = sys.modules.get("webob.exc")
    return webob is not None and isinstance(fault, webob.HTTPException)
