# SPDX-License-Identifier: Apache-2.0
"""A trace as JSON for Perfetto's UI (ui.perfetto.dev) and Chrome's tracing page.

Processes are services, threads are tracks (see ``tracks``), and arrows are references from another track: to a parent,
and from the branches that a join waited for. Times are in microseconds since the epoch.

Sources: "Trace Event Format", the document of the Chromium project: complete events (``X``), begin events without an
end (``B``) for unfinished spans, metadata (``M``), and flow events (``s``, ``f``); and Perfetto's reader of this
format, ``src/trace_processor/importers/json``. It takes the id of a flow only if that is a number, and ties a flow to
the slice that began last on its track. So both events of a flow follow the begins of their slices.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
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
    spans = _in_order(trace)
    out, into = _flows(spans, where)
    for span in spans:
        place = where[span.trace_id]
        yield _slice(span, place)
        for phase, flows in (({"ph": "f", "bp": "e"}, into), ({"ph": "s"}, out)):
            for flow in flows.get(span.trace_id, ()):
                yield {**phase, **flow, "ts": span.start_us, **place}


def _in_order(trace: Trace) -> list[SpanNode]:
    """The spans by start. Of spans that start at the same time, a parent comes before its children."""
    return sorted((span for _, span in trace.walk()), key=lambda span: span.start_us)


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


def _flows(
    spans: Sequence[SpanNode], where: Mapping[str, dict[str, int]]
) -> tuple[dict[str, list[dict[str, Any]]], dict[str, list[dict[str, Any]]]]:
    """The flows out of spans and those into spans, by the ids of the spans.

    Each goes to another track, forward in time. *spans* are all spans, in the order of their events.
    """
    out: dict[str, list[dict[str, Any]]] = {}
    into: dict[str, list[dict[str, Any]]] = {}
    begun: set[str] = set()
    number = itertools.count(1)
    for span in spans:
        sources = [("starts", span.parent_id), *(("joins", link.trace_id) for link in span.links)]
        for name, source in sources:
            if source in begun and where[source] != where[span.trace_id]:
                flow = {"name": name, "cat": "reference", "id": next(number)}
                out.setdefault(source, []).append(flow)
                into.setdefault(span.trace_id, []).append(flow)
        begun.add(span.trace_id)
    return out, into
