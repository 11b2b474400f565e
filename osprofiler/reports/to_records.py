# SPDX-License-Identifier: Apache-2.0
"""Turn a trace back into records, so that a trace of any store or file can be written into another store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from osprofiler.records.error_kind import tagged_error
from osprofiler.records.names import RESERVED
from osprofiler.records.record import split_name, timestamp
from osprofiler.reports.model import SpanNode, Trace

_NEEDED = ("name", "base_id", "trace_id", "parent_id", "timestamp", "info")


def records(trace: Trace) -> Iterator[dict[str, Any]]:
    """The records of *trace*, with the recorded times. Complete original records that it holds are returned as is."""
    for span in trace.spans.values():
        whole = {
            split_name(str(payload["name"]))[1]: dict(payload)
            for payload in span.payloads.values()
            if isinstance(payload, Mapping) and all(payload.get(key) is not None for key in _NEEDED)
        }
        if span.has_start:
            yield whole.get("start") or _start(trace, span)
        if span.finished:
            yield whole.get("stop") or _stop(trace, span)


def _start(trace: Trace, span: SpanNode) -> dict[str, Any]:
    extra: dict[str, Any] = {"operation": span.operation}
    if span.pid is not None:
        extra["pid"] = span.pid
    if span.reference is not None:
        extra["parent"] = span.reference
    if span.process:
        extra["process"] = dict(span.process)
    return _record(trace, span, "start", span.start_us - span.skew_us, {**span.start_info, RESERVED: extra})


def _stop(trace: Trace, span: SpanNode) -> dict[str, Any]:
    tags = dict(span.tags)
    is_tagged = tagged_error(tags) == span.error
    if span.error == "error" and not is_tagged:
        tags["error"] = is_tagged = True
    extra = {
        "tags": tags,
        "logs": [[log.at_us - span.skew_us, log.fields] for log in span.logs],
        "links": [list(link) for link in span.links],
    }
    info = dict(span.stop_info)
    if not is_tagged:
        info.setdefault("etype", span.error)
    if any(extra.values()):
        info[RESERVED] = {key: value for key, value in extra.items() if value}
    return _record(trace, span, "stop", span.end_us - span.skew_us, info)


def _record(trace: Trace, span: SpanNode, phase: str, at_us: int, info: dict[str, Any]) -> dict[str, Any]:
    if span.host is not None:
        info.setdefault("host", span.host)
    made = {
        "name": f"{span.name}-{phase}",
        "base_id": trace.base_id,
        "trace_id": span.trace_id,
        "parent_id": span.parent_id or trace.base_id,
        "timestamp": timestamp(at_us),
        "info": info,
    }
    where = {"project": span.project, "service": span.service}
    return {**made, **{key: value for key, value in where.items() if value is not None}}
