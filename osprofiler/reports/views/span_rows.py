# SPDX-License-Identifier: Apache-2.0
"""The spans of traces as rows of one flat table, which SQL can read.

The times on the critical path and the step are of the whole trace, and no query can find them from one row: they are
columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from osprofiler.reports import wording
from osprofiler.reports.analysis import critical_path
from osprofiler.reports.analysis.calling_context import Step, Steps
from osprofiler.reports.analysis.statistics import self_us
from osprofiler.reports.model import Trace
from osprofiler.reports.views import folded, span_tags

#: A step deeper than so many steps has the text of its step at this depth, and an ellipsis.
MOST_FRAMES = 100

_LARGEST = (1 << 63) - 1

Pairs = list[tuple[str, str | None]]  # names and values; None: null


class Row(NamedTuple):
    """A span. None: unknown, or there is none. Times are in microseconds, moments since the epoch (UTC)."""

    trace_id: str
    span_id: str
    parent_id: str | None  # also if the parent is not stored; None: a root
    reference: str | None  # to the parent: child_of, or follows_from (it did not wait)
    service: str | None  # as reports show it: the project and the service
    project: str | None
    host: str | None
    pid: int | None
    operation: str
    name: str  # of the trace point
    kind: str | None  # the tag span.kind
    depth: int  # 0: a root
    step: str  # the operations and services from the root down, as in folded stacks
    started_us: int  # to be written as a time stamp
    start_us: int
    duration_us: int | None  # None: unfinished
    self_us: int  # in which it waited for no child
    path_us: int  # on the critical path of its trace, with waiting_us
    waiting_us: int  # the part of path_us before it began
    skew_us: int  # what was added to its times: the clock of its host was wrong
    error: str | None  # the kind of error; None: it did not fail
    tags: Pairs
    process: Pairs  # tags of the process
    logs: list[tuple[int, Pairs]]
    links: list[tuple[str, str, str]]  # kind, trace_id, span_id: references to other spans than the parent


class Rows:
    """Makes rows of traces; keeps the texts of their steps, each once."""

    def __init__(self) -> None:
        self._steps = Steps()
        self._texts: dict[Step, tuple[int, str]] = {}  # the depth and the text of each step

    def of(self, trace: Trace) -> Iterator[Row]:
        """The rows of *trace*; a parent comes before its children. Correct the clocks first."""
        step_of = self._steps.of(trace)
        shares = {share.span.trace_id: share for share in critical_path.find(trace).shares()}
        for _, span in trace.walk():
            share = shares.get(span.trace_id)
            waiting_us = share.waiting_us if share else 0
            depth, step = self._step(step_of[span.trace_id])
            tags = {**span.tags, **dict(span_tags.of_info(span))}
            yield Row(
                trace_id=trace.base_id,
                span_id=span.trace_id,
                parent_id=None if span.reference is None else span.parent_id,
                reference=span.reference,
                service=wording.place(span) or None,
                project=span.project,
                host=span.host,
                pid=_integer(span.pid),
                operation=span.operation,
                name=span.name,
                kind=_text(tags.get("span.kind")),
                depth=depth,
                step=step,
                started_us=span.start_us,
                start_us=span.start_us,
                duration_us=span.duration_us,
                self_us=self_us(span),
                path_us=waiting_us + (share.self_us if share else 0),
                waiting_us=waiting_us,
                skew_us=span.skew_us,
                error=span.error,
                tags=_pairs(tags),
                process=_pairs(span.process),
                logs=[(log.at_us, _pairs(log.fields)) for log in span.logs],
                links=[(link.kind, link.base_id, link.trace_id) for link in span.links],
            )

    def _step(self, step: Step) -> tuple[int, str]:
        """The depth and the text of *step*. The step above has been asked for before."""
        known = self._texts.get(step)
        if known is None:
            if step.above is None:
                known = 0, folded.frame(step)
            else:
                depth, above = self._texts[step.above]
                more = folded.frame(step) if depth + 1 < MOST_FRAMES else "..."
                known = depth + 1, above if depth >= MOST_FRAMES else f"{above};{more}"
            self._texts[step] = known
        return known


def _pairs(values: Mapping[str, Any]) -> Pairs:
    return [(str(key), _text(value)) for key, value in values.items()]


def _text(value: Any) -> str | None:
    """*value* of a tag as text: a boolean as true or false, what is nested as JSON."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, (bool, dict, list)):
        return json.dumps(value, default=str, skipkeys=True)
    return str(value)


def _integer(value: int | None) -> int | None:
    """*value*, if a column of 64 bits can hold it."""
    return value if value is not None and abs(value) <= _LARGEST else None
