# SPDX-License-Identifier: Apache-2.0
"""Ask a WSGI application in this process, as a server does. The standard's checker looks at requests and responses."""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

LOCAL = "127.0.0.1:16686"


class Response(NamedTuple):
    """A response."""

    status: int
    headers: dict[str, str]  # with names in lower case
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def ask(application: Any, address: str, method: str = "GET", **headers: str) -> Response:
    """The response of *application* to a request for *address*, a path with its query."""
    path, _, query = address.partition("?")
    environ: dict[str, Any] = {"HTTP_HOST": LOCAL}
    setup_testing_defaults(environ)
    environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    environ |= {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
    }
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, fields: list[tuple[str, str]], exc_info: Any = None) -> Any:
        started.append((status, fields))
        return lambda data: None

    pieces = validator(application)(environ, start_response)
    try:
        body = b"".join(pieces)
    finally:
        pieces.close()
    ((status, fields),) = started
    joined: dict[str, str] = {}
    for name, value in fields:
        joined[name.lower()] = f"{joined[name.lower()]}, {value}" if name.lower() in joined else value
    return Response(int(status[:3]), joined, body.decode())
