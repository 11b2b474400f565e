# SPDX-License-Identifier: Apache-2.0
"""The responses to HTTP requests, and the routes that lead to them."""

from __future__ import annotations

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from osprofiler.serve.parameters import Parameters

JSON = "application/json"
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"

#: What a page of ours may do. A page with a script has a policy of its own as well, which allows only that script.
_OURS = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)


class Response(NamedTuple):
    """A complete response."""

    status: HTTPStatus
    kind: str  # the content type
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    policy: str = _OURS  # the content security policy
    cache: str = "no-store"  # the cache control


class Refused(Exception):
    """The request cannot be answered. The text is one line for the user, without secrets."""

    def __init__(self, status: HTTPStatus, text: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(text)
        self.status = status
        self.headers = headers


class Route(NamedTuple):
    """The paths that match *path*, below the base path. *respond* takes the groups of the match first."""

    path: re.Pattern[str]
    respond: Callable[..., Response]  # (*groups: str, parameters: Parameters)

    def response(self, path: str, parameters: Parameters) -> Response | None:
        """The response for *path*; None if this is not its route."""
        match = self.path.fullmatch(path)
        return None if match is None else self.respond(*match.groups(), parameters)


def json_response(text: str) -> Response:
    """The response with this JSON."""
    return Response(HTTPStatus.OK, JSON, text.encode("utf-8", "backslashreplace"))


def page(text: str) -> Response:
    """The response with this page of ours."""
    return Response(HTTPStatus.OK, HTML, text.encode("utf-8", "backslashreplace"))


def line(status: HTTPStatus, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """The response with one line of text."""
    return Response(status, TEXT, f"{text}\n".encode("utf-8", "backslashreplace"), headers)


def redirect(address: str) -> Response:
    """The response that leads a browser to *address*, a path with its query."""
    return line(HTTPStatus.FOUND, f"see {address}", (("Location", address),))
