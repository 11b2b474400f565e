# SPDX-License-Identifier: Apache-2.0
"""What every driver is: it takes records, gives them back, and makes reports of them.

A driver of ours overrides ``write`` and ``read``. One written for osprofiler 4.4.0 overrides ``notify`` and
``get_report``, the latter with the help of ``_append_results`` and ``_parse_results``; it works unchanged.
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn

from osprofiler.records.record import split_name
from osprofiler.reports import model
from osprofiler.reports.views import json_report


def overrides(driver: type, method: str, older: str) -> bool:
    """Whether *driver* has its own *method*, and no class below the one that gave it has only the *older* method.

    A driver of another package may be a subclass of one of ours, written when there was only the older way.
    """
    for kind in driver.__mro__:
        if kind is Driver:
            break
        if method in vars(kind) or older in vars(kind):
            return method in vars(kind)
    return False


class Driver:
    """Base of all drivers; a subclass is found by its ``get_name()`` or by an entry point of ``osprofiler.drivers``."""

    __module__ = "osprofiler.drivers.base"  # its public path, as in osprofiler 4.4.0

    #: What ``list_traces`` gives of each trace if not asked for more.
    default_trace_fields: ClassVar[set[str]] = {"base_id", "timestamp"}

    #: The store's limit on the text of one span, in characters; None: no limit of its own.
    max_span_chars: ClassVar[int | None] = None

    # For subclasses whose constructor does not call this one.
    _parsed: bool = True

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

    # Writing

    def notify(self, info: dict[str, Any], **kwargs: Any) -> None:
        """Store one record (its shape: ``osprofiler.records.record``). Raises what the store's client raises."""
        self._unsupported()

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        """Store *records*, in one round trip where the store can. Raises what the store's client raises.

        The caller then tries the whole batch again: a record that is stored twice must read as one.
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
        self._unsupported()

    def get_report(self, base_id: str) -> dict[str, Any]:
        """The trace as a tree of dictionaries, in the shape that ``osprofiler trace show --json`` prints."""
        return json_report.report(model.from_records(self.read(base_id)))

    def first_record(self, base_id: str) -> dict[str, Any] | None:
        """The earliest record of the trace that can be read, where the first that the store gave cannot."""
        return min(self.read(base_id), key=lambda record: str(record["timestamp"]), default=None)

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        """The first record of every trace, cut down to *fields* (``default_trace_fields`` if None)."""
        self._unsupported()

    def find_ids(self, prefix: str = "", suffix: str = "") -> list[str]:
        """The ids of the traces that begin with *prefix* and end with *suffix*.

        A driver overrides it where its store can look for them; here all traces are listed.
        """
        listed = (str(trace["base_id"]) for trace in self.list_traces({"base_id"}))
        return [base_id for base_id in listed if base_id.startswith(prefix) and base_id.endswith(suffix)]

    def list_error_traces(self) -> list[dict[str, Any]]:
        """``base_id`` and ``timestamp`` of every trace in which something failed."""
        self._unsupported()

    def candidates(
        self, *, error: bool = False, service: str | None = None, since_us: int | None = None
    ) -> list[dict[str, Any]]:
        """``base_id`` and ``timestamp`` of at least those traces that have a span of *service* (``*``, ``?`` and ``[]``
        are wildcards), began at *since_us* (microseconds since the epoch) or later and, with *error*, failed somewhere.

        A driver overrides it where its store would otherwise send more than it need.
        """
        if error:
            with contextlib.suppress(NotImplementedError):
                return self.list_error_traces()
        return self.list_traces({"base_id", "timestamp"})

    def delete(self, base_id: str) -> int:
        """Remove the trace *base_id*; how many records there were."""
        self._unsupported()

    def purge(self, before_us: int) -> int:
        """Remove every trace whose first record is older than *before_us* (since the epoch); how many traces.

        A driver overrides it where its store can do that at once.
        """
        if type(self).delete is Driver.delete:
            self._unsupported()
        listed = self.list_traces({"base_id", "timestamp"})
        old = [str(trace["base_id"]) for trace in listed if model.began_us(trace) < before_us]
        self._delete_all(old)
        return len(old)

    def _delete_all(self, base_ids: Sequence[str]) -> int:
        """Remove these traces; how many records there were. A driver overrides it where one pass can take many."""
        return sum(self.delete(base_id) for base_id in base_ids)

    def close(self) -> None:
        """Give back connections. The driver may be used again: it then connects anew."""

    def _unsupported(self) -> NoReturn:
        raise NotImplementedError(f"{self.get_name()}: this method is either not supported or has to be overridden")

    # For drivers in the manner of 4.4.0

    def _forget_results(self) -> None:
        self.result: dict[str, Any] = {}
        self.started_at: datetime.datetime | None = None
        self.finished_at: datetime.datetime | None = None
        self.last_started_at: datetime.datetime | None = None
        self._appended: list[dict[str, Any]] = []
        self._payloads: list[Any] = []
        self._parsed = False

    def _append_results(
        self,
        trace_id: str,
        parent_id: str,
        name: str,
        project: str | None,
        service: str | None,
        host: str | None,
        timestamp: str,
        raw_payload: dict[str, Any] | None = None,
    ) -> None:
        """Take one record of the trace that is being read; *raw_payload* is shown in the report as it is.

        The first record after a finished report begins a new one.
        """
        if self._parsed:
            self._forget_results()
        payload = raw_payload if isinstance(raw_payload, Mapping) else {}
        given = payload.get("info")
        info = given if isinstance(given, Mapping) else {}
        record = {
            "name": name,
            "base_id": payload.get("base_id"),
            "trace_id": trace_id,
            "parent_id": parent_id,
            "project": project,
            "service": service,
            "host": host,
            "timestamp": timestamp,
            "info": info,
        }
        self._appended.append(record)
        self._payloads.append(raw_payload)

        # The attributes that subclasses may look at.
        at = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=model.time_us(timestamp))
        point, phase = split_name(name)
        node = self.result.setdefault(
            trace_id,
            {
                "info": {"name": point, "project": project, "service": service, "host": host},
                "trace_id": trace_id,
                "parent_id": parent_id,
            },
        )
        node["info"][f"meta.raw_payload.{name}"] = raw_payload
        if phase == "stop":
            node["info"].update(finished=at, exception=info.get("etype", "None"))
        else:
            node["info"]["started"] = at
            self.last_started_at = max(self.last_started_at or at, at)
        self.started_at = min(self.started_at or at, at)
        self.finished_at = max(self.finished_at or at, at)

    def _parse_results(self) -> dict[str, Any]:
        """The report of what was appended since the last one was finished."""
        if "_appended" not in vars(self):
            self._forget_results()
        self._parsed = True
        return json_report.report(model.from_records(self._appended, self._payloads))

    @staticmethod
    def _build_tree(nodes: dict[str, Any]) -> list[dict[str, Any]]:
        """The roots of *nodes* (trace_id to node) with their ``children``, both by ``info.started``; O(n log n)."""
        copies = {trace_id: {**node, "children": []} for trace_id, node in nodes.items()}
        roots: list[dict[str, Any]] = []
        for node in sorted(copies.values(), key=lambda node: node["info"]["started"]):
            parent = copies.get(node["parent_id"])
            (roots if parent is None else parent["children"]).append(node)
        return roots
