# SPDX-License-Identifier: Apache-2.0
"""What a run found, as tables to read and as JSON to keep."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.figures import Figures
from benchmarks.goals import Goal

#: Units, in the order of tables, and what each is.
_TABLES = (
    ("wall_us", "Traced spans: the caller's wall time, us a span"),
    ("caller_us", "Traced spans: the calling thread's own CPU time, us a span"),
    ("cpu_us", "Traced spans: CPU time of the whole process until delivered, us a span"),
    ("ns", "Single calls, ns"),
    ("rest_ns", "Libraries with a layer, while nothing is traced: ns a call"),
    ("rest_calls", "The same: functions that the caller's thread calls for it"),
    ("ms", "Imports in a new interpreter, ms (`empty`: starting at all)"),
    ("p50_ms", "A service at a fixed rate: median answer, ms"),
    ("p90_ms", "A service at a fixed rate: 90th percentile, ms"),
    ("p99_ms", "A service at a fixed rate: 99th percentile, ms"),
    ("open_bytes", "Memory of an open span, bytes"),
    ("queued_bytes", "Memory of a span that ended and waits, bytes"),
    ("lost", "A burst: spans lost and counted as lost"),
    ("arrived", "A burst: share that the collector has"),
    ("s", "Commands, seconds"),
    ("store_s", "Commands on many traces: wall time, seconds"),
    ("store_cpu_s", "Commands on many traces: CPU time of the command, seconds"),
    ("store_mb", "Commands on many traces: most memory of the command, MB"),
    ("spans_s", "Commands on many traces: spans read a second"),
    ("json_times", "The same: CPU time, in times of what the json package takes for Jaeger's JSON of the traces"),
    ("records_s", "Records written a second, two a span"),
)


def machine() -> str:
    """Where and when this was measured."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "unknown"
    )
    load = os.getloadavg()[0]
    return (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores ({model}), {platform.python_implementation()} "
        f"{platform.python_version()}, load {load:.1f} at the end"
    )


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def text(figures: Figures, goals: Iterable[Goal], columns: Iterable[str]) -> str:
    """The tables. A column is a contender or a store."""
    return "\n".join(_text(figures, list(goals), list(columns)))


def _text(figures: Figures, goals: list[Goal], columns: list[str]) -> Iterator[str]:
    yield machine()
    yield ""
    yield f"{'Goals':66}{'is':>10}{'goal':>10}  {'':8}figures"
    for goal in goals:
        verdict = {True: "reached", False: "MISSED", None: "no data"}[goal.reached]
        value = "-" if goal.value is None else f"{goal.value:,.3f}"
        limit = f"{'>=' if goal.at_least else '<='}{goal.limit:g}"
        yield f"{goal.what:66}{value:>10}{limit:>10}  {verdict:8}{goal.how}"
    for unit, title in _TABLES:
        rows = list(dict.fromkeys(row for _, row, u in figures.values if u == unit))
        there = [name for name in columns if any((name, row, unit) in figures.values for row in rows)]
        if not rows:
            continue
        yield ""
        yield f"{title}: median (middle half)"
        width = max(28, *(len(row) + 1 for row in rows))
        yield f"{'':{width}}" + "".join(f"{name:>24}" for name in there)
        for row in rows:
            yield f"{row:{width}}" + "".join(f"{_cell(figures.values.get((name, row, unit))):>24}" for name in there)
    for title, lines in (("Wrong", figures.wrong), ("Notes", figures.notes)):
        if lines:
            yield ""
            yield f"{title}:"
            yield from (f"  {line}" for line in dict.fromkeys(lines))


def _cell(values: list[float] | None) -> str:
    if not values:
        return "-"
    if len(values) < 3:
        return f"{statistics.median(values):,.2f}"
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:,.2f} ({low:,.2f}-{high:,.2f})"


def as_json(figures: Figures, goals: Iterable[Goal]) -> str:
    """Every single value, and the goals."""
    document: dict[str, Any] = {
        "machine": machine(),
        "goals": [
            {"what": one.what, "value": one.value, "limit": one.limit, "reached": one.reached, "figures": one.how}
            for one in goals
        ],
        "figures": [
            {"contender": contender, "row": row, "unit": unit, "values": values}
            for (contender, row, unit), values in figures.values.items()
        ],
        "wrong": figures.wrong,
        "notes": figures.notes,
    }
    return json.dumps(document, indent=1)
