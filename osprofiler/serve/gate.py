# SPDX-License-Identifier: Apache-2.0
"""Who may ask: the method of a request, its host, and its credentials."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from osprofiler.serve.responses import Refused

_METHODS = ("GET", "HEAD")
_MOST_QUERY_CHARS = 8_000


def is_loopback(host: str) -> bool:
    """Whether *host*, an address or a name, is only reachable from this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


@dataclass(frozen=True, repr=False)
class Gate:
    """Lets requests pass. With an *account* or a *key*, only those that have one of them.

    Without both, only those to a name of the loopback interface: a page of another site may have made a name of its own
    that leads here (DNS rebinding), and would then read all traces.
    """

    account: str | None = None  # user:password, for basic authentication
    key: str | None = None  # of a bearer token

    def check(self, environ: Mapping[str, Any]) -> None:
        """Raise Refused if the request with this WSGI environment may not pass."""
        if environ["REQUEST_METHOD"] not in _METHODS:
            allowed = ", ".join(_METHODS)
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"only {allowed}: it is read-only", (("Allow", allowed),))
        if len(environ.get("QUERY_STRING", "")) > _MOST_QUERY_CHARS:
            raise Refused(HTTPStatus.REQUEST_URI_TOO_LONG, f"the query has more than {_MOST_QUERY_CHARS:,} characters")
        if self.account is None and self.key is None:
            if not _names_loopback(environ.get("HTTP_HOST", "")):
                raise Refused(HTTPStatus.FORBIDDEN, "this address is not a name of this machine: use localhost")
        elif not self._has_credentials(environ.get("HTTP_AUTHORIZATION", "")):
            kinds = ['Basic realm="osprofiler", charset="UTF-8"'] * (self.account is not None)
            kinds += ['Bearer realm="osprofiler"'] * (self.key is not None)
            raise Refused(
                HTTPStatus.UNAUTHORIZED, "no valid credentials", tuple(("WWW-Authenticate", kind) for kind in kinds)
            )

    def _has_credentials(self, authorization: str) -> bool:
        kind, _, given = authorization.partition(" ")
        if kind.lower() == "bearer" and self.key is not None:
            return _equal(given.strip(), self.key)
        if kind.lower() == "basic" and self.account is not None:
            try:
                return _equal(base64.b64decode(given, validate=True).decode("utf-8"), self.account)
            except (binascii.Error, ValueError):
                return False
        return False


def _equal(given: str, wanted: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode("utf-8"))


def _names_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name)
