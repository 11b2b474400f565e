# SPDX-License-Identifier: Apache-2.0
"""A trace as a file of speedscope, a viewer of flame graphs (speedscope.app).

Each track of a process (see ``tracks``) is a profile of its own, since speedscope draws one stack at a time. Times are
in microseconds since the start of the trace. An unfinished span reaches to the end of the trace.

Source: https://www.speedscope.app/file-format-schema.json, profiles of the type ``evented``: events are in the order of
time, and each close belongs to the latest open frame.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import osprofiler
from osprofiler.reports import wording
from osprofiler.reports.model import SpanNode, Trace
from osprofiler.reports.views import tracks
from osprofiler.reports.views.tracks import Track

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def text(trace: Trace) -> Iterator[str]:
    """The file, in pieces."""
    found = tracks.of(trace)
    frames = {name: i for i, name in enumerate(dict.fromkeys(map(_frame, trace.spans.values())))}
    name = f"{wording.one_line(trace.roots[0].operation)} {trace.base_id}" if trace.roots else trace.base_id
    head = {
        "$schema": _SCHEMA,
        "exporter": f"osprofiler@{osprofiler.__version__}",
        "name": name,
        "activeProfileIndex": _of_request(found, trace),
        "shared": {"frames": [{"name": frame} for frame in frames]},
    }
    yield f'{json.dumps(head)[:-1]}, "profiles": ['
    for i, track in enumerate(found):
        yield f"{',' if i else ''}\n{json.dumps(_profile(track, trace, frames))}"
    yield "\n]}\n"


def _frame(span: SpanNode) -> str:
    place = wording.place(span)
    return wording.one_line(span.operation) + (f" [{place}]" if place else "")


def _of_request(found: list[Track], trace: Trace) -> int:
    """The position of the track that has the first root."""
    root = trace.roots[0] if trace.roots else None
    return next((i for i, track in enumerate(found) if any(event.span is root for event in track.events)), 0)


def _profile(track: Track, trace: Trace, frames: dict[str, int]) -> dict[str, object]:
    return {
        "type": "evented",
        "name": f"{track.process}: {track}",
        "unit": "microseconds",
        "startValue": 0,
        "endValue": trace.end_us - trace.start_us,
        "events": [
            {
                "type": "O" if event.opens else "C",
                "frame": frames[_frame(event.span)],
                "at": event.at_us - trace.start_us,
            }
            for event in track.events
        ],
    }
