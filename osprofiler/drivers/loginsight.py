# SPDX-License-Identifier: Apache-2.0
"""The driver of VMware Log Insight (Aria Operations for Logs), version 3.3 and later.

As in osprofiler 4.4.0 a record is an event whose field ``trace`` is the record as JSON: each version reads the other's
events. Log Insight cannot delete events; its own retention removes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import unquote

from osprofiler import exc
from osprofiler._runtime.batched import batched_by_size
from osprofiler.connection import options, strings
from osprofiler.connection.access import Access
from osprofiler.connection.secrets import malformed
from osprofiler.drivers import base, errors, network
from osprofiler.drivers.abilities import RECORDS
from osprofiler.drivers.loginsight_client import LogInsightClient, kind_of_fault
from osprofiler.records.record import loads

__all__ = ["LogInsightClient", "LogInsightDriver"]

#: The text of each of our events, and a search for all of them, by its first word.
_TEXT = "OSProfiler trace"
_ALL = {"text": "OSProfiler"}

#: The limits of one request are 500 events and 4 MB.
_MOST_EVENTS = 500
_MOST_BYTES = 3_000_000


class LogInsightDriver(base.Driver):
    """``loginsight://user:password@host``. ``:`` and ``@`` in user and password are written as ``%3A`` and ``%40``.

    A batch is one request per 500 records. Options after ``?``: those of TLS. The server's certificate is checked only
    with ``verify=yes`` or ``ca_certs``: by default Log Insight has a self-signed one.
    """

    can = RECORDS

    # The limit of an event's field is 16 kB.
    max_span_chars: ClassVar[int | None] = 8_000

    def __init__(
        self,
        connection_str: str,
        project: str | None = None,
        service: str | None = None,
        host: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(connection_str, project=project, service=service, host=host, **kwargs)
        self._client = _client(connection_str)

    @classmethod
    def get_name(cls) -> str:
        return "loginsight"

    @classmethod
    def check(cls, connection_string: str) -> None:
        _client(connection_string)

    # Writing

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        with errors.writing(self.connection_str, kind_of_fault):
            sized = (_event(self.labelled(record)) for record in records)
            for events in batched_by_size(sized, _MOST_EVENTS, _MOST_BYTES):
                self._client.send_events(events)

    # Reading

    def read(self, base_id: str) -> list[dict[str, Any]]:
        # Log Insight's CONTAINS compares words and ignores case.
        return [record for record in self._records({"base_id": base_id}) if record["base_id"] == base_id]

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        return network.listed(self._records(_ALL), fields or self.default_trace_fields)

    def list_error_traces(self) -> list[dict[str, Any]]:
        return network.listed(network.failed(self._records(_ALL)), self.default_trace_fields)

    def _records(self, texts: dict[str, str]) -> Iterator[dict[str, Any]]:
        """The records in the events whose fields contain *texts*."""
        with network.reading(self.connection_str, exc.LogInsightAPIError, exc.LogInsightLoginTimeout):
            # An event without this field is not ours: it only has our word in its text.
            events = (event for event in self._client.all_events(texts) if _field(event, "trace") is not None)
            yield from self._readable(events, _record, _name)

    def close(self) -> None:
        self._client.close()


def _client(connection_string: str) -> LogInsightClient:
    """The client for the string; it does not connect. Raises ValueError, one line without the password."""
    values = strings.options(connection_string, *options.names("loginsight"))
    parts, host, _ = strings.split(connection_string, 0)
    account, at, _ = parts.netloc.rpartition("@")
    user, colon, password = account.partition(":")
    if not at or not colon or ":" in password or "@" in account or parts.port is not None:
        raise malformed(
            connection_string,
            "for Log Insight it has the form loginsight://user:password@host, with %3A for a colon and %40 for an at "
            "sign in user and password, and without a port: Log Insight's are 9000 and 9543",
        )
    client = LogInsightClient(host, unquote(user), unquote(password))
    client.http.access = Access.of(connection_string, values, verify=False)
    return client


def _event(record: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """The event for *record*, and its approximate size in bytes."""
    text = json.dumps(record, default=str, skipkeys=True, ensure_ascii=False)
    names = ("base_id", "trace_id", "project", "service", "name")
    fields = [{"name": name, "content": record.get(name)} for name in names]
    return {"text": _TEXT, "fields": [*fields, {"name": "trace", "content": text}]}, len(
        text.encode("utf-8", "replace")
    )


def _record(event: dict[str, Any]) -> dict[str, Any]:
    return loads(_field(event, "trace"))


def _name(event: dict[str, Any]) -> str:
    return f"the event {str(_field(event, 'trace'))[:60]!r} of trace {_field(event, 'base_id')}"


def _field(event: Mapping[str, Any], name: str) -> Any:
    """The content of the event's field *name*; None if there is no such field."""
    fields = event.get("fields")
    objects = (field for field in fields if isinstance(field, dict)) if isinstance(fields, list) else ()
    return next((field.get("content") for field in objects if field.get("name") == name), None)
