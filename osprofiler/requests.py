# SPDX-License-Identifier: Apache-2.0
"""Tracing of python-requests: each HTTP request that it sends is a trace point, and carries the trace on."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

from osprofiler import web
from osprofiler._runtime import guard
from osprofiler.config import switches
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.tracer import global_tracer

__all__ = ["disable", "enable", "send"]

LOG = logging.getLogger(__name__)

_PORTS = {"http": 80, "https": 443}

#: The ``HTTPAdapter.send`` that :func:`send` stands for, once tracing has been turned on.
_FUNC: Callable[..., Any] | None = None
_installed = False


def enable() -> None:
    """Trace what requests sends from now on; a second call changes nothing."""
    global _FUNC, _installed
    try:
        from requests.adapters import HTTPAdapter
    except ImportError:
        LOG.warning("trace_requests: python-requests is not installed; nothing to trace")
        return
    # Where somebody else has wrapped ours since, ours is still in there: wrapping again would call it in circles.
    if not _installed or HTTPAdapter.send is _FUNC:
        _FUNC = HTTPAdapter.send
        HTTPAdapter.send = send  # type: ignore[method-assign]
        _installed = True
    switches.decide_http_requests(True)


def disable() -> None:
    """Stop tracing what requests sends."""
    global _installed
    switches.decide_http_requests(False)
    if _installed:
        from requests.adapters import HTTPAdapter

        if HTTPAdapter.send is send and _FUNC is not None:
            HTTPAdapter.send = _FUNC  # type: ignore[method-assign]
            _installed = False


def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
    """``HTTPAdapter.send`` with a trace point around it, whose context goes with a copy of *request*.

    The request itself is its owner's, who may send it again, in another trace or in none.
    """
    function = _FUNC or _plain_send()
    here = current.point.get()
    if here is None or not (switches.http_requests() or _FUNC is None):
        return function(self, request, *args, **kwargs)
    point, request = _open(here, request)
    try:
        response = function(self, request, *args, **kwargs)
    except BaseException as fault:
        _close(point, None, fault)
        raise
    _close(point, response, None)
    return response


def _plain_send() -> Callable[..., Any]:
    from requests.adapters import HTTPAdapter

    return HTTPAdapter.send


def _open(here: Point, request: Any) -> tuple[Point | None, Any]:
    """Open the request's point, if its trace is sampled; return it, and the request with the headers of what is
    current.
    """
    point, sent = None, request
    with guard.Harmless("requests.start"):
        if here.origin.sampled:
            url = urlsplit(request.url)
            point = global_tracer.get_tracer().open_point(
                here, url.scheme, _info(request.method, url), tags=_tags(request.method, url)
            )
        sent = copy.copy(request)
        sent.headers = request.headers.copy()
        sent.headers.update(web.get_trace_id_headers())
    return point, sent


def _info(method: str, url: SplitResult) -> dict[str, Any]:
    return {
        "requests": {
            "method": method,
            "query": url.query,
            "path": url.path,
            "hostname": url.hostname,
            "port": url.port or _PORTS.get(url.scheme, ""),
            "scheme": url.scheme,
        }
    }


def _tags(method: str, url: SplitResult) -> dict[str, Any]:
    return {
        "span.kind": "client",
        "component": "requests",
        "http.method": method,
        # Without the query, which may hold a token, and without user and password.
        "http.url": f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}",
        "peer.hostname": url.hostname or "",
        "peer.port": url.port or _PORTS.get(url.scheme, 0),
    }


def _close(point: Point | None, response: Any, fault: BaseException | None) -> None:
    if point is None or point.span is None:
        return
    with guard.Harmless("requests.stop"):
        info = None
        if response is not None:
            info = {"requests": {"status_code": response.status_code}}
            point.span.set_tag("http.status_code", response.status_code)
            if response.status_code >= 500:
                point.span.set_tag("error", True)
        point.end(info, fault)
