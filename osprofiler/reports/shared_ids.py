# SPDX-License-Identifier: Apache-2.0
"""Telling spans apart that have one id, as a client's and a server's have with some tracers, or after a fault.

Such records are put together by name, place and time: a stop is that of the latest start before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from osprofiler.records.record import another_id, microseconds, split_name


def spans_of(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each of *records*, readable ones of ids that several spans have, the id of its span.

    The span that began first keeps the id. A record that is there twice is of one span.
    """
    events = [_event(record) for record in records]
    found = [""] * len(events)
    counts: dict[str, int] = {}
    known: dict[tuple[Any, ...], str] = {}
    open_: dict[tuple[Any, ...], list[tuple[int, str]]] = {}  # starts without a stop, of one name and place
    for i in sorted(range(len(events)), key=lambda i: events[i][:3]):
        trace_id, at_us, phase, *rest = event = events[i]
        if event not in known:
            waiting = open_.setdefault((trace_id, *rest), [])
            if phase == "stop" and waiting:
                # The latest start, but rather one before this instant than one at it: that began as this one ended.
                _, known[event] = waiting.pop(-2 if waiting[-1][0] == at_us and len(waiting) > 1 else -1)
            else:
                count = counts[trace_id] = counts.get(trace_id, 0) + 1
                known[event] = trace_id if count == 1 else another_id(trace_id, count)
                if phase == "start":
                    waiting.append((at_us, known[event]))
        found[i] = known[event]
    return found


def _event(record: Mapping[str, Any]) -> tuple[str, int, str, Any, Any, Any, Any]:
    name, phase = split_name(str(record["name"]))
    info = record.get("info")
    host = record.get("host") or (info.get("host") if isinstance(info, Mapping) else None)
    place = (str(record.get("project")), str(record.get("service")), str(host))
    return (str(record["trace_id"]), microseconds(str(record["timestamp"])), phase, name, *place)
