# SPDX-License-Identifier: Apache-2.0
"""Traces in files: records as lines of JSON, reports in 4.4.0's shape, and JSON saved by Jaeger's UI."""

from __future__ import annotations

import codecs
import gzip
import json
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from osprofiler.records import deep_json, unreadable
from osprofiler.records.record import Unreadable, checked, loads_json
from osprofiler.reports import model, outline, to_records
from osprofiler.reports.model import Trace
from osprofiler.reports.views import json_report


def lines(records: Iterable[dict[str, Any]]) -> Iterator[str]:
    """*records* as lines of JSON, one record on each line; :func:`load` reads them."""
    for record in records:
        yield json.dumps(record, default=str, skipkeys=True) + "\n"


def load(path: str | Path, *, whole: bool = True) -> list[Trace]:
    """The traces in a file, in the order of the file; ``-`` is standard input. The file may be packed by gzip.

    Without *whole*, traces of Jaeger may lack their tags, logs and payloads: they are read faster so.

    Unreadable parts are left out and reported (``osprofiler.records.unreadable``). Raises OSError if the file cannot be
    read. Raises ValueError if it holds no traces; its text is one line with the reason.
    """
    where = "standard input" if str(path) == "-" else str(path)
    text = _decoded(sys.stdin.buffer.read() if str(path) == "-" else Path(path).read_bytes(), where)
    try:
        value = deep_json.loads(text)
    except ValueError as fault:
        value = _lines(text, fault, where)
    if not whole and isinstance(value, dict) and isinstance(value.get("data"), list):
        outlines = {trace.base_id: trace for item in value["data"] if (trace := outline.of(item)) is not None}
        if len(outlines) == len(value["data"]) > 0:
            return list(outlines.values())
    if isinstance(value, dict) and "children" in value:
        return [json_report.from_report(value, where)]
    return [model.from_records(records) for records in _by_trace(_records(value, where)).values()]


def records(path: str | Path) -> Iterator[list[dict[str, Any]]]:
    """The records of each trace in a file. Raises as :func:`load` does."""
    for trace in load(path):
        yield list(to_records.records(trace))


def _decoded(data: bytes, where: str) -> str:
    """*data* as text: unpacked, and decoded by its byte-order mark, else as UTF-8. Raises ValueError if damaged."""
    try:
        while data.startswith(_GZIP):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as fault:
        raise ValueError(f"it is damaged: {fault}") from None
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as fault:
        unreadable.note(where, f"bytes that are not {encoding.upper()} are shown as \N{REPLACEMENT CHARACTER}: {fault}")
        return data.decode(encoding, "replace")


_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def _lines(text: str, fault: ValueError, where: str) -> list[Any]:
    """The JSON value of each line. Raises ValueError with *fault*, the error of the whole text, if no line has one."""
    values = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                values.append(loads_json(line))
            except Unreadable as why:
                unreadable.skip(where, f"line {number}", why)
    if not values:
        raise ValueError(f"it is not JSON: {fault}")
    return values


def _records(value: Any, where: str) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "data" in value or "spans" in value:
            yield from _of_jaeger(value, where)
            return
        value = [value]
    if not isinstance(value, list) or not any(isinstance(each, dict) and "base_id" in each for each in value):
        raise ValueError("not a trace: neither a report, nor records, nor JSON of Jaeger")
    numbered = enumerate(value, 1)
    count = 0
    for record in unreadable.readable(where, numbered, lambda item: checked(item[1]), lambda item: f"record {item[0]}"):
        count += 1
        yield record
    if not count:
        raise ValueError("none of its records can be read")


def _of_jaeger(value: dict[str, Any], where: str) -> Iterator[dict[str, Any]]:
    from osprofiler.records import jaeger_json as reading

    traces = value.get("data", [value])
    if not isinstance(traces, list):
        raise ValueError("not a trace of Jaeger: 'data' is not a list of traces")
    faults = []
    for position, trace in enumerate(traces, 1):
        try:
            if not isinstance(trace, dict):
                raise ValueError("not a trace of Jaeger: an item of 'data' is not a trace")
            yield from reading.records(trace, where)
        except ValueError as fault:
            faults.append(fault)
            if len(faults) == len(traces):
                raise
            unreadable.skip(where, f"trace {position}", fault)


def _by_trace(records: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    traces: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        traces.setdefault(record["base_id"], []).append(record)
    return traces
