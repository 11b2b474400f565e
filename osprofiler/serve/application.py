# SPDX-License-Identifier: Apache-2.0
"""The WSGI application: each request gets one complete response, also if it cannot be answered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from osprofiler.connection.fault_text import fault_line, typed_fault_line
from osprofiler.drivers.abilities import Unsupported
from osprofiler.drivers.errors import StoreError
from osprofiler.serve import jaeger_api, pages
from osprofiler.serve.gate import Gate
from osprofiler.serve.parameters import Parameters
from osprofiler.serve.responses import JSON, Refused, Response, Route, line
from osprofiler.serve.shared import Shared
from osprofiler.serve.store import Store
from osprofiler.serve.ui_files import UiFiles

LOG = logging.getLogger(__name__)

_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


def of(store: Store, gate: Gate, base_path: str = "", ui: UiFiles | None = None) -> Application:
    """The application that serves *store*, below *base_path*, with Jaeger's UI if it is given."""
    routes = [*jaeger_api.routes(store), *pages.routes(store)]
    routes += pages.redirects(base_path) if ui is None else ui.routes()
    return Application(gate, routes, base_path, store.connection_string)


class Application:
    """Answers below *base_path*, which is "" or begins with a slash. The first route that matches a path has it.

    The secrets of *connection_string* are cut from the texts of errors.
    """

    def __init__(self, gate: Gate, routes: Sequence[Route], base_path: str, connection_string: str) -> None:
        self._gate = gate
        self._routes = routes
        self._base_path = base_path
        self._connection_string = connection_string
        self._running: Shared[Response] = Shared()

    def __call__(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        response = self._response(environ)
        headers = [("Content-Type", response.kind), ("Content-Length", str(len(response.body)))]
        headers += [("Content-Security-Policy", response.policy), ("Cache-Control", response.cache)]
        headers += [*_HEADERS, *response.headers]
        start_response(f"{response.status.value} {response.status.phrase}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [response.body]

    def _response(self, environ: Mapping[str, Any]) -> Response:
        path = ""
        try:
            whole = _path(environ)
            is_below = whole.startswith(f"{self._base_path}/")
            path = whole.removeprefix(self._base_path) if is_below else ""
            self._gate.check(environ)
            if not is_below:
                raise Refused(HTTPStatus.NOT_FOUND, f"nothing here; it begins at {self._base_path}/")
            query = environ.get("QUERY_STRING", "")
            return self._running.get((path, query), lambda: self._routed(path, query))
        except Refused as why:
            return _refusal(path, why.status, str(why), why.headers)
        except Unsupported as why:
            return _refusal(path, HTTPStatus.NOT_IMPLEMENTED, fault_line(why, self._connection_string))
        except (StoreError, OSError) as why:
            return _refusal(path, HTTPStatus.SERVICE_UNAVAILABLE, fault_line(why, self._connection_string))
        except Exception as fault:
            LOG.error("cannot answer %r: %s", path, typed_fault_line(fault, self._connection_string))
            return _refusal(path, HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the log of the server names it")

    def _routed(self, path: str, query: str) -> Response:
        parameters = Parameters(query)
        for route in self._routes:
            response = route.response(path, parameters)
            if response is not None:
                return response
        raise Refused(HTTPStatus.NOT_FOUND, "nothing here")


def _path(environ: Mapping[str, Any]) -> str:
    """The path of the request: WSGI has its bytes as Latin-1."""
    try:
        path = str(environ.get("PATH_INFO") or "/").encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise Refused(HTTPStatus.BAD_REQUEST, "the path is not UTF-8") from None
    if "\0" in path:
        raise Refused(HTTPStatus.BAD_REQUEST, "the path has a null character")
    return path


def _refusal(path: str, status: HTTPStatus, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    if path.startswith("/api/"):
        return Response(status, JSON, jaeger_api.error_text(path, status.value, text).encode(), headers)
    return line(status, text, headers)
