# SPDX-License-Identifier: Apache-2.0
"""Tracing of urllib3: each HTTP request that a pool sends is a span.

Redirects and retries are spans of their own. Other libraries send by urllib3; a request that has their span does not
get another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current
from osprofiler.handlers import http_client


class _Outgoing(NamedTuple):
    pool: Any
    method: str
    url: str  # the path; the whole URL if a proxy gets it
    kwargs: dict[str, Any]


class Urllib3:
    """Translates the requests and responses of urllib3 for the handler."""

    name = component = "urllib3"

    def request(self, outgoing: _Outgoing) -> http_client.Request:
        pool = outgoing.pool
        host = f"[{pool.host}]" if ":" in pool.host and not pool.host.startswith("[") else pool.host
        server = f"{pool.scheme}://{host}:{pool.port}" if pool.port else f"{pool.scheme}://{host}"
        url = f"{server}{outgoing.url}" if outgoing.url.startswith("/") else outgoing.url
        return http_client.describe(outgoing.method, urlsplit(url))

    def with_headers(self, outgoing: _Outgoing, headers: Mapping[str, str]) -> _Outgoing:
        ours = {name.lower() for name in headers}
        own = outgoing.kwargs.get("headers") or {}
        kept = own.copy()
        for name in own:
            if name.lower() in ours:
                del kept[name]
        kept.update(headers)
        return outgoing._replace(kwargs={**outgoing.kwargs, "headers": kept})

    def response(self, received: Any) -> http_client.Response:
        return http_client.describe_status(received.status)


LIBRARY = Urllib3()


def _make_request(original: Method) -> Method:
    def make_request(self: Any, /, conn: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        here = current.point.get()
        # urllib3 gives all other arguments by name.
        if here is None or isinstance(here, http_client.RequestPoint) or args:
            return original(self, conn, method, url, *args, **kwargs)

        def send(outgoing: _Outgoing) -> Any:
            return original(self, conn, method, url, **outgoing.kwargs)

        return http_client.exchange(LIBRARY, here, _Outgoing(self, method, url, kwargs), send)

    return make_request


_wrapping = Wrapping(Target("urllib3.connectionpool", "HTTPConnectionPool", "_make_request", _make_request))

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
