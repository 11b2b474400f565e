# SPDX-License-Identifier: Apache-2.0
"""A trace as one HTML file that needs nothing else: no network, no libraries.

What comes from the trace is data: JSON in which no character can end the element it stands in, put into the page by
the script as text only, under a policy that lets no other script run and nothing be loaded.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from osprofiler.records import ids
from osprofiler.records.record import timestamp
from osprofiler.reports import wording
from osprofiler.reports.analysis import critical_path
from osprofiler.reports.model import SpanNode, Trace

_PAGE = Path(__file__).parent / "page"
_SCRIPTS = ("data.js", "path.js", "rows.js", "overview.js", "details.js", "control.js")

# Bits of a row's flags; data.js has the same.
UNFINISHED, DETACHED, PARENT_MISSING, START_LOST = 1, 2, 4, 8

# In JSON's escapes: a backslash, a pair, and half a pair, which is no character and can end a browser.
_SURROGATES = re.compile(r"\\\\|\\ud[89ab]..\\ud[c-f]..|\\ud[89a-f]..")

_ESCAPES = [(char, f"\\u{ord(char):04x}") for char in "<>&"]


def page(trace: Trace) -> str:
    """The page as one text; :func:`text` gives it in pieces."""
    return "".join(text(trace))


def text(trace: Trace) -> Iterator[str]:
    """The page, in pieces."""
    style, script = (_PAGE / "style.css").read_text("utf-8"), _script()
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    head, foot = (_PAGE / "page.html").read_text("utf-8").split("@DATA@")
    title = html.escape(wording.one_line(trace.roots[0].operation if trace.roots else "empty trace"))
    yield head.replace("@SCRIPT_SHA256@", digest).replace("@STYLE@", style).replace("@TITLE@", title)
    yield from _data(trace)
    yield foot.replace("@SCRIPT@", script)


def _script() -> str:
    """The parts of the script as one function, whose names nothing in the browser sees."""
    parts = "\n".join((_PAGE / name).read_text("utf-8") for name in _SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _data(trace: Trace) -> Iterator[str]:
    """The trace as JSON: what is the same for all, then a row a span, in the order of the tree."""
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
    yield f'{{"trace": {_json(common)}, "rows": ['
    for i, (depth, span) in enumerate(rows):
        row = [
            depth,
            sizes[i],
            places[wording.place(span)],
            span.start_us - trace.start_us,
            -1 if span.duration_us is None else span.duration_us,
            _flags(span),
            span.operation,
            wording.detail(span),
            span.error or "",
            wording.http_status(span) or 0,
            _details(span, position),
        ]
        yield f"{',' if i else ''}\n{_json(row)}"
    yield "]}"


def _paths(trace: Trace, position: dict[str, int]) -> dict[str, list[list[int]]]:
    """The critical path of the request, and of the whole trace where that is another one; parts by time."""
    of_request, zero_us = critical_path.find(trace), trace.start_us
    found = {"request": of_request}
    if trace.end_us > of_request.to_us:
        found["whole trace"] = critical_path.find(trace, whole=True)
    return {
        name: [
            [position[part.span.trace_id], part.from_us - zero_us, part.to_us - zero_us, int(part.waiting)]
            for part in path.sections
            if part.span is not critical_path.CLIENT  # which has no row
        ]
        for name, path in found.items()
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
    """What is shown when a span is chosen; empty parts are left out."""
    links = [[link.kind, position.get(link.trace_id, -1), link.base_id, link.trace_id] for link in span.links]
    about = {
        "span id": span.trace_id,  # as records do not call it: there it is trace_id
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


def _json(value: Any) -> str:
    """JSON that may stand in a script element: ``</script>`` and ``<!--`` cannot occur in it."""
    try:
        text = _encode(value)
    except ValueError:  # NaN and infinities, which Python's JSON has and a browser's has not
        text = _encode(json.loads(json.dumps(value, default=str, skipkeys=True), parse_constant=str))
    if "\\ud" in text:
        text = _SURROGATES.sub(lambda found: "\\ufffd" if len(found[0]) == 6 else found[0], text)
    for char, escape in _ESCAPES:  # all else that is not ASCII is escaped by now
        if char in text:
            text = text.replace(char, escape)
    return text


_encode = json.JSONEncoder(default=str, separators=(",", ":"), allow_nan=False, skipkeys=True).encode
