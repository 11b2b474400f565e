# SPDX-License-Identifier: Apache-2.0
"""The WSGI middleware: it describes a request to the handler, and runs the application by ``wsgi_call``."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler.handlers import http_server
from osprofiler.instrumentation.wsgi_call import Call
from osprofiler.propagation import carriers, osprofiler, signed
from osprofiler.propagation.packing import split

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_INFO_KEY = carriers.environ_key(osprofiler.TRACE_INFO)
_CONTEXT_KEY = carriers.environ_key(signed.HEADER)

_OFF = frozenset(("", "0", "false", "no", "off", "f", "n"))
_PATH_SAFE = "/~!$&'()*+,;=:@"

# For every middleware of the process; None: what its own configuration says.
_ENABLED: bool | None = None
_HMAC_KEYS: list[str] | tuple[str, ...] | None = None


def disable() -> None:
    """Turn every middleware of this process off, whatever its own configuration says."""
    global _ENABLED
    _ENABLED = False


def enable(hmac_keys: str | None = None) -> None:
    """Turn every middleware of this process on; with *hmac_keys* (comma-separated) these are the keys that count."""
    global _ENABLED
    _ENABLED = True
    use_keys(split(hmac_keys) if hmac_keys else None)


def use_keys(keys: list[str] | tuple[str, ...] | None) -> None:
    """Have only *keys* count in every middleware of this process; None: those of its own configuration."""
    global _HMAC_KEYS
    _HMAC_KEYS = keys


class WsgiMiddleware:
    """A WSGI application around another: requests that ask for it with a signed header are traced.

    It streams: nothing is buffered, and the trace point lasts until the body is closed. A body that is whole when the
    application returns it (a list, a file) is handed on as it is, and the point ends there. Calling it with a
    ``webob.Request`` alone answers with a ``webob.Response``.
    """

    def __init__(
        self,
        application: WSGIApplication,
        hmac_keys: str | None = None,
        enabled: bool | str = False,
        **kwargs: Any,
    ) -> None:
        """*hmac_keys* (comma-separated) and *enabled* count until :func:`enable` or :func:`disable` is called. Further
        arguments, which older configurations hold, are ignored.
        """
        self.application = application
        self.name = "wsgi"
        self.enabled = enabled.strip().lower() not in _OFF if isinstance(enabled, str) else enabled
        self.hmac_keys = split(hmac_keys or "")

    @classmethod
    def factory(cls, global_conf: Mapping[str, Any] | None, **local_conf: Any) -> Callable[[Any], WsgiMiddleware]:
        """PasteDeploy's filter factory."""

        def filter_(app: Any) -> WsgiMiddleware:
            return cls(app, **local_conf)

        return filter_

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse | None = None) -> Iterable[bytes]:
        if start_response is None:
            # Not a WSGI call: stock's middleware answers requests of webob too. A subclass may have called us so from
            # a __call__ of its own, which is not to be called again.
            plain = functools.partial(WsgiMiddleware.__call__, self)
            response: Iterable[bytes] = environ.get_response(plain)  # type: ignore[attr-defined]
            return response
        served = self._accept(environ)
        try:
            if served is None:
                return self.application(environ, start_response)
            return Call(served, start_response).run(self.application, environ)
        except Exception as fault:
            if not _is_answer(fault):
                raise
            answer: WSGIApplication = fault  # type: ignore[assignment]
            return answer(environ, start_response)

    def _trace_is_valid(self, trace_info: Any) -> bool:
        return osprofiler.is_trace_info(trace_info)

    def _accept(self, environ: WSGIEnvironment) -> http_server.Served | None:
        """How to run this request; None: just as it is."""
        try:
            settings = config.fresh()  # first: what it reads may turn the middleware on or off
            if not (self.enabled if _ENABLED is None else _ENABLED):
                return None
            keys = self.hmac_keys if _HMAC_KEYS is None else _HMAC_KEYS
            asks = _INFO_KEY in environ or _CONTEXT_KEY in environ
            return http_server.accept(settings, self.name, keys, asks, _Request, environ)
        except Exception as fault:
            guard.swallow("web.request", fault)
            return None


class _Request:
    """What the handler asks of a request."""

    __slots__ = ("_environ",)

    component = "wsgi"

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._environ = environ

    @property
    def fields(self) -> Mapping[str, str]:
        return carriers.Environ(self._environ)

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
        return quote(self._bytes("SCRIPT_NAME") + self._bytes("PATH_INFO"), safe=_PATH_SAFE)

    @property
    def query(self) -> str:
        query: str = self._environ.get("QUERY_STRING", "")
        return query

    def _bytes(self, name: str) -> bytes:
        return str(self._environ.get(name, "")).encode("latin-1", "replace")


def _is_answer(fault: Exception) -> bool:
    """Whether it is one of webob's exceptions that are answers, such as 404: stock's middleware gives these."""
    webob = sys.modules.get("webob.exc")
    return webob is not None and isinstance(fault, webob.HTTPException)
