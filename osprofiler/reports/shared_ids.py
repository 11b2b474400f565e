# SPDX-License-Identifier: Apache-2.0
"""Separate spans that share one id.

Some tracers give the client's and the server's span the same id, and so can a fault. The records of these spans are
matched by name, service and time: a stop record belongs to the latest start record before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from osprofiler.records.record import another_id, microseconds, split_name


def spans_of(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each of *records* the id of its span. *records*: readable records of ids that several spans share.

    The span that began first keeps its id. Two equal records belong to one span.
    """
    events = [_event(record) for record in records]
    span_ids = [""] * len(events)
    counts: dict[str, int] = {}
    known: dict[tuple[Any, ...], str] = {}
    open_: dict[tuple[Any, ...], list[tuple[int, str]]] = {}  # starts without a stop, of one name and place
    for i in sorted(range(len(events)), key=lambda i: events[i][:3]):
        trace_id, at_us, phase, *rest = event = events[i]
        if event not in known:
            waiting = open_.setdefault((trace_id, *rest), [])
            if phase == "stop" and waiting:
                # The latest start before this instant: a span that started at this instant began when this one ended.
                _, known[event] = waiting.pop(-2 if waiting[-1][0] == at_us and len(waiting) > 1 else -1)
            else:
                count = counts[trace_id] = counts.get(trace_id, 0) + 1
                known[event] = trace_id if count == 1 else another_id(trace_id, count)
                if phase == "start":
                    waiting.append((at_us, known[event]))
        span_ids[i] = known[event]
    return span_ids


def _event(record: Mapping[str, Any]) -> tuple[str, int, str, Any, Any, Any, Any]:
    name, phase = split_name(str(record["name"]))
    info = record.get("info")
    host = record.get("host") or (info.get("host") if isinstance(info, Mapping) else None)
    place = (str(record.get("project")), str(record.get("service")), str(host))
    return (str(record["trace_id"]), microseconds(str(record["timestamp"])), phase, name, *place)
