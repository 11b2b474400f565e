# SPDX-License-Identifier: Apache-2.0
"""Records that service code made by hand, for transports that know only whole spans: a start and its stop make one."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from osprofiler.opentracing_compat import ids, naming
from osprofiler.opentracing_compat.scope import SAMPLED, Origin
from osprofiler.records import microseconds, split_name

#: Starts whose stop never comes are forgotten, the oldest first.
MOST_WAITING = 10_000

#: The tag for the point's own id, where the trace's and the span's integers do not give it back.
POINT_ID = "osprofiler.trace_id"


class RecordedSpan:
    """What a span transport reads of a span, from two records."""

    raw_logs: list[tuple[int, dict[str, Any]]] = []  # noqa: RUF012
    links = None
    follows = False
    flags = SAMPLED

    def __init__(self, start: dict[str, Any], stop: dict[str, Any]) -> None:
        self.origin = Origin.from_osprofiler(None, start["base_id"], start["parent_id"])
        self.span_id = ids.span_id_of(start["trace_id"])
        self.parent_span_id = self.origin.parent_span_id
        self.parent_uuid = self.origin.parent_id
        self.name = split_name(start["name"])[0]
        self.info: dict[str, Any] = start.get("info") or {}
        self.stop_info: dict[str, Any] = stop.get("info") or {}
        self.operation_name = naming.operation(self.name, self.info)
        self.start_us = microseconds(start["timestamp"])
        self.duration_us = max(microseconds(stop["timestamp"]) - self.start_us, 0)
        self.raw_tags: dict[str, Any] = {"error": True} if self.stop_info.get("etype") else {}
        if start["trace_id"] != ids.point_uuid(self.origin.prefix, self.span_id):
            self.raw_tags[POINT_ID] = start["trace_id"]


class Pairs:
    """The starts that wait for their stop."""

    def __init__(self) -> None:
        self._starts: OrderedDict[object, dict[str, Any]] = OrderedDict()

    def add(self, record: dict[str, Any]) -> RecordedSpan | None:
        """The span that *record* completes; None for a start, which is kept. A stop without start is a moment."""
        if split_name(str(record.get("name", "")))[1] == "start":
            self._starts[record.get("trace_id")] = record
            if len(self._starts) > MOST_WAITING:
                self._starts.popitem(last=False)
            return None
        return RecordedSpan(self._starts.pop(record.get("trace_id"), record), record)
