# SPDX-License-Identifier: Apache-2.0
"""Makes the start and the stop record of a span, for stores."""

from __future__ import annotations

import os
import socket
from typing import Any

from osprofiler.records import ids
from osprofiler.records.names import CHILD_OF, FOLLOWS_FROM, RESERVED
from osprofiler.records.record import timestamp
from osprofiler.records.span_data import SpanData

HOST = socket.gethostname()


def start(span: SpanData, *, plain: bool = False) -> dict[str, Any]:
    """The start record of *span*. If *plain*, ``info`` does not get the reserved key."""
    info: dict[str, Any] = {**(span.start_info or {}), "host": HOST}
    if not plain:
        extra: dict[str, Any] = {"operation": span.operation_name, "pid": os.getpid()}
        if span.parent_span_id:
            extra["parent"] = FOLLOWS_FROM if span.follows else CHILD_OF
        info[RESERVED] = extra
    return _record(span, "start", span.start_us, info)


def stop(span: SpanData, *, plain: bool = False) -> dict[str, Any]:
    """The stop record of a finished *span*. If *plain*, ``info`` does not get the reserved key."""
    info: dict[str, Any] = {**(span.stop_info or {}), "host": HOST}
    if not plain:
        extra: dict[str, Any] = {}
        if span.own_tags:
            extra["tags"] = dict(span.own_tags)
        if span.own_logs:
            extra["logs"] = [[at_us, fields] for at_us, fields in span.own_logs]
        if span.links:
            extra["links"] = [_link(*link) for link in span.links]
        if extra:
            info[RESERVED] = extra
    return _record(span, "stop", span.start_us + (span.duration_us or 0), info)


def _record(span: SpanData, phase: str, at_us: int, info: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": f"{span.name or span.operation_name}-{phase}",
        "base_id": span.base_id,
        "trace_id": span.point_id,
        "parent_id": span.parent_point_id,
        "timestamp": timestamp(at_us),
        "info": info,
    }


def _link(kind: str, trace_id: int, span_id: int) -> list[str]:
    return [kind, ids.uuid_text(trace_id), ids.point_uuid(ids.point_prefix(trace_id), span_id)]
