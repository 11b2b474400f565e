# SPDX-License-Identifier: Apache-2.0
"""The base of drivers of stores that hold spans: it makes spans of records, and sends them like a service does.

It reads through Jaeger's query service.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from osprofiler.connection import strings
from osprofiler.connection.access import Access
from osprofiler.connection.secrets import malformed, masked
from osprofiler.drivers import base, errors, jaeger_query, network, places
from osprofiler.drivers.abilities import RECORDS, Can, Unsupported
from osprofiler.drivers.newest_first import Page, newest_first
from osprofiler.records import ids
from osprofiler.records.pairs import Pairs, is_start
from osprofiler.records.record import MARK
from osprofiler.records.stored_span import StoredSpan

if TYPE_CHECKING:
    from osprofiler.delivery.exporter import Exporter, Failed


#: The most records of traces that are kept after a search.
_KEPT_RECORDS = 20_000


class SpanStore(base.Driver):
    """A store of spans. It sends finished spans, made of their records, and reads spans back as records.

    A start record waits in this process for its stop record. If the driver is closed before, it sends the span marked
    as unfinished. This is read back as the start record alone.
    """

    can = RECORDS | {Can.LIST_SERVICES, Can.SEARCH}

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
        # Traces that a search has got, by their numbers in Jaeger: who searches most often reads them next.
        self._kept: dict[int, list[dict[str, Any]]] = {}
        self._service_names: dict[str, tuple[Any, Any]] = {}  # project and service, by the name in Jaeger
        address = self.query_address(connection_str)
        self._query = jaeger_query.Query(address, _query_access(connection_str, address)) if address else None
        if self._query is None:
            self.can &= {Can.WRITE, Can.WRITE_BATCH}

    @classmethod
    def check(cls, connection_string: str) -> None:
        from osprofiler.drivers import connect

        connect.span_exporter(connection_string)
        address = cls.query_address(connection_string)
        if address:
            jaeger_query.Query(address, _query_access(connection_string, address))

    @classmethod
    def query_address(cls, connection_string: str) -> str | None:
        """The address of the query service: ``?query=``, or else the default of the store, or None."""
        return strings.take_options(connection_string, ("query",))[1].get("query")

    # Writing

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        """Send the spans that *records* complete."""
        pairs = self._waiting.get()
        ordered = sorted(map(self.labelled, records), key=is_start, reverse=True)
        complete = [span for span in map(pairs.add, ordered) if span is not None]
        try:
            self._send(complete)
        except Exception:
            # The caller writes the same batch again. It may have stop records whose start records came before.
            pairs.take_back(complete)
            raise

    def _send(self, spans: Iterable[StoredSpan]) -> None:
        """Send *spans*, one batch per process: the process has the service, host and pid of its spans."""
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
        assert exporter is not None, "check() has raised"
        return exporter

    # Reading

    def read(self, base_id: str) -> list[dict[str, Any]]:
        return self._reader().trace(ids.trace_id_of(base_id))

    def read_many(self, base_ids: Sequence[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """As in the base class. What a search has just read is not read again."""
        by_number = {ids.trace_id_of(base_id): base_id for base_id in base_ids}
        for number in self._kept.keys() & by_number.keys():
            yield by_number.pop(number), self._kept.pop(number)
        for number, records in self._reader().traces(by_number):
            yield by_number[number], records

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        return network.listed(self._all_records(), fields or self.default_trace_fields)

    def list_error_traces(self) -> list[dict[str, Any]]:
        """Reads all traces: Jaeger 2 in memory does not search by the error tag."""
        return network.listed(network.failed(self._all_records()), self.default_trace_fields)

    def _all_records(self) -> Iterator[dict[str, Any]]:
        """The records of all traces; those of a trace may come several times."""
        return (record for traces, _ in self._reader().pages(base.Wanted()) for records in traces for record in records)

    def list_services(self) -> list[str]:
        """As in the base class. Jaeger's name has the project in front. So for each new name one trace is read."""
        names = self._reader().services()
        for name in names:
            if name not in self._service_names:
                for record in self._reader().one_span(name)[:1]:
                    self._service_names[name] = record["project"], record["service"]
        return places.shown(self._service_names.get(name, (None, name)) for name in names)

    def candidates(self, wanted: base.Wanted) -> Iterator[dict[str, Any]]:
        """As in the base class. Jaeger sends whole traces. Conditions that it does not have are applied here."""
        marks: dict[str, dict[str, Any]] = {}
        self._kept.clear()

        def pages() -> Iterator[Page]:
            for traces, begin_us in self._reader().pages(wanted):
                matching = [records for records in traces if records]
                if wanted.error:
                    matching = [records for records in matching if any(network.failed(records))]
                self._keep(matching)
                firsts = network.listed((record for records in matching for record in records), MARK)
                marks.clear()
                marks.update((mark["base_id"], mark) for mark in firsts)
                yield Page(list(marks), begin_us - 1)

        return newest_first(pages(), lambda base_ids: map(marks.__getitem__, base_ids))

    def _keep(self, traces: Iterable[list[dict[str, Any]]]) -> None:
        """Keep *traces* as long as there is room. The first ones are read first, and make room then."""
        count = sum(map(len, self._kept.values()))
        for records in traces:
            count += len(records)
            if count > _KEPT_RECORDS:
                return
            self._kept[ids.trace_id_of(records[0]["base_id"])] = records

    def is_exact(self, wanted: base.Wanted) -> bool:
        return not wanted.needs_reading

    def close(self) -> None:
        waiting = self._waiting.take()
        if waiting is not None:
            self._send(waiting.unfinished())
        self._exporter.take()
        if self._query is not None:
            self._query.close()

    def _reader(self) -> jaeger_query.Query:
        if self._query is None:
            raise Unsupported(
                f"{masked(self.connection_str)} only takes traces; say where they can be read, for instance with "
                f"?query=http://host:{jaeger_query.PORT} if it is Jaeger"
            )
        return self._query


def _store_error(fault: Failed) -> errors.StoreError:
    """Convert the *fault* of an exporter; its text has no secrets."""
    from osprofiler.delivery.exporter import Transient

    if not isinstance(fault, Transient):
        return errors.RecordsRefused(str(fault))
    kind = errors.StoreUnavailable if fault.unreachable else errors.StoreError
    return kind(str(fault), retry_after_s=fault.retry_after_s)


def _query_access(connection_string: str, address: str) -> Access:
    """How to access the query service at *address*: like the string's host. But only the same host gets its token."""
    from osprofiler.drivers import connect

    access = connect.access(connection_string)
    token = strings.take_options(connection_string, ("query_token",))[1].get("query_token")
    has_user = "@" in address
    if token is not None and has_user:
        raise malformed(connection_string, "query has a user, and there is a query_token: choose one")
    if token is None and not has_user and urlsplit(address).hostname == urlsplit(connection_string).hostname:
        token = access.token
    return dataclasses.replace(access, token=token)
