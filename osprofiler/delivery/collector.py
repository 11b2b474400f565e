# SPDX-License-Identifier: Apache-2.0
"""A collector that takes spans over HTTP: its session, and the outcome of a batch for each of its responses."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from osprofiler._runtime import http_status
from osprofiler.connection.access import Access
from osprofiler.connection.fault_text import typed_fault_line
from osprofiler.delivery.exporter import Rejected, Transient

if TYPE_CHECKING:
    import requests

#: The longest connection, and the longest request, in seconds.
_CONNECT_S, _WHOLE_S = 3.0, 10.0

#: The longest response. That of a success is empty, or says what was wrong with some of the spans.
_RESPONSE_BYTES = 1 << 16


class Collector:
    """Posts to *url* (with ``user:password@`` if the collector asks for them), each time with *headers*."""

    def __init__(self, url: str, headers: Mapping[str, str], access: Access | None = None) -> None:
        # Import all that a request needs; requests imports netrc with its first one. Here and not in the thread of the
        # reporter: after a fork during the import the child would wait for the import lock for ever.
        import netrc  # noqa: F401

        from osprofiler._runtime import http_session  # noqa: F401

        self.url = url
        self._headers = dict(headers)
        self._access = access or Access()
        self._session: requests.Session | None = None
        self._request: requests.PreparedRequest | None = None
        self._surroundings: Mapping[str, Any] = {}

    def after_fork(self) -> None:
        """In a forked child: forget the connection, which is the parent's."""
        self._session = None

    def post(self, body: bytes, deadline: float) -> bytes:
        """Send *body* by *deadline* (of the monotonic clock, in seconds). Return the response of a success.

        Raises Transient if another attempt may help, Rejected if none will.
        """
        import requests

        whole_s = min(max(deadline - time.monotonic(), 0.05), _WHOLE_S)
        try:
            session, request = self._prepared()
            request.prepare_body(body, None)
            response = session.send(request, timeout=(_CONNECT_S, whole_s), allow_redirects=False, **self._surroundings)
            content = response.content
        except requests.Timeout as fault:
            raise Transient(self._text_of(fault)) from None
        except requests.RequestException as fault:
            if fault.response is None:
                raise Transient(self._text_of(fault)) from None
            # The response breaks off, is too long, or does not fit its headers. But it has a status.
            response, content = fault.response, b""
        except OSError as fault:  # a file of certificates does not exist; the text names it
            raise Transient(self._text_of(fault)) from None
        status = response.status_code
        if 200 <= status < 300:
            return content
        text, unavailable = http_status.text(status), http_status.is_unavailable(status)
        if unavailable or status >= 500:
            raise Transient(text, unreachable=unavailable, retry_after_s=http_status.retry_after_s(response))
        if status == 413:
            raise Rejected(text, reason="too_large", divisible=True)
        raise Rejected(text, divisible=status == 400)

    def _prepared(self) -> tuple[requests.Session, requests.PreparedRequest]:
        """The session, and the request without a body.

        They are made once. To parse the URL, to read proxies and certificates from the environment and to look for
        ~/.netrc costs as much as to encode a hundred spans.
        """
        import requests

        from osprofiler._runtime import http_session

        if self._session is None or self._request is None:
            session = http_session.session(_RESPONSE_BYTES)
            request = session.prepare_request(
                requests.Request("POST", self.url, headers=self._headers, auth=self._access.auth)
            )
            self._surroundings = session.merge_environment_settings(
                self.url, {}, True, self._access.verify, self._access.certificate
            )
            self._session, self._request = session, request
        return self._session, self._request

    def _text_of(self, fault: Exception) -> str:
        secrets = [text for name, text in self._headers.items() if not name.startswith("Content-")]
        return typed_fault_line(fault, self.url, plain=[*secrets, self._access.token or ""])
