# SPDX-License-Identifier: Apache-2.0
"""Traces in Jaeger: read through its query service, written as spans to its collector or agent."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from osprofiler import exc
from osprofiler.drivers import base, jaeger_json, network
from osprofiler.drivers.locate import masked
from osprofiler.opentracing_compat import ids
from osprofiler.records import RESERVED
from osprofiler.reports.model import error_kind

if TYPE_CHECKING:
    import requests

    from osprofiler.opentracing_compat.reporting.exporter import Exporter

QUERY_PORT = 16686

#: How many traces are asked for at once. Jaeger sends them whole.
_LIMIT = 200
#: The newest window of time that is listed; each one before it is twice as long.
_WINDOW_US = 3_600_000_000
#: Clocks differ: spans may begin after our now.
_AHEAD_US = 86_400_000_000


class Query:
    """The query service at *url* (``http://host:16686``, with ``user:password@`` where it wants one)."""

    def __init__(self, url: str) -> None:
        network.split(url, QUERY_PORT)
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(
                f"not the address of a Jaeger query service: {masked(url)!r}; it has the form http://host:{QUERY_PORT}"
            )
        self.shown = masked(url)
        self._url = url.rstrip("/")
        self._session: network.PerProcess[requests.Session] = network.PerProcess(_session)

    def trace(self, trace_id: int) -> list[dict[str, Any]]:
        """The records of the trace; none if it is not there."""
        found = self._get(f"traces/{trace_id:032x}", absent=404)
        return [record for trace in found for record in self._records(trace)]

    def traces(self) -> Iterator[list[dict[str, Any]]]:
        """The records of every trace, trace by trace; of each service the newest hours first.

        All of a window is asked for at once, and its halves apart if that is more than Jaeger sends: it does not say
        which ones it left out. Jaeger knows no query for all services, so each is asked about.
        """
        seen: set[str] = set()
        for service in self._get("services"):
            for begin_us, end_us in _windows():
                for trace in self._within(begin_us, end_us, str(service)):
                    if trace.get("traceID") not in seen:
                        seen.add(str(trace.get("traceID")))
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
            found = self._get(f"traces?{urlencode(window)}")
            if len(found) < _LIMIT or end_us - begin_us < 2:
                yield from found
            else:
                middle_us = (begin_us + end_us) // 2
                waiting += [(begin_us, middle_us), (middle_us, end_us)]

    def _get(self, path: str, absent: int | None = None) -> list[Any]:
        """What a GET of *path* answers; nothing where Jaeger itself answers with the status *absent*."""
        import requests

        with network.reading(self._url, requests.RequestException):
            answer = self._session.get().get(
                f"{self._url}/api/{path}", timeout=(network.CONNECT_TIMEOUT_S, 3 * network.ANSWER_TIMEOUT_S)
            )
        try:
            data = answer.json()["data"]
        except (ValueError, KeyError, TypeError) as fault:
            raise exc.CommandError(
                f"{self.shown} is no Jaeger query service (HTTP status {answer.status_code}); name one with "
                f"?query=http://host:{QUERY_PORT}"
            ) from fault
        if answer.status_code not in (200, absent):
            raise exc.CommandError(f"cannot read {self.shown}: HTTP status {answer.status_code}")
        return data if isinstance(data, list) else []

    def _records(self, trace: Any) -> list[dict[str, Any]]:
        try:
            return jaeger_json.records(trace)
        except (ValueError, AttributeError) as fault:
            raise exc.CommandError(f"cannot read {self.shown}: {network.first_line(fault)}") from fault


class SpanStore(base.Driver):
    """A store of spans: it takes finished spans, of which records are made and read back.

    A start record waits for its stop, in the process that writes it; what never stops is not stored.
    """

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
        self._exporters: network.PerProcess[dict[tuple[Any, ...], Exporter]] = network.PerProcess(dict)
        address = self.query_address(connection_str)
        self._query = Query(address) if address else None

    @classmethod
    def check(cls, connection_string: str) -> None:
        from osprofiler.opentracing_compat.reporting import connect

        connect.span_exporter(connection_string)
        address = cls.query_address(connection_string)
        if address:
            Query(address)

    @classmethod
    def query_address(cls, connection_string: str) -> str | None:
        """Where to read: what ``?query=`` says, else a guess of the store's own, None where there is none."""
        return network.take_options(connection_string, ("query",))[1].get("query")

    # Writing

    def notify(self, info: dict[str, Any], **kwargs: Any) -> None:
        self.write([info])

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        """Store the spans that *records* complete. Raises ``Failed`` of ``reporting.exporter``."""
        from osprofiler.opentracing_compat.reporting.exporter import Rejected

        by_process: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for record in map(self.labelled, records):
            info = record.get("info")
            info = dict(info) if isinstance(info, dict) else {}
            # With this key, however empty, the span reads back as these records, and as nothing made of it anew.
            info.setdefault(RESERVED, {})
            process = (record["project"], record["service"], info.get("host"))
            by_process.setdefault(process, []).append({**record, "info": info})
        for process, batch in by_process.items():
            deadline = time.monotonic() + network.ANSWER_TIMEOUT_S
            outcome = self._exporter(*process).export([("record", record, 0) for record in batch], deadline)
            if outcome.dropped:
                raise Rejected(", ".join(outcome.dropped), divisible=True)

    def _exporter(self, project: Any, service: Any, host: Any) -> Exporter:
        """The exporter for the spans of one process; each has the starts that wait, so they are kept."""
        from osprofiler.opentracing_compat.reporting import connect

        exporters = self._exporters.get()
        key = (project, service, host)
        if key not in exporters:
            exporter = connect.span_exporter(self.connection_str)
            assert exporter is not None, "checked at construction"
            tags = {"project": project, "service": service, "hostname": host}
            exporter.set_process(
                connect.service_name(project, service, self.conf, self.connection_str),
                {name: value for name, value in tags.items() if value is not None},
            )
            exporters[key] = exporter
        return exporters[key]

    # Reading

    def read(self, base_id: str) -> list[dict[str, Any]]:
        return self._reader().trace(ids.trace_id_of(base_id))

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        first = (record for records in self._reader().traces() for record in network.earliest(records).values())
        return network.listed(first, fields or self.default_trace_fields)

    def list_error_traces(self) -> list[dict[str, Any]]:
        """As in the base class; all traces are looked at: Jaeger 2 in memory does not find spans by their error tag."""
        found = self._reader().traces()
        failed = (record for records in found for record in records if error_kind(record["info"]))
        return network.listed(failed, self.default_trace_fields)

    def close(self) -> None:
        self._exporters.take()
        if self._query is not None:
            self._query.close()

    def _reader(self) -> Query:
        if self._query is None:
            raise exc.CommandError(
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
        parts, host, _ = network.split(connection_string, 0)
        scheme = "https" if parts.scheme == "jaeger+https" else "http"
        return f"{scheme}://[{host}]:{QUERY_PORT}" if ":" in host else f"{scheme}://{host}:{QUERY_PORT}"


def _windows() -> Iterator[tuple[int, int]]:
    """From tomorrow back to 1970, in microseconds since the epoch."""
    end_us = time.time_ns() // 1000 + _AHEAD_US
    length_us = _WINDOW_US + _AHEAD_US
    while end_us > 0:
        begin_us = max(end_us - length_us, 0)
        yield begin_us, end_us
        end_us, length_us = begin_us, length_us * 2


def _session() -> requests.Session:
    import requests

    return requests.Session()
