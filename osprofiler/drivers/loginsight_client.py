# SPDX-License-Identifier: Apache-2.0
"""Log Insight's HTTP API, version 1: open sessions, store events, and query them.

Source: VMware's REST API reference for Log Insight.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from osprofiler import exc
from osprofiler._runtime import http_status
from osprofiler.connection import strings
from osprofiler.connection.access import Access
from osprofiler.drivers import errors, network

if TYPE_CHECKING:
    import requests

#: The most events that one query returns.
_LIMIT = 20000


class LogInsightClient:
    """The part of Log Insight's HTTP API that the driver needs. Each process has its own session."""

    LI_OSPROFILER_AGENT_ID = "F52D775B-6017-4787-8C8A-F21AE0AEC057"

    SESSIONS_PATH = "api/v1/sessions"
    CURRENT_SESSIONS_PATH = "api/v1/sessions/current"
    EVENTS_INGEST_PATH = f"api/v1/events/ingest/{LI_OSPROFILER_AGENT_ID}"
    QUERY_EVENTS_BASE_PATH = "api/v1/events"

    def __init__(
        self,
        host: str,
        username: str,
        password: str,
        api_port: int = 9000,
        api_ssl_port: int = 9543,
        query_timeout: int = 60000,
    ) -> None:
        import urllib3

        from osprofiler.drivers.http_client import HttpClient

        self._host = host
        self._username = username
        self._password = password
        self._api_port = api_port
        self._api_ssl_port = api_ssl_port
        self._query_timeout = query_timeout  # milliseconds
        #: Its ``access`` has the certificates. By default the server's is not checked, as the documentation says.
        self.http = HttpClient(Access(verify=False))
        # It would warn at each request.
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._session_id: str | None = None
        self._login_lock = threading.Lock()

    def login(self) -> None:
        """Open a session, unless one is still valid. Raises LogInsightAPIError, or an error of requests."""
        with self._login_lock:
            if self._session_id and self._is_current_session_active():
                return
            account = {"username": self._username, "password": self._password}
            session = self._ask("POST", "https", self.SESSIONS_PATH, account)
            self._session_id = str(session["sessionId"])

    def send_event(self, event: dict[str, Any]) -> None:
        """Store one event."""
        self.send_events([event])

    def send_events(self, events: Sequence[dict[str, Any]]) -> None:
        """Store *events*, at most 500 and 4 MB. This needs no login."""
        self._ask("POST", "http", self.EVENTS_INGEST_PATH, {"events": list(events)})

    def query_events(self, params: Mapping[str, str], before_ms: int | None = None) -> Any:
        """The server's response: the newest events whose fields contain the texts in *params*, older than *before_ms*.

        Logs in if that is necessary.
        """
        constraints = [f"{field}/CONTAINS+{quote(value, safe='')}" for field, value in params.items()]
        constraints.append("timestamp/GT+0")
        if before_ms is not None:
            constraints.append(f"timestamp/LT+{before_ms}")
        path = f"{self.QUERY_EVENTS_BASE_PATH}/{'/'.join(constraints)}?limit={_LIMIT}&timeout={self._query_timeout}"
        if self._session_id is None:
            self.login()
        try:
            return self._ask("GET", "https", path)
        except exc.LogInsightLoginTimeout:
            self.login()
            return self._ask("GET", "https", path)

    def all_events(self, params: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """All matching events. Each query returns the newest events; the next one those before its oldest event."""
        before_ms: int | None = None
        seen: set[str] = set()
        while True:
            events = self.query_events(params, before_ms).get("events") or []
            new = 0
            for event in events:
                key = json.dumps(event, sort_keys=True)
                if key not in seen:
                    seen.add(key)
                    new += 1
                    yield event
            if len(events) < _LIMIT or not new:
                return
            before_ms = min(int(event["timestamp"]) for event in events) + 1

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def _is_current_session_active(self) -> bool:
        try:
            self._ask("GET", "https", self.CURRENT_SESSIONS_PATH)
        except (exc.LogInsightLoginTimeout, exc.LogInsightAPIError):
            return False
        return True

    def _ask(self, method: str, scheme: str, path: str, body: dict[str, Any] | None = None) -> Any:
        port = self._api_ssl_port if scheme == "https" else self._api_port
        headers = {"Content-Type": "application/json"}
        if scheme == "https" and self._session_id:
            headers["X-LI-Session-Id"] = self._session_id
        response = self.http.request(
            method,
            f"{scheme}://{strings.place(self._host, port)}/{path}",
            self._query_timeout / 1000 + network.ANSWER_TIMEOUT_S,
            data=json.dumps(body, ensure_ascii=False).encode("utf-8", "backslashreplace") if body is not None else None,
            headers=headers,
            allow_redirects=False,
        )
        if response.status_code == 440:
            raise exc.LogInsightLoginTimeout
        if not 200 <= response.status_code < 300:
            raise _fault(response)
        return response.json()


class RequestFailed(exc.LogInsightAPIError):
    """The server responded with an HTTP *status* that is not a success.

    *retry_after_s*: how long to wait before the next request, in seconds; None if the server does not say.
    """

    def __init__(self, text: str, status: int, retry_after_s: float | None) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after_s = retry_after_s


def kind_of_fault(error: Exception) -> errors.Kind:
    """The kind of an *error* of the client, for a batch."""
    return errors.kind_of_status(error.status) if isinstance(error, RequestFailed) else errors.kind_of(error)


def _fault(response: requests.Response) -> exc.LogInsightAPIError:
    text = http_status.text(response.status_code, network.fault_of(response).get("errorMessage"))
    return RequestFailed(text, response.status_code, http_status.retry_after_s(response))
