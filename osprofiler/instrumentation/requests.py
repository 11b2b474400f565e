# SPDX-License-Identifier: Apache-2.0
"""The adapter of python-requests: each HTTP request is a trace point, and passes the trace on in its headers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current
from osprofiler.handlers import http_client


class Requests:
    """Describes the requests and responses of python-requests to the handler."""

    name = component = "requests"

    def request(self, outgoing: Any) -> http_client.Request:
        return http_client.describe(outgoing.method, urlsplit(outgoing.url))

    def with_headers(self, outgoing: Any, headers: Mapping[str, str]) -> Any:
        """Return a copy of *outgoing*: its owner may send the original again, in another trace or in none."""
        traced = copy.copy(outgoing)
        traced.headers = outgoing.headers.copy()
        traced.headers.update(headers)
        return traced

    def response(self, received: Any) -> http_client.Response:
        return http_client.describe_status(received.status_code)


LIBRARY = Requests()


def _send(original: Method) -> Method:
    def send(self: Any, /, request: Any, *args: Any, **kwargs: Any) -> Any:
        here = current.point.get()
        if here is None:
            return original(self, request, *args, **kwargs)
        return http_client.exchange(LIBRARY, here, request, lambda traced: original(self, traced, *args, **kwargs))

    return send


_wrapping = Wrapping(Target("requests.adapters", "HTTPAdapter", "send", _send))


instrument = _wrapping.install


def enable() -> None:
    """Trace the requests that python-requests sends, also if it is imported later. A second call does nothing."""
    instrument()


def uninstrument() -> None:
    """Stop tracing the requests that python-requests sends."""
    _wrapping.uninstall()


def send(self: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
    """``HTTPAdapter.send``. Once instrumented, it is a trace point, with the context in a copy of *request*."""
    from requests.adapters import HTTPAdapter

    return HTTPAdapter.send(self, request, *args, **kwargs)
