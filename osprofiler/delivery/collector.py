# SPDX-License-Identifier: Apache-2.0
"""A collector that takes spans over HTTP: one session, and what each of its answers means for a batch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from osprofiler.connection.access import Access
from osprofiler.connection.fault_text import typed_fault_line
from osprofiler.delivery.exporter import Rejected, Transient

if TYPE_CHECKING:
    import requests

#: What somebody between us and the collector answers when it is away, or asks for patience.
_AWAY = frozenset((408, 425, 429, 502, 503, 504))

#: How long a connection may take, and all of a request.
_CONNECT_S, _WHOLE_S = 3.0, 10.0

#: Of an answer this much is taken. A success says nothing, or what was wrong with some of the spans.
_ANSWER_BYTES = 1 << 16


class Collector:
    """Posts to *url* (with ``user:password@`` where the collector wants one), with *headers* each time."""

    def __init__(self, url: str, headers: Mapping[str, str], access: Access | None = None) -> None:
        # What sending imports, netrc too, which requests imports with its first request: here and not in the
        # reporter's thread, since a process forked while a thread imports waits for ever for the lock of that import.
        import netrc  # noqa: F401

        from osprofiler._runtime import http_session  # noqa: F401

        self.url = url
        self._headers = dict(headers)
        self._access = access or Access()
        self._session: requests.Session | None = None
        self._request: requests.PreparedRequest | None = None
        self._surroundings: Mapping[str, Any] = {}

    def after_fork(self) -> None:
        """Leave the parent's connection alone."""
        self._session = None

    def post(self, body: bytes, deadline: float) -> bytes:
        """Send *body* by *deadline* (of the monotonic clock, in seconds); what a success answers with.

        Raises Transient where another attempt may help, Rejected where none will.
        """
        import requests

        from osprofiler._runtime import http_session

        whole_s = min(max(deadline - time.monotonic(), 0.05), _WHOLE_S)
        try:
            session, request = self._prepared()
            request.prepare_body(body, None)
            answer = session.send(request, timeout=(_CONNECT_S, whole_s), allow_redirects=False, **self._surroundings)
            content = answer.content
        except requests.Timeout as fault:
            raise Transient(self._told(fault)) from None
        except requests.RequestException as fault:
            if fault.response is None:
                raise Transient(self._told(fault)) from None
            # It breaks off, has no end, or is not what its header says; but the status has been said.
            answer, content = fault.response, b""
        except OSError as fault:  # no such file of certificates: requests says which
            raise Transient(self._told(fault)) from None
        status = answer.status_code
        if 200 <= status < 300:
            return content
        said = f"HTTP status {status}"
        if status in _AWAY or status >= 500:
            raise Transient(said, unreachable=status in _AWAY, retry_after_s=http_session.retry_after_s(answer))
        if status == 413:
            raise Rejected(said, reason="too_large", divisible=True)
        raise Rejected(said, divisible=status == 400)

    def _prepared(self) -> tuple[requests.Session, requests.PreparedRequest]:
        """The session, and the request without a body. Made once: parsing the URL, reading proxies and certificates
        from the environment and looking for ~/.netrc cost as much as encoding a hundred spans."""
        import requests

        from osprofiler._runtime import http_session

        if self._session is None or self._request is None:
            session = http_session.session(_ANSWER_BYTES)
            request = session.prepare_request(
                requests.Request("POST", self.url, headers=self._headers, auth=self._access.auth)
            )
            self._surroundings = session.merge_environment_settings(
                self.url, {}, True, self._access.verify, self._access.certificate
            )
            self._session, self._request = session, request
        return self._session, self._request

    def _told(self, fault: Exception) -> str:
        secrets = [text for name, text in self._headers.items() if not name.startswith("Content-")]
        return typed_fault_line(fault, self.url, plain=[*secrets, self._access.token or ""])
