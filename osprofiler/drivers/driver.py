# SPDX-License-Identifier: Apache-2.0
"""What every driver is: it takes records, gives them back, and makes reports of them.

A driver of this package overrides ``write`` and ``read``. One written for osprofiler 4.4.0 overrides ``notify`` and
``get_report``, the latter with the help of ``_append_results`` and ``_parse_results``; it works unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NoReturn

from osprofiler.connection import strings
from osprofiler.connection.options import Option
from osprofiler.drivers import undeclared
from osprofiler.drivers.abilities import Can, Unsupported
from osprofiler.drivers.appending import Appending
from osprofiler.reports import model
from osprofiler.reports.views import json_report


class Driver(Appending):
    """Base of all drivers; a subclass is found by its ``get_name()`` or by an entry point of ``osprofiler.drivers``.

    A subclass declares in ``can`` what it can do, and overrides the methods for it. Each other method raises
    Unsupported.
    """

    __module__ = "osprofiler.drivers.base"  # its public path, as in osprofiler 4.4.0

    #: What the driver can do. An object may be able to do less than its class, as its connection string says.
    can: frozenset[Can] = frozenset()

    #: The options after ``?`` of its connection strings; None: the class checks them itself.
    connection_options: ClassVar[tuple[Option, ...] | None] = None

    #: The store's client waits in C code, where eventlet's green sockets do not help.
    blocking: ClassVar[bool] = False

    #: What ``list_traces`` gives of each trace if not asked for more.
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
        """Raise ValueError (malformed, an unknown option) or CommandError (a library is missing) for a string that can
        never work.

        Connects nowhere. A service calls it when it starts, the command line before it reads.
        """
        if cls.connection_options is not None:
            strings.options(connection_string, *(option.name for option in cls.connection_options))

    @classmethod
    def blocks(cls, connection_string: str) -> bool:
        """Whether the client that the string names waits in C code; as ``blocking`` says for all of them."""
        return cls.blocking

    # Writing

    def notify(self, info: dict[str, Any], **kwargs: Any) -> None:
        """Store one record (its shape: ``osprofiler.records.record``). Raises as ``write`` does."""
        self._unsupported(Can.WRITE)

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        """Store *records*, in one round trip where the store can.

        Raises StoreUnavailable where the store takes nothing at present, RecordsRefused where it will never take some
        of them, StoreError where that is not known. After StoreUnavailable and StoreError the caller tries the whole
        batch again: a record that is stored twice must read as one.
        """
        for record in records:
            self.notify(record)

    def labelled(self, record: dict[str, Any]) -> dict[str, Any]:
        """A copy of *record* that says whose it is: this driver's project and service, where it has none itself."""
        return {"project": self.project, "service": self.service, **record}

    # Reading

    def read(self, base_id: str) -> list[dict[str, Any]]:
        """All records of the trace *base_id*, in any order; none for an unknown trace.

        Raises CommandError with one line where the store cannot be read.
        """
        self._unsupported(Can.READ_RECORDS)

    def get_report(self, base_id: str) -> dict[str, Any]:
        """The trace as a tree of dictionaries, in the shape that ``osprofiler trace show --json`` prints."""
        return json_report.report(model.from_records(self.read(base_id)))

    def first_record(self, base_id: str) -> dict[str, Any] | None:
        """The earliest record of the trace that can be read, where the first that the store gave cannot."""
        return min(self.read(base_id), key=lambda record: str(record["timestamp"]), default=None)

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        """The first record of every trace, cut down to *fields* (``default_trace_fields`` if None)."""
        self._unsupported(Can.LIST)

    def find_ids(self, prefix: str = "", suffix: str = "") -> list[str]:
        """The ids of the traces that begin with *prefix* and end with *suffix*.

        A driver overrides it where its store can look for them; here all traces are listed.
        """
        listed = (str(trace["base_id"]) for trace in self.list_traces({"base_id"}))
        return [base_id for base_id in listed if base_id.startswith(prefix) and base_id.endswith(suffix)]

    def list_error_traces(self) -> list[dict[str, Any]]:
        """``base_id`` and ``timestamp`` of every trace in which something failed."""
        self._unsupported(Can.LIST_ERRORS)

    def candidates(
        self, *, error: bool = False, service: str | None = None, since_us: int | None = None
    ) -> list[dict[str, Any]]:
        """``base_id`` and ``timestamp`` of at least those traces that have a span of *service* (``*``, ``?`` and ``[]``
        are wildcards), began at *since_us* (microseconds since the epoch) or later and, with *error*, failed somewhere.

        A driver overrides it where its store would otherwise send more than it need.
        """
        if error and Can.LIST_ERRORS in self.can:
            return self.list_error_traces()
        return self.list_traces({"base_id", "timestamp"})

    def delete(self, base_id: str) -> int:
        """Remove the trace *base_id*; how many records there were."""
        self._unsupported(Can.DELETE)

    def purge(self, before_us: int) -> int:
        """Remove every trace whose first record is older than *before_us* (since the epoch); how many traces.

        A driver overrides it where its store can do that at once.
        """
        if Can.DELETE not in self.can:
            self._unsupported(Can.PURGE)
        listed = self.list_traces({"base_id", "timestamp"})
        old = [str(trace["base_id"]) for trace in listed if model.began_us(trace) < before_us]
        self._delete_all(old)
        return len(old)

    def _delete_all(self, base_ids: Sequence[str]) -> int:
        """Remove these traces; how many records there were. A driver overrides it where one pass can take many."""
        return sum(self.delete(base_id) for base_id in base_ids)

    def close(self) -> None:
        """Give back connections. The driver may be used again: it then connects anew."""

    def _unsupported(self, ability: Can) -> NoReturn:
        raise Unsupported(f"the driver {self.get_name()} cannot {ability.value}")
