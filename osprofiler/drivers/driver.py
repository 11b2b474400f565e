# SPDX-License-Identifier: Apache-2.0
"""The base class of drivers. A driver stores records, reads them back, and makes reports of them.

A driver of this package overrides ``write`` and ``read``. A driver for osprofiler 4.4.0 overrides ``notify`` and
``get_report``, which calls ``_append_results`` and ``_parse_results``. It works unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, NoReturn, TypeVar

from osprofiler.connection import strings
from osprofiler.connection.options import Option
from osprofiler.connection.secrets import masked
from osprofiler.drivers import network, undeclared
from osprofiler.drivers.abilities import Can, Unsupported
from osprofiler.drivers.appending import Appending
from osprofiler.drivers.wanted import Wanted
from osprofiler.records import unreadable
from osprofiler.reports import model
from osprofiler.reports.views import json_report

T = TypeVar("T")


class Driver(Appending):
    """Base of all drivers. A subclass is found by its ``get_name()``, or by an entry point of ``osprofiler.drivers``.

    A subclass declares its abilities in ``can``, and overrides the methods of these. All other methods raise
    Unsupported.
    """

    __module__ = "osprofiler.drivers.base"  # its public path, as in osprofiler 4.4.0

    #: The abilities. Because of its connection string, an object may have fewer than its class.
    can: frozenset[Can] = frozenset()

    #: The options after ``?`` of its connection strings. None: the class checks them itself.
    connection_options: ClassVar[tuple[Option, ...] | None] = None

    #: Whether the store's client waits in C code, where eventlet's green sockets do not help.
    blocking: ClassVar[bool] = False

    #: The fields of each trace that ``list_traces`` returns by default.
    default_trace_fields: ClassVar[set[str]] = {"base_id", "timestamp"}

    #: The store's limit on the text of one span, in characters; None: no limit of its own.
    max_span_chars: ClassVar[int | None] = None

    def __init_subclass__(cls, /, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "can" not in vars(cls):
            cls.can = undeclared.abilities(cls)

    def __init__(
        self,
        connection_str: str,
        project: str | None = None,
        service: str | None = None,
        host: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.connection_str = connection_str
        self.project = project
        self.service = service
        self.host = host
        self._forget_results()
        options = getattr(kwargs.get("conf"), "profiler", None)
        self.filter_error_trace: bool = getattr(options, "filter_error_trace", False)

    @classmethod
    def get_name(cls) -> str:
        """The scheme of this driver's connection strings."""
        return cls.__name__

    @classmethod
    def check(cls, connection_string: str) -> None:
        """Check a connection string, without connecting. A service does so when it starts, a command before it reads.

        Raises ValueError (the string is malformed, or has an unknown option) or CommandError (a library is missing).
        """
        if cls.connection_options is not None:
            strings.options(connection_string, *(option.name for option in cls.connection_options))

    @classmethod
    def blocks(cls, connection_string: str) -> bool:
        """Whether the client for this string waits in C code; ``blocking`` unless a subclass overrides it."""
        return cls.blocking

    # Writing

    def notify(self, info: dict[str, Any], **kwargs: Any) -> None:
        """Store one record (its shape: ``osprofiler.records.record``). Raises the same errors as ``write``."""
        if type(self).write is Driver.write:
            self._unsupported(Can.WRITE)
        self.write([info])

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        """Store *records*, in one round trip if the store can do so.

        Raises StoreUnavailable if the store takes no records now, RecordsRefused if it will never take some of them,
        and StoreError if neither is known. After StoreUnavailable and StoreError the caller tries the whole batch
        again: a record that is stored twice must be read as one.
        """
        for record in records:
            self.notify(record)

    def labelled(self, record: dict[str, Any]) -> dict[str, Any]:
        """A copy of *record* with the project and the service of this driver, unless it has its own."""
        return {"project": self.project, "service": self.service, **record}

    def _note_failed(self, records: Sequence[dict[str, Any]], note: Callable[[dict[str, Any]], object]) -> None:
        """Call *note* with each record of an error, if ``filter_error_trace`` is set.

        For osprofiler 4.4.0, which lists failed traces by these notes.
        """
        for record in network.failed(records) if self.filter_error_trace else ():
            note(record)

    # Reading

    def read(self, base_id: str) -> list[dict[str, Any]]:
        """All records of the trace *base_id*, in any order. Empty for an unknown trace.

        Raises StoreError, whose text is one line for the user, if the store cannot be read.
        """
        self._unsupported(Can.READ_RECORDS)

    def read_many(self, base_ids: Sequence[str]) -> Iterable[tuple[str, list[dict[str, Any]]]]:
        """The id and the records of each of the traces *base_ids*, in any order. Unknown traces are left out.

        The records of a trace are read when the caller asks for it, and not much earlier. Raises StoreError like
        ``read``. A driver overrides it if its store can read many traces in one request.
        """
        return ((base_id, records) for base_id in base_ids if (records := self.read(base_id)))

    def get_report(self, base_id: str) -> dict[str, Any]:
        """The trace as a tree of dictionaries: the output of ``osprofiler trace show --json``."""
        return json_report.report(model.from_records(self.read(base_id)))

    def first_record(self, base_id: str) -> dict[str, Any] | None:
        """The earliest readable record of the trace. A list needs it if the first stored record cannot be read."""
        return min(self.read(base_id), key=lambda record: str(record["timestamp"]), default=None)

    def _with_first_readable(
        self, records: Iterable[dict[str, Any]], base_ids: Iterable[Any]
    ) -> Iterator[dict[str, Any]]:
        """*records*, and for each of *base_ids* that has none of them the :meth:`first_record`.

        *records* are the first of each trace that can be read. Ids that are not text are left out.
        """
        seen = set()
        for record in records:
            seen.add(record["base_id"])
            yield record
        for base_id in dict.fromkeys(base_ids):
            if isinstance(base_id, str) and base_id not in seen:
                first = self.first_record(base_id)
                if first is not None:
                    yield first

    def _readable(
        self, items: Iterable[T], read: Callable[[T], dict[str, Any]], name: Callable[[T], str]
    ) -> Iterator[dict[str, Any]]:
        """The results of *read* for *items*. An item that is no record is reported under its *name*, and left out."""
        return unreadable.readable(masked(self.connection_str), items, read, name)

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        """The first record of every trace, only with the keys in *fields* (``default_trace_fields`` if None)."""
        self._unsupported(Can.LIST)

    def find_ids(self, prefix: str = "", suffix: str = "") -> list[str]:
        """The ids of traces that begin with *prefix* and end with *suffix*.

        This lists all traces. A driver overrides it if its store can search for ids.
        """
        return network.matching((str(trace["base_id"]) for trace in self.list_traces({"base_id"})), prefix, suffix)

    def list_error_traces(self) -> list[dict[str, Any]]:
        """``base_id`` and ``timestamp`` of every trace with an error."""
        self._unsupported(Can.LIST_ERRORS)

    def list_services(self) -> list[str]:
        """The names of all services, as reports show them, each once. "": there are spans without a service.

        The store is asked, and no trace is read. So services that only osprofiler 4.4.0 has written may be missing.
        """
        self._unsupported(Can.LIST_SERVICES)

    def candidates(self, wanted: Wanted) -> Iterable[dict[str, Any]]:
        """``base_id`` and ``timestamp`` of the traces that match *wanted*, and perhaps of others; the newest first.

        The time stamp is that of the first record of the trace. ``wanted.limit`` is None unless :meth:`is_exact` is
        true for *wanted*. This lists all traces. A driver with the ability SEARCH overrides it. It asks its store for
        as few traces as it can, and only for the next page when the caller has used up the page before. It may give a
        trace twice, or one that began at another time. The caller leaves these out, and applies the limit after that: a
        driver must not count them.
        """
        failed = self.list_error_traces() if wanted.error and Can.LIST_ERRORS in self.can else None
        if failed is not None and Can.LIST not in self.can:
            marks = failed
        else:
            marks = self.list_traces({"base_id", "timestamp"})
            if failed is not None:
                failed_ids = {mark["base_id"] for mark in failed}
                marks = [mark for mark in marks if mark["base_id"] in failed_ids]
        return sorted(marks, key=model.began_us, reverse=True)

    def is_exact(self, wanted: Wanted) -> bool:
        """Whether :meth:`candidates` gives only traces that match *wanted*, its time aside. If so, none is read.

        A driver overrides it together with ``candidates``, to declare which conditions its store applies exactly.
        """
        return not wanted.needs_reading and (not wanted.error or Can.LIST_ERRORS in self.can)

    def advice(self) -> str:
        """What an operator should do so that the store stays fast, in one line; empty if there is nothing to do."""
        return ""

    def delete(self, base_id: str) -> int:
        """Remove the trace *base_id*. Returns the number of its records."""
        if type(self)._delete_all is Driver._delete_all:
            self._unsupported(Can.DELETE)
        return self._delete_all([base_id])

    def purge(self, before_us: int) -> int:
        """Remove every trace whose first record is older than *before_us* (microseconds since the epoch).

        Returns the number of these traces. A driver overrides it if its store can do that in one request.
        """
        if Can.DELETE not in self.can:
            self._unsupported(Can.PURGE)
        listed = self.list_traces({"base_id", "timestamp"})
        old = [str(trace["base_id"]) for trace in listed if model.began_us(trace) < before_us]
        self._delete_all(old)
        return len(old)

    def _delete_all(self, base_ids: Sequence[str]) -> int:
        """Remove these traces. Returns the number of records. A driver overrides it if one request can remove many."""
        return sum(self.delete(base_id) for base_id in base_ids)

    def close(self) -> None:
        """Close the connections. The driver may be used again: then it opens new ones."""

    def _unsupported(self, ability: Can) -> NoReturn:
        raise Unsupported(f"the driver {self.get_name()} cannot {ability.value}")
