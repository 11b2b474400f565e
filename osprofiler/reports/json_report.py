# SPDX-License-Identifier: Apache-2.0
"""A trace in the shape of 4.4.0's ``trace show --json``: nested dictionaries, milliseconds from the trace's start.

What that shape cannot say stands under further keys of ``info``. In the top one: ``base_id``, ``started_at`` (UTC, as
in records), ``duration_us``, ``unfinished`` (how many spans). In a span's: ``started_us`` (from the trace's start),
``duration_us`` (null: unfinished), ``operation``, ``reference`` (``child_of``, ``follows_from`` or null),
``parent_missing``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from osprofiler.records import timestamp
from osprofiler.reports.model import SpanNode, Trace


def report(trace: Trace) -> dict[str, Any]:
    """The report of *trace*; an empty one has ``children`` and ``stats`` empty and null for its times."""
    zero_us = trace.start_us
    nodes = {span.trace_id: _node(span, zero_us) for span in trace.spans.values()}
    stats: dict[str, dict[str, int]] = {}
    for span in trace.spans.values():
        nodes[span.trace_id]["children"] = [nodes[child.trace_id] for child in span.children]
        info = nodes[span.trace_id]["info"]
        sums = stats.setdefault(span.name, {"count": 0, "duration": 0, "duration_us": 0})
        sums["count"] += 1
        sums["duration"] += info["finished"] - info["started"]
        sums["duration_us"] += span.duration_us or 0
    top: dict[str, Any] = {"name": "total", "started": 0, "finished": None, "last_trace_started": None}
    if trace.spans:
        last_us = max(span.start_us for span in trace.spans.values())
        top |= {
            "finished": (trace.end_us - zero_us) // 1000,
            "last_trace_started": (last_us - zero_us) // 1000,
            "base_id": trace.base_id,
            "started_at": timestamp(zero_us),
            "duration_us": trace.end_us - zero_us,
            "unfinished": sum(not span.finished for span in trace.spans.values()),
        }
    return {"info": top, "children": [nodes[root.trace_id] for root in trace.roots], "stats": stats}


def _node(span: SpanNode, zero_us: int) -> dict[str, Any]:
    info: dict[str, Any] = {
        "name": span.name,
        "project": span.project,
        "service": span.service,
        "host": span.host,
        **{f"meta.raw_payload.{name}": payload for name, payload in span.payloads.items()},
        "started": (span.start_us - zero_us) // 1000,
        "finished": (span.end_us - zero_us) // 1000,
    }
    if span.finished:
        info["exception"] = span.error or "None"
    info |= {
        "started_us": span.start_us - zero_us,
        "duration_us": span.duration_us,
        "operation": span.operation,
        "reference": span.reference,
        "parent_missing": span.parent_missing,
    }
    return {"info": info, "trace_id": span.trace_id, "parent_id": span.parent_id, "children": []}


def text(tree: dict[str, Any]) -> Iterator[str]:
    """*tree*, a report, as pieces of JSON text. The json package would recurse, and a trace may be deep."""
    closing = object()
    waiting: list[Any] = [tree]
    comma = False  # whether the node that comes next has one before it
    while waiting:
        node = waiting.pop()
        if node is closing:
            yield waiting.pop()
            comma = True
            continue
        children = node.get("children") or []
        rest = {key: value for key, value in node.items() if key != "children"}
        head = json.dumps(rest, default=_plain, separators=(", ", ": "))
        lead = ",\n" if comma else "\n" if node is not tree else ""
        yield f'{lead}{head[:-1]}, "children": ['
        waiting.append("]}")
        waiting.append(closing)
        waiting.extend(reversed(children))
        comma = False
    yield "\n"


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
