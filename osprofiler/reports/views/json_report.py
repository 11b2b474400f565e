# SPDX-License-Identifier: Apache-2.0
"""Write and read a trace in the shape of 4.4.0's ``trace show --json``.

That shape has nested dictionaries, and times in milliseconds from the trace's start. Further keys of ``info`` hold the
rest. In the top ``info``: ``base_id``, ``started_at`` (UTC, as in records), ``duration_us``, ``unfinished`` (the number
of spans). In the ``info`` of a span: ``started_us`` (from the trace's start), ``duration_us`` (null: unfinished),
``operation``, ``reference`` (``child_of``, ``follows_from`` or null), ``parent_missing``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from osprofiler.records import unreadable
from osprofiler.records.record import another_id, split_name, timestamp
from osprofiler.reports import model
from osprofiler.reports.model import SpanNode, Trace

PAYLOAD = "meta.raw_payload."


def report(trace: Trace) -> dict[str, Any]:
    """The report of *trace*. For an empty trace, ``children`` and ``stats`` are empty, and times are null."""
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
        **{f"{PAYLOAD}{name}": payload for name, payload in span.payloads.items()},
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


def text(tree: Mapping[str, Any]) -> Iterator[str]:
    """*tree*, a report, as pieces of JSON text. Does not use the json package, which recurses: a trace may be deep."""
    closing = object()
    waiting: list[Any] = [tree]
    comma = False  # whether the next node needs a comma in front
    while waiting:
        node = waiting.pop()
        if node is closing:
            yield waiting.pop()
            comma = True
            continue
        children = node.get("children") or []
        head = _encode({key: value for key, value in node.items() if key != "children"})
        lead = ",\n" if comma else "\n" if node is not tree else ""
        yield f'{lead}{head[:-1]}, "children": ['
        waiting.append("]}")
        waiting.append(closing)
        waiting.extend(reversed(children))
        comma = False
    yield "\n"


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


_encode = json.JSONEncoder(default=_plain).encode


def from_report(report: Mapping[str, Any], where: str = "the report") -> Trace:
    """The trace in a *report* of 4.4.0's shape, from ``trace show --json`` or a driver's ``get_report``.

    Times are in microseconds if the report is ours or holds whole records; else they are exact to milliseconds and
    counted from the epoch. An invalid node is left out and reported with *where* as its source; its children are kept.
    Raises ValueError if *report* is not a report.
    """
    top = report.get("info")
    if not isinstance(top, Mapping) or not isinstance(report.get("children"), list):
        raise ValueError("not a trace: it has no 'info' and 'children'")
    trace = Trace(str(top.get("base_id") or ""), report=report)
    zero_us = model.time_us(top["started_at"]) if "started_at" in top else 0
    waiting: list[tuple[Any, str]] = [(node, "") for node in reversed(report["children"])]
    while waiting:
        node, parent_id = waiting.pop()
        node_id = parent_id
        try:
            spans = _spans(trace, node, parent_id, zero_us)
        except model.UNREADABLE as fault:
            trace.unreadable += 1
            unreadable.skip(where, f"node {len(trace.spans) + trace.unreadable}", f"it is invalid: {fault!r}")
        else:
            node_id = spans[0].trace_id
            for span in spans:
                _add(trace, span, where)
        children = node.get("children") if isinstance(node, Mapping) else None
        waiting.extend((child, node_id) for child in reversed(children if isinstance(children, list) else []))
    # A report of 4.4.0 does not hold the base id; its records do, or else it is the parent id of the roots.
    outside = (span.parent_id for span in trace.spans.values() if span.parent_id not in trace.spans)
    trace.base_id = trace.base_id or next(outside, "")
    return model.linked(trace)


def _add(trace: Trace, span: SpanNode, where: str) -> None:
    """Add *span* to *trace*, under another id if its id is already taken."""
    given, count = span.trace_id, 1
    while span.trace_id in trace.spans:
        count += 1
        span.trace_id = another_id(given, count)
    trace.spans[span.trace_id] = span
    if count > 1:
        unreadable.note(where, f"several spans have the id {given}; {span.name!r} is shown as {span.trace_id}")


def _spans(trace: Trace, node: Mapping[str, Any], parent_id: str, zero_us: int) -> list[SpanNode]:
    """The spans of *node*: usually one; several if 4.4.0 merged spans that share an id."""
    info = node["info"]
    trace_id = str(node.get("trace_id") or f"#{len(trace.spans)}")
    started_us = zero_us + int(info.get("started") or 0) * 1000
    finished_us = zero_us + int(info.get("finished") or 0) * 1000
    # Some stores keep only parts of a record. The report's own values, in milliseconds, replace the missing parts.
    known = {
        "trace_id": trace_id,
        "parent_id": node.get("parent_id") or parent_id,
        "project": model.text(info.get("project")),
        "service": model.text(info.get("service")),
        "host": model.text(info.get("host")),
    }
    records = []
    for key, payload in info.items():
        if key.startswith(PAYLOAD):
            name = key[len(PAYLOAD) :]
            at_us = finished_us if split_name(name)[1] == "stop" else started_us
            record = {"timestamp": timestamp(at_us), **(payload if isinstance(payload, Mapping) else {})}
            records.append(({**record, **known, "name": name}, payload))
    scratch = Trace("")
    try:
        for record, payload in records:
            model.take(scratch, record, payload)
    except model.AnotherSpan:
        scratch = model.from_records(*zip(*records, strict=True))
    trace.base_id = trace.base_id or scratch.base_id
    span, *others = (scratch.spans.pop(trace_id, None), *scratch.spans.values())
    if span is None:
        span = SpanNode(trace_id, str(known["parent_id"]), "", start_us=started_us, has_start=True)
        span.duration_us = max(finished_us - started_us, 0)
        span.project, span.service, span.host = known["project"], known["service"], known["host"]
    span.name = span.name or str(info.get("name") or "")  # second choice: 4.4.0 cuts this name at its first dash
    if info.get("exception", "None") != "None":
        span.error = str(info["exception"])
    if "started_us" in info:
        span.start_us = zero_us + int(info["started_us"])
        span.duration_us = None if info.get("duration_us") is None else max(int(info["duration_us"]), 0)
    return [span, *others]
