# SPDX-License-Identifier: Apache-2.0
"""Log Insight's HTTP interface, version 1: sessions, storing events, and queries for them.

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
from osprofiler.drivers import errors, network

if TYPE_CHECKING:
    import requests

#: How many events one query returns at most.
_LIMIT = 20000


class LogInsightClient:
    """As much of Log Insight's HTTP interface as the driver needs; each process has its own session."""

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
        self._host = host
        self._username = username
        self._password = password
        self._api_port = api_port
        self._api_ssl_port = api_ssl_port
        self._query_timeout = query_timeout  # milliseconds
        self._http: network.PerProcess[requests.Session] = network.PerProcess(_session)
        self._session_id: str | None = None
        self._login_lock = threading.Lock()
        #: Whether to check the server's certificate, or the file of who signs it.
        self.verify: bool | str = False
        #: The certificate to show: a file, or that and its key's.
        self.certificate: str | tuple[str, str] | None = None

    def login(self) -> None:
        """Get a session unless there is one that still holds. Raises LogInsightAPIError, or what requests raises."""
        with self._login_lock:
            if self._session_id and self._is_current_session_active():
                return
            account = {"username": self._username, "password": self._password}
            answer = self._ask("POST", "https", self.SESSIONS_PATH, account)
            self._session_id = str(answer["sessionId"])

    def send_event(self, event: dict[str, Any]) -> None:
        """Store one event."""
        self.send_events([event])

    def send_events(self, events: Sequence[dict[str, Any]]) -> None:
        """Store *events*, 500 and 4 MB at most. No login is needed for that."""
        self._ask("POST", "http", self.EVENTS_INGEST_PATH, {"events": list(events)})

    def query_events(self, params: Mapping[str, str], before_ms: int | None = None) -> Any:
        """The newest events whose fields contain the texts in *params*, and before that time, as the server gives them.

        Logs in where that is needed.
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
        """Every event that matches, however many: a query returns so many of the newest, and the next one goes on from
        the oldest of those."""
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
        """Give back connections."""
        http = self._http.take()
        if http is not None:
            http.close()

    def _is_current_session_active(self) -> bool:
        try:
            self._ask("GET", "https", self.CURRENT_SESSIONS_PATH)
        except (exc.LogInsightLoginTimeout, exc.LogInsightAPIError):
            return False
        return True

    def _ask(self, method: str, scheme: str, path: str, body: dict[str, Any] | None = None) -> Any:
        port = self._api_ssl_port if scheme == "https" else self._api_port
        host = f"[{self._host}]" if ":" in self._host else self._host
        headers = {"Content-Type": "application/json"}
        if scheme == "https" and self._session_id:
            headers["X-LI-Session-Id"] = self._session_id
        answer = self._http.get().request(
            method,
            f"{scheme}://{host}:{port}/{path}",
            data=json.dumps(body, ensure_ascii=False).encode("utf-8", "backslashreplace") if body is not None else None,
            headers=headers,
            verify=self.verify,
            cert=self.certificate,
            timeout=(network.CONNECT_TIMEOUT_S, self._query_timeout / 1000 + network.ANSWER_TIMEOUT_S),
            allow_redirects=False,
        )
        if answer.status_code == 440:
            raise exc.LogInsightLoginTimeout
        if not 200 <= answer.status_code < 300:
            raise _fault(answer)
        return answer.json()


class RequestFailed(exc.LogInsightAPIError):
    """The server answered with an HTTP *status* other than a success.

    *retry_after_s*: for how long it wants to be left alone, in seconds; None if it does not say.
    """

    def __init__(self, text: str, status: int, retry_after_s: float | None) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after_s = retry_after_s


def kind_of_fault(error: Exception) -> errors.Kind:
    """What *error*, which the client raised, means for a batch."""
    return errors.kind_of_status(error.status) if isinstance(error, RequestFailed) else errors.kind_of(error)


def _fault(answer: requests.Response) -> exc.LogInsightAPIError:
    from osprofiler._runtime import http_session

    reason = None
    try:
        reason = answer.json().get("errorMessage")
    except (ValueError, AttributeError):
        pass  # not the server's own words
    text = http_status.text(answer.status_code, reason)
    return RequestFailed(text, answer.status_code, http_session.retry_after_s(answer))


def _session() -> requests.Session:
    import urllib3

    from osprofiler._runtime import http_session

    # Said once in the documentation, and not by a warning with each request.
    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return http_session.session()
