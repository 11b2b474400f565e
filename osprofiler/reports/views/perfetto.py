# SPDX-License-Identifier: Apache-2.0
"""A trace as JSON for Perfetto's UI (ui.perfetto.dev) and Chrome's tracing page.

Processes are services, threads are tracks (see ``tracks``), and arrows are references from another track: to a parent,
and from the branches that a join waited for. Times are in microseconds since the epoch.

Source: "Trace Event Format", the document of the Chromium project: complete events (``X``), begin events without an end
(``B``) for unfinished spans, metadata (``M``), and flow events (``s``, ``f``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from osprofiler.reports import wording
from osprofiler.reports.model import SpanNode, Trace
from osprofiler.reports.views import html_page, tracks
from osprofiler.reports.views.tracks import Track


def text(trace: Trace) -> Iterator[str]:
    """The file, in pieces."""
    yield '{"displayTimeUnit": "ms", "traceEvents": ['
    for i, event in enumerate(_events(trace)):
        yield f"{',' if i else ''}\n{html_page.json_text(event)}"
    yield f'\n], "otherData": {{"trace": {html_page.json_text(trace.base_id)}}}}}\n'


def _events(trace: Trace) -> Iterator[dict[str, Any]]:
    found = tracks.of(trace)
    numbers = {process: i for i, process in enumerate(dict.fromkeys(track.process for track in found), 1)}
    where: dict[str, dict[str, int]] = {}  # of each span, by its id
    for process, number in numbers.items():
        yield {"ph": "M", "name": "process_name", "pid": number, "tid": 0, "args": {"name": str(process)}}
    for track in found:
        place = {"pid": numbers[track.process], "tid": track.number}
        yield {"ph": "M", "name": "thread_name", **place, "args": {"name": str(track)}}
        yield {"ph": "M", "name": "thread_sort_index", **place, "args": {"sort_index": track.number}}
        where.update(dict.fromkeys(_ids(track), place))
    for track in found:
        for event in track.events:
            if event.opens:
                yield _slice(event.span, where[event.span.trace_id])
                yield from _flows(event.span, trace, where)


def _ids(track: Track) -> Iterator[str]:
    return (event.span.trace_id for event in track.events if event.opens)


def _slice(span: SpanNode, place: dict[str, int]) -> dict[str, Any]:
    about = {
        "detail": wording.detail(span),
        "marks": ", ".join(wording.badges(span)),
        "span id": span.trace_id,
        "parent id": span.parent_id,
        **span.tags,
    }
    event: dict[str, Any] = {"ph": "X" if span.finished else "B", "name": wording.one_line(span.operation)}
    event |= {"cat": "span,error" if span.error else "span", "ts": span.start_us, **place}
    if span.finished:
        event["dur"] = span.duration_us
    if span.error:
        event["cname"] = "terrible"  # red
    return event | {"args": {key: value for key, value in about.items() if value != ""}}


def _flows(span: SpanNode, trace: Trace, where: dict[str, dict[str, int]]) -> Iterator[dict[str, Any]]:
    """The arrows to *span* from spans on other tracks. An arrow goes forward in time, and begins within its span."""
    parent = trace.spans.get(span.parent_id)
    sources = [] if parent is None else [("starts", parent)]
    sources += [("joins", trace.spans[link.trace_id]) for link in span.links if link.trace_id in trace.spans]
    for name, source in sources:
        if where[source.trace_id] == where[span.trace_id] or source.start_us > span.start_us:
            continue
        last_us = tracks.end_us(source, trace) - 1
        at_us = max(min(span.start_us, last_us), source.start_us)
        flow = {"name": name, "cat": "reference", "id": f"{source.trace_id} {span.trace_id}"}
        yield {"ph": "s", **flow, "ts": at_us, **where[source.trace_id]}
        yield {"ph": "f", "bp": "e", **flow, "ts": span.start_us, **where[span.trace_id]}
