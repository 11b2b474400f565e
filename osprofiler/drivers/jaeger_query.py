# SPDX-License-Identifier: Apache-2.0
"""The HTTP API of Jaeger's query service: read the records of one trace, or of many."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from osprofiler.connection import strings
from osprofiler.connection.access import Access
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import malformed, masked
from osprofiler.drivers import network
from osprofiler.drivers.errors import StoreError, StoreUnavailable
from osprofiler.records import jaeger_json, unreadable

if TYPE_CHECKING:
    from osprofiler.drivers.http_client import HttpClient

PORT = 16686
_HOW_TO_NAME = f"name it with ?query=http://host:{PORT}"

#: The most traces in one response. Jaeger sends whole traces.
_LIMIT = 200
#: The length of the newest window of time, in microseconds. Each earlier window is twice as long.
_WINDOW_US = 3_600_000_000
#: The newest window ends so much later than now: the clock of a service may be ahead of ours.
_AHEAD_US = 86_400_000_000


class Query:
    """The query service at *url*: ``http://host:16686``, with ``user:password@`` if it needs an account.

    The methods raise StoreError, whose text is one line without secrets, if it cannot be read.
    """

    def __init__(self, url: str, access: Access | None = None) -> None:
        strings.split(url, PORT)
        if urlsplit(url).scheme not in ("http", "https"):
            raise malformed(url, f"the address of a Jaeger query service has the form http://host:{PORT}")
        self.shown = masked(url)
        self._url = url.rstrip("/")
        self._access = access or Access()

    @functools.cached_property
    def _client(self) -> HttpClient:
        from osprofiler.drivers.http_client import HttpClient

        return HttpClient(self._access)

    def trace(self, trace_id: int) -> list[dict[str, Any]]:
        """The records of the trace; empty if Jaeger does not have it."""
        traces = self._get(f"traces/{trace_id:032x}", absent=404)
        return [record for trace in traces for record in self._records(trace)]

    def traces(self, service: str | None = None, since_us: int | None = None) -> Iterator[list[dict[str, Any]]]:
        """The records of each trace that has a span of *service* (a pattern) since *since_us*; by default all traces.

        The traces of each service come in windows of time, the newest first. Jaeger has no query for all services, so
        each service has its own requests. If a window has more traces than Jaeger sends at once, its halves are
        requested again: Jaeger does not tell which traces it has left out.
        """
        seen: set[str] = set()
        for name in map(str, self._get("services")):
            if service is not None and not (fnmatchcase(name, service) or fnmatchcase(name, f"*-{service}")):
                continue
            for begin_us, end_us in _windows(since_us or 0):
                for trace in self._within(begin_us, end_us, name):
                    key = str(trace.get("traceID")) if isinstance(trace, dict) else str(trace)
                    if key not in seen:
                        seen.add(key)
                        yield self._records(trace)

    def close(self) -> None:
        self._client.close()

    def _within(self, begin_us: int, end_us: int, service: str) -> Iterator[dict[str, Any]]:
        waiting = [(begin_us, end_us)]
        while waiting:
            begin_us, end_us = waiting.pop()
            window = {"service": service, "start": str(begin_us), "end": str(end_us), "limit": str(_LIMIT)}
            traces = self._get(f"traces?{urlencode(window)}")
            if len(traces) < _LIMIT or end_us - begin_us < 2:
                yield from traces
            else:
                middle_us = (begin_us + end_us) // 2
                waiting += [(begin_us, middle_us), (middle_us, end_us)]

    def _get(self, path: str, absent: int | None = None) -> list[Any]:
        """The data of the response to a GET of *path*; empty if Jaeger responds with the status *absent*."""
        import requests

        try:
            response = self._client.request("GET", f"{self._url}/api/{path}", network.READ_TIMEOUT_S)
        except (OSError, requests.RequestException) as fault:
            reason = fault_line(fault, self._url, plain=[self._access.token or ""])
            raise network.cannot_read(
                self._url, f"{reason}; if Jaeger's query service is elsewhere, {_HOW_TO_NAME}"
            ) from None
        if response.status_code in (401, 403):
            raise StoreUnavailable(
                f"{self.shown} refuses us (HTTP status {response.status_code}): give it an account with "
                f"?query=http://user:password@host:{PORT}, or a token with ?query_token=TOKEN (?token=TOKEN "
                "where the spans go to the same host)"
            )
        try:
            data = response.json()["data"]
        except (ValueError, KeyError, TypeError) as fault:
            raise StoreError(
                f"{self.shown} is no Jaeger query service (HTTP status {response.status_code}); {_HOW_TO_NAME}"
            ) from fault
        if response.status_code not in (200, absent):
            raise network.cannot_read(self._url, f"HTTP status {response.status_code}")
        return data if isinstance(data, list) else []

    def _records(self, trace: Any) -> list[dict[str, Any]]:
        try:
            return jaeger_json.records(trace, self.shown)
        except (ValueError, AttributeError) as fault:
            name = trace.get("traceID") if isinstance(trace, dict) else None
            unreadable.skip(self.shown, f"trace {name}", fault_line(fault, self._url))
            return []


def _windows(since_us: int) -> Iterator[tuple[int, int]]:
    """Windows of time from the end of the newest back to *since_us*, in microseconds since the epoch."""
    end_us = time.time_ns() // 1000 + _AHEAD_US
    length_us = _WINDOW_US + _AHEAD_US
    while end_us > since_us:
        begin_us = max(end_us - length_us, since_us)
        yield begin_us, end_us
        end_us, length_us = begin_us, length_us * 2
