# SPDX-License-Identifier: Apache-2.0
"""The spans of several processes in one file, for the kit for execution models.

Each process of a run appends one line when a span starts and when it ends. So nothing depends on a store, on a flush,
or on the end of a process.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
from dataclasses import dataclass, field
from typing import Any

from osprofiler import config
from osprofiler.context import current
from osprofiler.delivery.base import Reporter
from osprofiler.records.span_data import SpanData
from osprofiler.tracer import global_tracer

#: The environment variable with the name of the file. Child processes inherit it.
VARIABLE = "OSPROFILER_TESTING_SPANS"
#: The environment variable with the pid of the process that checks.
CHECKER = "OSPROFILER_TESTING_CHECKER"
#: The key of the kit's traces.
KEY = "kit key"


class FileReporter(Reporter):
    """Appends to the file. A line is one write, so the lines of several processes do not mix."""

    def report_start(self, span: SpanData) -> None:
        _append(_line(span, "start"))

    def report_span(self, span: SpanData) -> None:
        _append(_line(span, "stop"))


def _line(span: SpanData, phase: str) -> dict[str, Any]:
    return {
        "phase": phase,
        "pid": os.getpid(),
        "trace": f"{span.trace_id:032x}",
        "id": span.span_id,
        "parent": span.parent_span_id,
        "follows": span.follows,
        "name": span.name,
        "tags": dict(span.own_tags),
        "links": [[kind, f"{trace:032x}", span_id] for kind, trace, span_id in span.links or ()],
    }


def _append(line: dict[str, Any]) -> None:
    data = (json.dumps(line) + "\n").encode()
    file = os.open(os.environ[VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, data)
    finally:
        os.close(file)


def _lines() -> list[dict[str, Any]]:
    try:
        with open(os.environ[VARIABLE], encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except FileNotFoundError:
        return []


_recording: str | None = None


def record() -> None:
    """Append the spans of this process to the file from now on."""
    global _recording
    if _recording != os.environ[VARIABLE]:
        _recording = os.environ[VARIABLE]
        config.publish(enabled=True, hmac_keys=(KEY,))
        global_tracer.report_to(FileReporter, "kit")


def probe(name: str) -> None:
    """Append whether a trace is on in the calling flow."""
    here = current.point.get()
    _append({"phase": "probe", "name": name, "pid": os.getpid(), "clean": here is None})


_left: list[Any] = []


def leave(work: Any) -> None:
    """Leave *work* for the process that checks. Another process leaves it pickled in the file."""
    if os.environ[CHECKER] == str(os.getpid()):
        _left.append(work)
    else:
        _append({"phase": "left", "pid": os.getpid(), "work": base64.b64encode(pickle.dumps(work)).decode()})


def take() -> Any:
    """Return the work that was left last. Only for the process that checks. Raises AssertionError if there is none."""
    left = [*_left, *(pickle.loads(base64.b64decode(line["work"])) for line in _lines() if line["phase"] == "left")]
    _left.clear()
    if not left:
        raise AssertionError("no work was left")
    return left[-1]


@dataclass
class Seen:
    """One span, with the data of all its lines."""

    id: int
    trace: str
    parent: int
    follows: bool
    name: str
    pid: int
    tags: dict[str, Any] = field(default_factory=dict)
    links: list[list[Any]] = field(default_factory=list)
    starts: int = 0
    stops: int = 0


class Spans:
    """The spans and probes that are in the file now."""

    def __init__(self) -> None:
        self.by_id: dict[int, Seen] = {}
        self.probes: list[dict[str, Any]] = []
        for line in _lines():
            phase, pid = line.pop("phase"), line["pid"]
            if phase == "left":
                continue
            if phase == "probe":
                self.probes.append(line)
                continue
            seen = self.by_id.setdefault(line["id"], Seen(**{**line, "pid": pid}))
            if phase == "start":
                seen.starts += 1
            else:
                seen.stops += 1
                seen.tags, seen.links = line["tags"], line["links"]

    def named(self, name: str) -> list[Seen]:
        """The spans called *name*."""
        return [span for span in self.by_id.values() if span.name == name]

    def one(self, name: str) -> Seen:
        """The span called *name*. Raises AssertionError if there is not exactly one."""
        spans = self.named(name)
        if len(spans) != 1:
            raise AssertionError(f"{len(spans)} spans are called {name!r}, not one; all: {self.names()}")
        return spans[0]

    def above(self, span: Seen) -> Seen | None:
        """The parent of *span*, if it was recorded."""
        return self.by_id.get(span.parent)

    def names(self) -> list[str]:
        """The names of all spans, for messages."""
        return sorted(span.name for span in self.by_id.values())
