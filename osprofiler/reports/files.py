# SPDX-License-Identifier: Apache-2.0
"""Traces in files: records as lines of JSON, reports in 4.4.0's shape, and what Jaeger's UI saves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from osprofiler.reports import deep_json, json_report, model, to_records
from osprofiler.reports.model import Trace


def lines(records: Iterable[dict[str, Any]]) -> Iterator[str]:
    """*records* as this module reads them again: one to a line."""
    for record in records:
        yield json.dumps(record, default=str, skipkeys=True) + "\n"


def load(path: str | Path) -> list[Trace]:
    """The traces in a file, in the file's order.

    Raises OSError where it cannot be read, and ValueError, whose one line says why, if it holds no traces.
    """
    text = Path(path).read_text("utf-8")
    try:
        found = deep_json.loads(text)
    except ValueError as fault:
        found = _lines(text, fault)
    if isinstance(found, dict) and "children" in found:
        return [json_report.from_report(found)]
    return [model.from_records(records) for records in _by_trace(_records(found)).values()]


def records(path: str | Path) -> Iterator[list[dict[str, Any]]]:
    """The records of each trace in a file. Raises as :func:`load` does."""
    for trace in load(path):
        yield list(to_records.records(trace))


def _lines(text: str, fault: ValueError) -> list[Any]:
    """Each line's own value; where already the first has none, it is *fault*, that of the whole, that says why."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                found.append(json.loads(line))
            except ValueError as wrong:
                said = f"line {number} is no JSON: {wrong}" if found else f"it is no JSON: {fault}"
                raise ValueError(said) from None
    return found


def _records(found: Any) -> Iterator[dict[str, Any]]:
    if isinstance(found, dict):
        if "data" in found or "spans" in found:
            yield from _of_jaeger(found)
            return
        found = [found]
    all_records = isinstance(found, list) and all(isinstance(each, dict) and "base_id" in each for each in found)
    if not found or not all_records:
        raise ValueError("not a trace: neither a report, nor records, nor what Jaeger saves")
    yield from found


def _of_jaeger(found: dict[str, Any]) -> Iterator[dict[str, Any]]:
    from osprofiler.drivers import jaeger_json as reading

    traces = found.get("data") if "data" in found else [found]
    if not isinstance(traces, list) or not all(isinstance(each, dict) for each in traces):
        raise ValueError("not a trace of Jaeger's: 'data' is no list of traces")
    for trace in traces:
        yield from reading.records(trace)


def _by_trace(records: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        found.setdefault(str(record["base_id"]), []).append(record)
    return found
