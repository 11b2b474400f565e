# SPDX-License-Identifier: Apache-2.0
"""A process's HTTP client of one store. It loads requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from osprofiler._runtime import http_session
from osprofiler.connection.access import Access
from osprofiler.drivers import network

if TYPE_CHECKING:
    import requests


class HttpClient:
    """Sends requests with the credentials of *access*, or with the *account* (user and password) if there is one."""

    def __init__(self, access: Access, account: tuple[str, str] | None = None) -> None:
        self.access = access
        self._account = account
        self._session = network.PerProcess(http_session.session)

    def request(self, method: str, url: str, whole_s: float, /, **options: Any) -> requests.Response:
        """Send one request, which may take *whole_s* seconds. *options* and errors are those of requests."""
        return self._session.get().request(
            method,
            url,
            auth=self._account or self.access.auth,
            cert=self.access.certificate,
            verify=self.access.verify,  # $REQUESTS_CA_BUNDLE would override a value of the session
            timeout=(network.CONNECT_TIMEOUT_S, whole_s),
            **options,
        )

    def close(self) -> None:
        """Close the connections."""
        self._session.close()
