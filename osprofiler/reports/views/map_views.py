# SPDX-License-Identifier: Apache-2.0
"""A service map in the DOT language, as Jaeger's JSON of dependencies, and as an HTML page with a drawing."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from typing import Any

from osprofiler.reports import wording
from osprofiler.reports.analysis.service_map import Calls, ServiceMap
from osprofiler.reports.views import dot, html_page

_WIDTH, _HEIGHT, _BETWEEN, _GAP = 170, 44, 150, 26  # of a box, and between columns and rows, in pixels
_LABEL_CHARS = 24


def dot_text(services: ServiceMap) -> Iterator[str]:
    """The lines of a digraph. Red: there were errors."""
    number = {service: f"s{i}" for i, service in enumerate(sorted(services.spans))}
    yield "digraph services {\n"
    yield '  rankdir=LR; node [shape=box, style="rounded", fontname="sans-serif"];\n'
    for service, name in number.items():
        red = ", color=red" if services.errors[service] else ""
        yield f"  {name} [label={dot.quoted([service, wording.counted(services.spans[service], 'span')])}{red}];\n"
    for (caller, called), calls in sorted(services.calls.items()):
        red = ", color=red" if calls.errors else ""
        yield f"  {number[caller]} -> {number[called]} [label={dot.quoted(_about(calls))}{red}];\n"
    yield "}\n"


def dependencies(services: ServiceMap) -> Iterator[str]:
    """JSON as in a response of Jaeger's ``/api/dependencies``."""
    yield json.dumps({"data": links(services), "total": 0, "limit": 0, "offset": 0, "errors": None}, indent=1) + "\n"


def links(services: ServiceMap) -> list[dict[str, Any]]:
    """The ``data`` of that response: also how often a service calls itself."""
    return [
        {"parent": caller, "child": called, "callCount": count}
        for (caller, called), count in sorted(services.counts().items())
    ]


def html_text(services: ServiceMap) -> str:
    """The page: a drawing, and a table of the calls. It needs no script."""
    styles = ("theme.css", "figures.css", "drawing.css", "map.css")
    return html_page.static(
        "map.html", styles, f"Services of {wording.counted(services.traces, 'trace')}", body(services)
    )


def body(services: ServiceMap) -> str:
    """The drawing and the table as markup. An element of a service has its name as ``data-service``."""
    if not services.spans:
        return '<p class="note">No span names its service.</p>'
    return f'<div class="drawing">{_drawing(services)}</div>{"".join(_table(services))}'


def _about(calls: Calls) -> list[str]:
    errors = f", {calls.errors} failed" if calls.errors else ""
    return [
        f"{wording.counted(calls.count, 'call')}{errors}",
        f"mean {wording.duration(calls.total_us // max(calls.count, 1))}",
    ]


def _drawing(services: ServiceMap) -> str:
    columns = services.levels()
    tallest = max(map(len, columns), default=0)
    place = {}
    for i, column in enumerate(columns):
        offset = (tallest - len(column)) * (_HEIGHT + _GAP) // 2
        for j, service in enumerate(column):
            place[service] = 10 + i * (_WIDTH + _BETWEEN), 10 + offset + j * (_HEIGHT + _GAP)
    width = 20 + len(columns) * (_WIDTH + _BETWEEN) - _BETWEEN
    height = 20 + tallest * (_HEIGHT + _GAP) - _GAP
    label = "Service map; the table below has the same calls"
    parts = [
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{label}">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">',
        '<path d="M0 0L8 4L0 8z"/></marker></defs>',
    ]
    for (caller, called), calls in sorted(services.calls.items()):
        parts.append(_arrow(place[caller], place[called], calls))
    for service, (x, y) in place.items():
        name, cut = html.escape(service), html.escape(service[:_LABEL_CHARS])
        failed = services.errors[service]
        bad = ' class="bad"' if failed else ""
        parts.append(
            f'<g data-service="{name}"><title>{name}</title>'
            f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6"{bad}/>'
            f'<text x="{x + 10}" y="{y + 18}">{cut}</text>'
            f'<text class="soft" x="{x + 10}" y="{y + 34}">{wording.counted(services.spans[service], "span")}'
            f"{f', {failed} failed' if failed else ''}</text></g>"
        )
    return "".join(parts) + "</svg>"


def _arrow(start: tuple[int, int], end: tuple[int, int], calls: Calls) -> str:
    """A curve from the right of one box to the left of the other; a call back goes out on the left."""
    forward = end[0] > start[0]
    x1, y1 = start[0] + (_WIDTH if forward else 0), start[1] + _HEIGHT // 2
    x2, y2 = end[0] + (0 if forward else _WIDTH), end[1] + _HEIGHT // 2
    if end[0] == start[0]:
        x2 = end[0]
    bend = _BETWEEN // 2 if forward else -_BETWEEN // 2
    far = x2 - bend if end[0] != start[0] else x2 + bend
    bad = " bad" if calls.errors else ""
    title, x, y = ", ".join(_about(calls)), (x1 + x2) // 2, (y1 + y2) // 2 + (-4 if forward else 14)
    return (
        f'<path class="call{bad}" d="M{x1} {y1}C{x1 + bend} {y1} {far} {y2} {x2} {y2}" marker-end="url(#tip)">'
        f'<title>{title}</title></path><text class="count" x="{x}" y="{y}">{_label(calls)}</text>'
    )


def _label(calls: Calls) -> str:
    """How often, and how long on average; short, since it stands on an arrow."""
    failed = f" ({calls.errors} failed)" if calls.errors else ""
    return f"{calls.count} x {wording.duration(calls.total_us // max(calls.count, 1))}{failed}"


def _table(services: ServiceMap) -> Iterator[str]:
    heads = '<th class="name">caller</th>' + "".join(
        f"<th>{head}</th>" for head in ("called", "calls", "failed", "mean")
    )
    yield f'<div class="wide"><table class="figures calls"><thead><tr>{heads}</tr></thead><tbody>'
    for (caller, called), calls in sorted(services.calls.items(), key=lambda item: (-item[1].count, item[0])):
        names = f'<td class="name">{html.escape(caller)}</td><td>{html.escape(called)}</td>'
        mean = wording.duration(calls.total_us // max(calls.count, 1))
        yield f"<tr>{names}<td>{calls.count}</td><td>{calls.errors or ''}</td><td>{mean}</td></tr>"
    yield "</tbody></table></div>"
