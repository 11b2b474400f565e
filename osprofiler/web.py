# SPDX-License-Identifier: Apache-2.0
"""The REST side: the headers that carry a trace on, and the WSGI middleware that continues or begins one."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from osprofiler import config, propagation
from osprofiler._runtime import guard
from osprofiler._utils import split
from osprofiler.config import switches
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.instrumentation import wsgi_call
from osprofiler.propagation import carriers, osprofiler, signed
from osprofiler.tracer import global_tracer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["X_TRACE_HMAC", "X_TRACE_INFO", "WsgiMiddleware", "disable", "enable", "get_trace_id_headers"]

#: The header with base_id and parent_id, and the header with its signature.
X_TRACE_INFO = osprofiler.TRACE_INFO
X_TRACE_HMAC = osprofiler.TRACE_HMAC

_INFO_KEY = carriers.environ_key(X_TRACE_INFO)
_CONTEXT_KEY = carriers.environ_key(signed.HEADER)

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"))
_OFF = frozenset(("", "0", "false", "no", "off", "f", "n"))
_PATH_SAFE = "/~!$&'()*+,;=:@"


def get_trace_id_headers() -> dict[str, str]:
    """The headers that carry the current trace on to a service that is called; none where no trace is on.

    A trace that is not sampled has only headers that say so.
    """
    if current.point.get() is None:
        return {}
    try:
        return propagation.write(scope.context())
    except Exception as fault:
        guard.swallow("web.headers", fault)
        return {}


def disable() -> None:
    """Turn every middleware of this process off, whatever its own configuration says."""
    switches.decide_wsgi(False)


def enable(hmac_keys: str | None = None) -> None:
    """Turn every middleware of this process on; with *hmac_keys* (comma-separated) these are the keys that count."""
    switches.decide_wsgi(True)
    switches.decide_wsgi_keys(split(hmac_keys) if hmac_keys else None)


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
        """*hmac_keys* (comma-separated) and *enabled* count as long as :func:`enable` and :func:`disable` have said
        nothing else; further arguments, which older configurations hold, are ignored.
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
        call = self._call(environ, start_response)
        try:
            if call is None:
                return self.application(environ, start_response)
            return call.run(self.application, environ)
        except Exception as fault:
            if not _is_answer(fault):
                raise
            answer: WSGIApplication = fault  # type: ignore[assignment]
            return answer(environ, start_response)

    def _trace_is_valid(self, trace_info: Any) -> bool:
        return osprofiler.is_trace_info(trace_info)

    def _call(self, environ: WSGIEnvironment, start_response: StartResponse) -> wsgi_call.Call | None:
        """How to run this request, if not just as it is."""
        try:
            settings = config.fresh()
            if not switches.wsgi(self.enabled, settings):
                return None
            here = current.point.get()
            inside = here is not None and here.span is not None and not here.span.finished
            sample = settings.samples and not inside
            if _INFO_KEY in environ or _CONTEXT_KEY in environ or settings.trust_incoming or sample:
                incoming = self._incoming(environ, sample)
                if incoming is not None:
                    return wsgi_call.Call(self._open(environ, here, incoming), start_response)
            if here is None or inside:
                return None
            # What somebody left behind in this worker is not this request's.
            return wsgi_call.Call(None, start_response)
        except Exception as fault:
            guard.swallow("web.request", fault)
            return None

    def _incoming(self, environ: WSGIEnvironment, sample: bool) -> propagation.Incoming | None:
        """The trace that this request is in."""
        keys = switches.wsgi_keys(self.hmac_keys)
        sampling = global_tracer.sample_for(self._operation(environ)) if sample else None
        return propagation.read(carriers.Environ(environ), keys, sample=sampling)

    def _open(self, environ: WSGIEnvironment, here: Point | None, incoming: propagation.Incoming) -> Point:
        """The point of this request; what was current stays so until it runs."""
        root, follows = Point(None, here, incoming.origin), incoming.follows
        if not incoming.origin.sampled:
            return root
        if here is not None and here.span is not None and _is_same(here.origin, incoming.origin):
            root, follows = here, False  # a second middleware in one pipeline
        path = quote(_bytes(environ, "SCRIPT_NAME") + _bytes(environ, "PATH_INFO"), safe=_PATH_SAFE)
        method, scheme = environ["REQUEST_METHOD"], environ["wsgi.url_scheme"]
        info = {"request": {"path": path, "query": environ.get("QUERY_STRING", ""), "method": method, "scheme": scheme}}
        tags = {
            "span.kind": "server",
            "component": "wsgi",
            "http.method": method,
            "http.url": f"{scheme}://{_host(environ)}{path}",
        }
        point = global_tracer.get_tracer().open_point(
            root, self.name, info, operation=self._operation(environ), tags=tags, follows=follows
        )
        current.point.set(here)
        return point

    def _operation(self, environ: WSGIEnvironment) -> str:
        # Of methods made up by a client there is no end.
        method = environ["REQUEST_METHOD"]
        return f"{self.name} {method if method in _METHODS else 'other'}"


def _is_answer(fault: Exception) -> bool:
    """Whether it is one of webob's exceptions that are answers, such as 404: stock's middleware gives these."""
    webob = sys.modules.get("webob.exc")
    return webob is not None and isinstance(fault, webob.HTTPException)


def _is_same(one: Origin, other: Origin) -> bool:
    return one.trace_id == other.trace_id and one.parent_id == other.parent_id


def _bytes(environ: WSGIEnvironment, name: str) -> bytes:
    return str(environ.get(name, "")).encode("latin-1", "replace")


def _host(environ: WSGIEnvironment) -> str:
    """Host and port as the client named them, else as the server knows them."""
    host = environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    return str(host).rpartition("@")[2]
