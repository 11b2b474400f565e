# SPDX-License-Identifier: Apache-2.0
"""A policy at a URL. Each read is one conditional request (RFC 9110, section 13)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from osprofiler._runtime import http_session
from osprofiler.config.policy_text import MAX_BYTES
from osprofiler.connection import strings
from osprofiler.connection.access import Access
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import masked
from osprofiler.steering.unreadable import Unreadable

#: Options after ``?`` that are for us and are not sent. All others are part of the URL.
OPTIONS = ("token", "ca_certs", "verify", "certfile", "keyfile")

_MAX_REDIRECTS = 5
_PORTS = {"http": 80, "https": 443}
#: The header that has the mark of the content, and the header that asks whether it still has it.
_CONDITIONS = (("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since"))


class HttpSource:
    """``http[s]://[user:password@]host[:port]/path``, with the options ``OPTIONS`` after ``?``.

    Raises ValueError, one line without secrets, if *address* is malformed.
    """

    def __init__(self, address: str) -> None:
        self.shown = masked(address)
        self._address = address
        scheme = strings.scheme(address)
        strings.split(address, _PORTS[scheme])
        self._url, options = strings.take_options(address, OPTIONS)
        self._access = Access.of(address, options, over_tls=scheme == "https")
        self._conditions: dict[str, str] = {}

    def read(self, limit_s: float) -> bytes | None:
        """See :class:`osprofiler.steering.sources.Source`. *limit_s* bounds the whole request with its redirects."""
        try:
            # A session for each read: it is rare, and no connection is shared with a forked child.
            with _Session(MAX_BYTES) as session:
                response = session.get(
                    self._url,
                    headers=self._conditions,
                    timeout=(limit_s, limit_s),
                    verify=self._access.verify,
                    cert=self._access.certificate,
                    auth=self._access.auth,
                )
        except OSError as fault:  # the errors of requests are OSErrors
            raise Unreadable(fault_line(fault, self._address)) from None
        if response.status_code == requests.codes.not_modified and self._conditions:
            return None
        if response.status_code != requests.codes.ok:
            raise Unreadable(f"the server answers {response.status_code}")
        self._conditions = {ask: response.headers[mark] for mark, ask in _CONDITIONS if mark in response.headers}
        return response.content


class _Session(http_session.Session):
    """Follows a few redirects, none of them to another scheme: from https that would be readable to everybody."""

    def __init__(self, response_bytes: int) -> None:
        super().__init__(response_bytes)
        self.max_redirects = _MAX_REDIRECTS

    def get_redirect_target(self, response: Any, /) -> str | None:
        target: str | None = super().get_redirect_target(response)
        if target is not None:
            before, after = (urlsplit(url).scheme for url in (response.url, urljoin(response.url, target)))
            if before != after:
                raise requests.exceptions.InvalidSchema(f"it redirects from {before} to {after}: name the last address")
        return target
