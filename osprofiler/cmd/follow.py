# SPDX-License-Identifier: Apache-2.0
"""``osprofiler trace list --follow``: new traces as they come, and the spans in them that still run."""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

from osprofiler.cmd import garbage, output, sources
from osprofiler.drivers import base, search
from osprofiler.reports import wording
from osprofiler.reports.model import Trace

#: A trace that has not changed for so long is over, or was cut off.
_QUIET_US = 600_000_000
#: A line names at most so many running spans.
_MOST_NAMED = 3


class _State(NamedTuple):
    spans: int
    unfinished: int
    errors: int


class Follower:
    """Looks at the traces of a store that began at *since_us* or later, again and again."""

    def __init__(self, driver: base.Driver, wanted: search.Wanted, since_us: int) -> None:
        self._driver = driver
        self._wanted = dataclasses.replace(wanted, limit=None)
        self._since_us = since_us
        self._states: dict[str, _State] = {}
        self._changed_us: dict[str, int] = {}
        self._over: set[str] = set()

    def look(self, now_us: int) -> Iterator[Trace]:
        """The traces that are new, or have changed since the last look; the oldest first.

        A trace is read until nothing in it runs and it has not changed between two looks.
        """
        known = [base_id for base_id in self._states if base_id not in self._over]
        wanted = dataclasses.replace(self._wanted, since_us=self._since_us)
        listed = [str(mark["base_id"]) for mark in search.identified(self._driver, wanted)][::-1]
        for base_id in dict.fromkeys([*known, *listed]):
            if base_id in self._over:
                continue
            trace = search.read(self._driver, base_id)
            spans = trace.spans.values()
            state = _State(
                len(spans), sum(not span.finished for span in spans), sum(span.error is not None for span in spans)
            )
            if state != self._states.get(base_id):
                self._states[base_id], self._changed_us[base_id] = state, now_us
                if trace.spans and self._wanted.matches(trace):
                    yield trace
            elif not state.unfinished or now_us - self._changed_us[base_id] > _QUIET_US:
                self._over.add(base_id)
        self._forget(now_us, set(listed))

    def _forget(self, now_us: int, listed: set[str]) -> None:
        """Ask only for newer traces from now on. What is over and is not listed any more need not be known."""
        self._since_us = max(self._since_us, now_us - _QUIET_US)
        for base_id in self._over - listed:
            del self._states[base_id], self._changed_us[base_id]
        self._over &= listed


def run(args: argparse.Namespace, driver: base.Driver) -> NoReturn:
    """Print the traces until Ctrl-C."""
    now_us = time.time_ns() // 1000
    follower = Follower(driver, sources.wanted(args), now_us if args.since_us is None else args.since_us)
    sources.name_default(args, driver)
    while True:
        for trace in follower.look(time.time_ns() // 1000):
            output.write([json.dumps(_described(trace), default=str) + "\n"] if args.use_json else _lines(trace))
        garbage.collect()
        time.sleep(args.interval_us / 1e6)


def _described(trace: Trace) -> dict[str, Any]:
    running = [
        {"operation": span.operation, "service": wording.place(span), "started_us": span.start_us}
        for span in trace.spans.values()
        if not span.finished
    ]
    return {**search.summary(trace)._asdict(), "running": running}


def _lines(trace: Trace) -> Iterator[str]:
    summary = search.summary(trace)
    errors = f", {wording.counted(summary.errors, 'error')}" if summary.errors else ""
    yield from output.text(
        f"{summary.timestamp}  {summary.base_id}  {wording.duration(summary.duration_us)}  "
        f"{wording.counted(summary.spans, 'span')}{errors}  {wording.one_line(summary.operation)}  "
        + ", ".join(summary.services)
    )
    running = [span for span in trace.spans.values() if not span.finished]
    for span in running[-_MOST_NAMED:]:  # the last to begin are the deepest
        at = wording.duration(span.start_us - trace.start_us)
        yield from output.text(f"    since +{at}: {output.named(span.operation, wording.place(span))}")
    if len(running) > _MOST_NAMED:
        yield f"    and {wording.counted(len(running) - _MOST_NAMED, 'other span')} above\n"
