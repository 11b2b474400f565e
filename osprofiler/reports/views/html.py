# SPDX-License-Identifier: Apache-2.0
"""A trace as one HTML file that needs no network and no libraries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from osprofiler.records import ids
from osprofiler.records.record import timestamp
from osprofiler.reports import wording
from osprofiler.reports.analysis import critical_path, service_map
from osprofiler.reports.analysis.statistics import self_us
from osprofiler.reports.model import SpanNode, Trace
from osprofiler.reports.views import html_page, map_views

_STYLES = ("theme.css", "flame.css", "figures.css", "drawing.css", "style.css")
_SCRIPTS = (
    "common.js",
    "data.js",
    "search.js",
    "path.js",
    "list.js",
    "rows.js",
    "overview.js",
    "gestures.js",
    "columns.js",
    "details.js",
    "heads.js",
    "statistics.js",
    "spans.js",
    "flame.js",
    "stacks.js",
    "services.js",
    "views.js",
    "control.js",
)

# Bits of a row's flags; data.js has the same values.
UNFINISHED, DETACHED, PARENT_MISSING, START_LOST = 1, 2, 4, 8


def page(trace: Trace) -> str:
    """The page as one text; :func:`text` returns it in pieces."""
    return "".join(text(trace))


def text(trace: Trace) -> Iterator[str]:
    """The page, in pieces."""
    title = trace.roots[0].operation if trace.roots else "empty trace"
    services = map_views.body(service_map.of([trace]))
    return html_page.text("page.html", _STYLES, _SCRIPTS, title, _data(trace), services)


def _data(trace: Trace) -> Iterator[str]:
    """The trace as JSON: the common data, then one row for each span, in the order of the tree."""
    rows = list(trace.walk())
    position = {span.trace_id: i for i, (_, span) in enumerate(rows)}
    places = {place: i for i, place in enumerate(dict.fromkeys(wording.place(span) for _, span in rows))}
    sizes = [1] * len(rows)  # of the subtrees, from the leaves up
    for i in range(len(rows) - 1, -1, -1):
        parent = position.get(rows[i][1].parent_id)
        if rows[i][0] and parent is not None:
            sizes[parent] += sizes[i]
    common = {
        "base_id": trace.base_id,
        "started_at": timestamp(trace.start_us).replace("T", " "),
        "total_us": trace.end_us - trace.start_us,
        "summary": wording.summary(trace),
        "services": list(places),
        "clocks": wording.clocks(trace),
        "paths": _paths(trace, position),
    }
    yield f'{{"trace": {html_page.json_text(common)}, "rows": ['
    for i, (depth, span) in enumerate(rows):
        row = [
            depth,
            sizes[i],
            places[wording.place(span)],
            span.start_us - trace.start_us,
            -1 if span.duration_us is None else span.duration_us,
            self_us(span),
            _flags(span),
            span.operation,
            wording.detail(span),
            span.error or "",
            wording.http_status(span) or 0,
            _details(span, position),
        ]
        yield f"{',' if i else ''}\n{html_page.json_text(row)}"
    yield "]}"


def _paths(trace: Trace, position: dict[str, int]) -> dict[str, list[list[int]]]:
    """The sections of the critical path of the request, and of the whole trace if that is longer; by time."""
    of_request, zero_us = critical_path.find(trace), trace.start_us
    paths = {"request": of_request}
    if trace.end_us > of_request.to_us:
        paths["whole trace"] = critical_path.find(trace, whole=True)
    return {
        name: [
            [position[part.span.trace_id], part.from_us - zero_us, part.to_us - zero_us, int(part.waiting)]
            for part in path.sections
            if part.span is not critical_path.CLIENT  # it has no row
        ]
        for name, path in paths.items()
        if path.sections
    }


def _flags(span: SpanNode) -> int:
    return (
        UNFINISHED * (not span.finished)
        | DETACHED * span.detached
        | PARENT_MISSING * span.parent_missing
        | START_LOST * (not span.has_start)
    )


def _details(span: SpanNode, position: dict[str, int]) -> dict[str, Any]:
    """The details of a span, shown when it is chosen; empty parts are left out."""
    links = [[link.kind, position.get(link.trace_id, -1), link.base_id, link.trace_id] for link in span.links]
    about = {
        "span id": span.trace_id,  # records call it trace_id
        "parent id": span.parent_id,
        "span id in Jaeger": f"{ids.span_id_of(span.trace_id):016x}",
        "name": span.name,
        "project": span.project,
        "service": span.service,
        "host": span.host,
        "pid": span.pid,
        "clock corrected by": wording.signed(span.skew_us) if span.skew_us else None,
    }
    parts = {
        "span": {key: value for key, value in about.items() if value is not None},
        "reference": span.reference,
        "links": links,
        "fates": [f"{count} {fate.replace('_', ' ')}" for fate, count in span.fates.items()],
        "tags": span.tags,
        "logs": [[log.at_us - span.start_us, log.fields] for log in span.logs],
        "start": {key: value for key, value in span.start_info.items() if key != "host"},
        "stop": {key: value for key, value in span.stop_info.items() if key != "host"},
    }
    return {key: value for key, value in parts.items() if value}
