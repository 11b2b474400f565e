# SPDX-License-Identifier: Apache-2.0
"""Traces as tests of reports write them down, and any trace at all."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from osprofiler.reports import model
from osprofiler.testing.records import TRACE, point, record


@dataclass
class Made:
    """A span as tests write it: times in microseconds from the trace's start, *end* None: unfinished."""

    name: str
    under: str | None
    start: int
    end: int | None
    follows: bool = False
    joins: Sequence[str] = ()
    host: str = "kit"
    service: str = "svc"
    info: Any = None


def records(*spans: Made) -> list[dict[str, Any]]:
    numbers = {span.name: i for i, span in enumerate(spans, 1)}
    found = []
    for span in spans:
        extra: dict[str, Any] = {"operation": span.name}
        if span.under is not None:
            extra["parent"] = "follows_from" if span.follows else "child_of"
        common = {
            "number": numbers[span.name],
            "parent": numbers[span.under] if span.under is not None else 0,
            "host": span.host,
        }
        found.append(record(phase="start", at_us=span.start, osprofiler=extra, **common, **(span.info or {})))
        links = [["follows_from", TRACE, point(numbers[name])] for name in span.joins]
        if span.end is not None:
            extra = {"links": links, "tags": {"osprofiler.join": "fork"}} if links else {}
            found.append(record(phase="stop", at_us=span.end, **common, osprofiler=extra))
    return [{**each, "service": "svc"} for each in found]


def made(*spans: Made) -> model.Trace:
    return model.from_records(records(*spans))


# Distinct instants, so that no tie leaves the answer open; some so near that only a clock may tell them apart.
@st.composite
def traces(draw: st.DrawFn) -> model.Trace:
    count = draw(st.integers(1, 9))
    gaps = draw(st.lists(st.sampled_from((1, 2, 10, 100, 1_000)), min_size=2 * count, max_size=2 * count))
    instants = draw(st.permutations(list(itertools.accumulate(gaps))))
    spans = []
    for i in range(count):
        start, end = sorted(instants[2 * i : 2 * i + 2])
        under = draw(st.one_of(st.none(), st.integers(0, count)))
        spans.append(
            Made(
                str(i),
                None if under is None or under in (i, count) else str(under),
                start,
                draw(st.sampled_from([end, end, end, None])),
                draw(st.booleans()),
                draw(st.lists(st.sampled_from([str(k) for k in range(count)]), max_size=2, unique=True)),
            )
        )
    return made(*spans)
