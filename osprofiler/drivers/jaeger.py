# SPDX-License-Identifier: Apache-2.0
"""Traces in Jaeger: read through its query service, written as spans to its collector or agent."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from osprofiler import exc
from osprofiler.connection import strings
from osprofiler.connection.access import Access
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import malformed, masked
from osprofiler.drivers import base, errors, network
from osprofiler.drivers.abilities import Can, Unsupported
from osprofiler.records import ids, jaeger_json, unreadable
from osprofiler.records.pairs import Pairs, is_start
from osprofiler.records.stored_span import StoredSpan
from osprofiler.reports.model import error_kind

if TYPE_CHECKING:
    import requests

    from osprofiler.delivery.exporter import Exporter, Failed

QUERY_PORT = 16686
_NAME_IT = f"name it with ?query=http://host:{QUERY_PORT}"

#: How many traces are asked for at once. Jaeger sends them whole.
_LIMIT = 200
#: The newest window of time that is listed; each one before it is twice as long.
_WINDOW_US = 3_600_000_000
#: Clocks differ: spans may begin after our now.
_AHEAD_US = 86_400_000_000


class Query:
    """The query service at *url* (``http://host:16686``, with ``user:password@`` where it wants one)."""

    def __init__(self, url: str, access: Access | None = None) -> None:
        strings.split(url, QUERY_PORT)
        if urlsplit(url).scheme not in ("http", "https"):
            raise malformed(url, f"the address of a Jaeger query service has the form http://host:{QUERY_PORT}")
        self.shown = masked(url)
        self._url = url.rstrip("/")
        self._access = access or Access()
        self._session: network.PerProcess[requests.Session] = network.PerProcess(self._connect)

    def _connect(self) -> requests.Session:
        from osprofiler._runtime import http_session

        session = http_session.session()
        session.auth = self._access.auth
        session.cert = self._access.certificate
        return session

    def trace(self, trace_id: int) -> list[dict[str, Any]]:
        """The records of the trace; none if it is not there."""
        traces = self._get(f"traces/{trace_id:032x}", absent=404)
        return [record for trace in traces for record in self._records(trace)]

    def traces(self, service: str | None = None, since_us: int | None = None) -> Iterator[list[dict[str, Any]]]:
        """The records of each trace with a span of *service* (a pattern) since *since_us*, or of every trace; of each
        service the newest hours first.

        All of a window is asked for at once, and its halves apart if that is more than Jaeger sends: it does not say
        which ones it left out. Jaeger knows no query for all services, so each is asked about.
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
        session = self._session.take()
        if session is not None:
            session.close()

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
        """What a GET of *path* answers; nothing where Jaeger itself answers with the status *absent*."""
        import requests

        try:
            answer = self._session.get().get(
                f"{self._url}/api/{path}",
                verify=self._access.verify,
                timeout=(network.CONNECT_TIMEOUT_S, network.READ_TIMEOUT_S),
            )
        except (OSError, requests.RequestException) as fault:
            why = fault_line(fault, self._url, plain=[self._access.token or ""])
            raise network.cannot_read(self._url, f"{why}; if Jaeger's query service is elsewhere, {_NAME_IT}") from None
        if answer.status_code in (401, 403):
            raise exc.CommandError(
                f"{self.shown} refuses us (HTTP status {answer.status_code}): give it an account with "
                f"?query=http://user:password@host:{QUERY_PORT}, or a token with ?query_token=TOKEN (?token=TOKEN "
                "where the spans go to the same host)"
            )
        try:
            data = answer.json()["data"]
        except (ValueError, KeyError, TypeError) as fault:
            raise exc.CommandError(
                f"{self.shown} is no Jaeger query service (HTTP status {answer.status_code}); {_NAME_IT}"
            ) from fault
        if answer.status_code not in (200, absent):
            raise exc.CommandError(f"cannot read {self.shown}: HTTP status {answer.status_code}")
        return data if isinstance(data, list) else []

    def _records(self, trace: Any) -> list[dict[str, Any]]:
        try:
            return jaeger_json.records(trace, self.shown)
        except (ValueError, AttributeError) as fault:
            name = trace.get("traceID") if isinstance(trace, dict) else None
            unreadable.skip(self.shown, f"trace {name}", fault_line(fault, self._url))
            return []


class SpanStore(base.Driver):
    """A store of spans: it takes finished spans, of which records are made and read back.

    A start record waits for its stop, in the process that writes it. What has not stopped when the driver is closed is
    stored as a span that is marked as unfinished, and reads back as its start record.
    """

    can = frozenset({Can.WRITE, Can.WRITE_BATCH, Can.READ, Can.READ_RECORDS, Can.LIST, Can.LIST_ERRORS, Can.SEARCH})

    def __init__(
        self,
        connection_str: str,
        project: str | None = None,
        service: str | None = None,
        host: str | None = None,
        conf: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(connection_str, project=project, service=service, host=host, conf=conf, **kwargs)
        self.check(connection_str)
        self.conf = conf
        self._exporter: network.PerProcess[Exporter] = network.PerProcess(self._connect)
        self._waiting: network.PerProcess[Pairs] = network.PerProcess(lambda: Pairs(None))
        address = self.query_address(connection_str)
        self._query = Query(address, _query_access(connection_str, address)) if address else None
        if self._query is None:
            self.can &= {Can.WRITE, Can.WRITE_BATCH}

    @classmethod
    def check(cls, connection_string: str) -> None:
        from osprofiler.drivers import connect

        connect.span_exporter(connection_string)
        address = cls.query_address(connection_string)
        if address:
            Query(address, _query_access(connection_string, address))

    @classmethod
    def query_address(cls, connection_string: str) -> str | None:
        """Where to read: what ``?query=`` says, else a guess of the store's own, None where there is none."""
        return strings.take_options(connection_string, ("query",))[1].get("query")

    # Writing

    def notify(self, info: dict[str, Any], **kwargs: Any) -> None:
        self.write([info])

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        """Store the spans that *records* complete."""
        pairs = self._waiting.get()
        ordered = sorted(map(self.labelled, records), key=is_start, reverse=True)
        whole = [span for span in map(pairs.add, ordered) if span is not None]
        try:
            self._send(whole)
        except Exception:
            pairs.take_back(whole)  # the caller tries again, perhaps with stops whose starts had come before
            raise

    def _send(self, spans: Iterable[StoredSpan]) -> None:
        """Send *spans*, those of one process at a time: it is the process that says service, host and pid."""
        from osprofiler.delivery.exporter import Failed
        from osprofiler.drivers import connect

        by_process: dict[tuple[Any, ...], list[StoredSpan]] = {}
        for span in spans:
            by_process.setdefault(span.process, []).append(span)
        exporter = self._exporter.get()
        for (project, service, host, pid), batch in by_process.items():
            exporter.set_process(
                connect.service_name(project, service, self.conf, self.connection_str),
                {"project": project, "service": service, "hostname": host, "pid": pid},
            )
            deadline = time.monotonic() + network.ANSWER_TIMEOUT_S
            try:
                outcome = exporter.export(batch, deadline)
            except Failed as fault:
                raise _store_error(fault) from fault
            if outcome.dropped:
                raise errors.RecordsRefused(", ".join(outcome.dropped))

    def _connect(self) -> Exporter:
        from osprofiler.drivers import connect

        exporter = connect.span_exporter(self.connection_str)
        assert exporter is not None, "checked at construction"
        return exporter

    # Reading

    def read(self, base_id: str) -> list[dict[str, Any]]:
        return self._reader().trace(ids.trace_id_of(base_id))

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        return self._listed(self._reader().traces(), fields or self.default_trace_fields)

    def list_error_traces(self) -> list[dict[str, Any]]:
        """As in the base class; all traces are looked at: Jaeger 2 in memory does not find spans by their error tag."""
        return self.candidates(error=True)

    def candidates(
        self, *, error: bool = False, service: str | None = None, since_us: int | None = None
    ) -> list[dict[str, Any]]:
        """As in the base class. A name in Jaeger ends with the service of a record: ``<prefix->project-service``."""
        return self._listed(self._reader().traces(service, since_us), self.default_trace_fields, error)

    @staticmethod
    def _listed(traces: Iterable[list[dict[str, Any]]], fields: set[str], error: bool = False) -> list[dict[str, Any]]:
        if error:
            return network.listed((each for records in traces for each in records if error_kind(each["info"])), fields)
        return network.listed((each for records in traces for each in network.earliest(records).values()), fields)

    def close(self) -> None:
        waiting = self._waiting.take()
        if waiting is not None:
            self._send(waiting.unfinished())
        self._exporter.take()
        if self._query is not None:
            self._query.close()

    def _reader(self) -> Query:
        if self._query is None:
            raise Unsupported(
                f"{masked(self.connection_str)} only takes traces; say where they can be read, for instance with "
                f"?query=http://host:{QUERY_PORT} if it is Jaeger"
            )
        return self._query


class Jaeger(SpanStore):
    """``jaeger://host[:6831]`` (UDP) and ``jaeger+http(s)://host[:14268]``; read at ``?query=http://host:16686``, which
    is the default on the same host.
    """

    @classmethod
    def get_name(cls) -> str:
        return "jaeger"

    @classmethod
    def query_address(cls, connection_string: str) -> str:
        given = super().query_address(connection_string)
        if given:
            return given
        parts, host, _ = strings.split(connection_string, 0)
        scheme = "https" if parts.scheme.endswith("+https") else "http"
        return f"{scheme}://[{host}]:{QUERY_PORT}" if ":" in host else f"{scheme}://{host}:{QUERY_PORT}"


def _store_error(fault: Failed) -> errors.StoreError:
    """What an exporter's *fault*, whose text has no secrets, means to who writes records."""
    from osprofiler.delivery.exporter import Transient

    if not isinstance(fault, Transient):
        return errors.RecordsRefused(str(fault))
    kind = errors.StoreUnavailable if fault.unreachable else errors.StoreError
    return kind(str(fault), retry_after_s=fault.retry_after_s)


def _query_access(connection_string: str, address: str) -> Access:
    """How to speak to the query service at *address*: as to the string's host, but a token goes to that host alone."""
    from osprofiler.drivers import connect

    access = connect.access(connection_string)
    token = strings.take_options(connection_string, ("query_token",))[1].get("query_token")
    has_user = "@" in address
    if token is not None and has_user:
        raise malformed(connection_string, "query has a user, and there is a query_token: choose one")
    if token is None and not has_user and urlsplit(address).hostname == urlsplit(connection_string).hostname:
        token = access.token
    return dataclasses.replace(access, token=token)


def _windows(since_us: int) -> Iterator[tuple[int, int]]:
    """From tomorrow back to *since_us*, in microseconds since the epoch."""
    end_us = time.time_ns() // 1000 + _AHEAD_US
    length_us = _WINDOW_US + _AHEAD_US
    while end_us > since_us:
        begin_us = max(end_us - length_us, since_us)
        yield begin_us, end_us
        end_us, length_us = begin_us, length_us * 2
