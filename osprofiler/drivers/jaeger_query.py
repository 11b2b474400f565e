# SPDX-License-Identifier: Apache-2.0
"""The HTTP API of Jaeger's query service: read the records of one trace, or of many."""

from __future__ import annotations

import functools
import itertools
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from osprofiler._runtime import http_status
from osprofiler._runtime.batched import batched
from osprofiler.connection import strings
from osprofiler.connection.access import Access
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import malformed, masked
from osprofiler.drivers import network, places
from osprofiler.drivers.errors import StoreError, StoreUnavailable
from osprofiler.drivers.newest_first import windows
from osprofiler.records import fast_json, jaeger_json, names, unreadable

if TYPE_CHECKING:
    from osprofiler.drivers.http_client import HttpClient
    from osprofiler.drivers.wanted import Wanted

PORT = 16686
_HOW_TO_NAME = f"name it with ?query=http://host:{PORT}"

#: The most traces in one response. Jaeger sends whole traces.
_LIMIT = 200
#: The length of the newest page, in microseconds. Later pages have at least _PAGE_TRACES traces, if there are so many.
_PAGE_US = 60_000_000
_PAGE_TRACES = 50
#: The newest page ends so much later than now: the clock of a service may be ahead of ours.
_AHEAD_US = 86_400_000_000
#: If Jaeger fails to search a longer window, it is made shorter. On Elasticsearch and OpenSearch Jaeger names the index
#: of each day of a window in the URL, and these servers take 4,096 bytes: about 120 days.
_SEARCHED_US = 30 * 86_400_000_000
#: Traces that are named in one request.
_NAMED = 20


class _Response(NamedTuple):
    """A response of Jaeger."""

    status: int
    data: list[Any]
    error: str  # why Jaeger has failed; "" if it does not tell


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
        self._longest_us = time.time_ns() // 1000  # of the windows that this Jaeger can search: at first all time

    @functools.cached_property
    def _client(self) -> HttpClient:
        from osprofiler.drivers.http_client import HttpClient

        return HttpClient(self._access)

    def trace(self, trace_id: int) -> list[dict[str, Any]]:
        """The records of the trace; empty if Jaeger does not have it."""
        traces = self._get(f"traces/{trace_id:032x}", absent=404)
        return [record for trace in traces for record in self._records(trace)]

    def traces(self, trace_ids: Iterable[int]) -> Iterator[tuple[int, list[dict[str, Any]]]]:
        """The id and the records of each of the traces that Jaeger has."""
        for named in batched(trace_ids, _NAMED):
            query = urlencode([("traceID", f"{trace_id:032x}") for trace_id in named])
            for trace in self._get(f"traces?{query}", absent=404):
                records = self._records(trace)
                if records:
                    yield int(trace["traceID"], 16), records

    def services(self) -> list[str]:
        """The names of the services in Jaeger."""
        return [str(name) for name in self._get("services")]

    def one_span(self, service: str) -> list[dict[str, Any]]:
        """The records of one span of *service*, its name in Jaeger.

        Empty if Jaeger has none in the time that it can search.
        """
        end_us = time.time_ns() // 1000 + _AHEAD_US
        while True:
            begin_us = end_us - min(self._longest_us, end_us)
            window = {"service": service, "start": str(begin_us), "end": str(end_us), "limit": "1"}
            response = self._ask(f"traces?{urlencode(window)}")
            if not self._was_too_long(end_us - begin_us, response):
                break
        self._check(response)
        return [record for trace in response.data for record in self._records(_with_one_span(trace, service))]

    def pages(self, wanted: Wanted) -> Iterator[tuple[list[list[dict[str, Any]]], int]]:
        """The records of traces that may match *wanted*, by windows of time, the newest first; and where each begins.

        Jaeger has no query for all services, so each service has its own requests. It applies the service, a name of an
        operation, and the least duration of a span. It does not tell which traces it has left out of a response that
        is full. Then the window is made shorter, as it is if Jaeger fails to search a long one.
        """
        services = [name for name in self.services() if _is_of(wanted.service, name)]
        end_us, ahead_us = time.time_ns() // 1000 + _AHEAD_US, _AHEAD_US
        if wanted.until_us is not None and wanted.service is None and wanted.operation is None:
            # Otherwise the span that matches may have begun later than its trace.
            end_us, ahead_us = wanted.until_us, 0

        def read(begin_us: int, end_us: int) -> list[Any] | None:
            return self._within(begin_us, end_us, services, wanted)

        oldest_us = (wanted.since_us or 0) if services else end_us
        for traces, begin_us in windows(oldest_us, end_us, _PAGE_US, read, _PAGE_TRACES, ahead_us):
            yield [self._records(trace) for trace in traces], begin_us

    def close(self) -> None:
        self._client.close()

    def _within(self, begin_us: int, end_us: int, services: list[str], wanted: Wanted) -> list[Any] | None:
        """The traces with a span in this window that may match; None if Jaeger cannot send them all at once."""
        if end_us - begin_us > self._longest_us:
            return None
        found: dict[str, Any] = {}
        for service in services:
            for conditions in _conditions(wanted):
                window = {"service": service, "start": str(begin_us), "end": str(end_us), "limit": str(_LIMIT)}
                response = self._ask(f"traces?{urlencode(window | conditions)}")
                if self._was_too_long(end_us - begin_us, response):
                    return None
                self._check(response)
                traces = response.data
                if len(traces) >= _LIMIT and end_us - begin_us > 1:
                    return None
                found.update(
                    (str(trace.get("traceID") if isinstance(trace, dict) else trace), trace) for trace in traces
                )
        return list(found.values())

    def _was_too_long(self, length_us: int, response: _Response) -> bool:
        """Whether *response* may have failed because of the length of its window. Then the next one is shorter."""
        if response.status != 500 or length_us <= _SEARCHED_US:
            return False
        self._longest_us = length_us // 2
        return True

    def _get(self, path: str, absent: int | None = None) -> list[Any]:
        """The data of the response to a GET of *path*; empty if Jaeger responds with the status *absent*."""
        response = self._ask(path)
        if response.status != absent:
            self._check(response)
        return response.data

    def _check(self, response: _Response) -> None:
        if response.status != 200:
            raise network.cannot_read(self._url, http_status.text(response.status, response.error))

    def _ask(self, path: str) -> _Response:
        """The response to a GET of *path*."""
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
            body = fast_json.loads(response.content.decode("utf-8", "replace"))
            data, faults = body["data"], body.get("errors")
            faults = faults if isinstance(faults, list) else []
        except (ValueError, KeyError, TypeError) as fault:
            raise StoreError(
                f"{self.shown} is no Jaeger query service (HTTP status {response.status_code}); {_HOW_TO_NAME}"
            ) from fault
        reasons = "; ".join(str(fault["msg"]) for fault in faults if isinstance(fault, dict) and "msg" in fault)
        error = fault_line(StoreError(reasons), self._url, plain=[self._access.token or ""]) if reasons else ""
        return _Response(response.status_code, data if isinstance(data, list) else [], error)

    def _records(self, trace: Any) -> list[dict[str, Any]]:
        try:
            return jaeger_json.records(trace, self.shown)
        except (ValueError, AttributeError) as fault:
            name = trace.get("traceID") if isinstance(trace, dict) else None
            unreadable.skip(self.shown, f"trace {name}", fault_line(fault, self._url))
            return []


def _with_one_span(trace: Any, service: str) -> Any:
    """*trace* with only the first of its spans of *service*, its name in Jaeger."""
    try:
        processes = trace.get("processes") or {}
        spans = (span for span in trace["spans"] if _process(span, processes).get("serviceName") == service)
        return {**trace, "spans": list(itertools.islice(spans, 1))}
    except (AttributeError, KeyError, TypeError):
        return trace  # :meth:`Query._records` reports what is wrong


def _process(span: Mapping[str, Any], processes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The process of *span*: its own, or one of *processes*; empty if there is none."""
    process: Mapping[str, Any] = span.get("process") or processes.get(span.get("processID", "")) or {}
    return process


def _is_of(pattern: str | None, name: str) -> bool:
    """Whether *pattern* matches a service in Jaeger, whose *name* ends with the service of a record."""
    return pattern is None or fnmatchcase(name, pattern) or fnmatchcase(name, f"*-{pattern}")


def _conditions(wanted: Wanted) -> list[dict[str, str]]:
    """The conditions of Jaeger for one span that may match *wanted*, each for a request of its own."""
    operation = wanted.operation
    conditions: list[dict[str, str]] = [{}]
    if operation is not None and places.is_literal(operation):
        # It may be the operation, or the name of the point.
        conditions = [{"operation": operation}, {"tags": json.dumps({names.NAME: operation})}]
    if wanted.min_duration_us is not None and (wanted.service is not None or operation is not None):
        conditions = [{**each, "minDuration": f"{wanted.min_duration_us}us"} for each in conditions]
    return conditions
