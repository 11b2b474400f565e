# SPDX-License-Identifier: Apache-2.0
"""Traces in files: records as lines of JSON, reports in 4.4.0's shape, and what Jaeger's UI saves."""

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
from osprofiler.reports import model, to_records
from osprofiler.reports.model import Trace
from osprofiler.reports.views import json_report


def lines(records: Iterable[dict[str, Any]]) -> Iterator[str]:
    """*records* as this module reads them again: one to a line."""
    for record in records:
        yield json.dumps(record, default=str, skipkeys=True) + "\n"


def load(path: str | Path) -> list[Trace]:
    """The traces in a file, in the file's order; ``-`` is standard input. It may be packed by gzip.

    What cannot be read in it is left out and named (``osprofiler.records.unreadable``). Raises OSError where the file
    cannot be read, and ValueError, whose one line says why, if it holds no traces.
    """
    where = "standard input" if str(path) == "-" else str(path)
    text = _decoded(sys.stdin.buffer.read() if str(path) == "-" else Path(path).read_bytes(), where)
    try:
        value = deep_json.loads(text)
    except ValueError as fault:
        value = _lines(text, fault, where)
    if isinstance(value, dict) and "children" in value:
        return [json_report.from_report(value, where)]
    return [model.from_records(records) for records in _by_trace(_records(value, where)).values()]


def records(path: str | Path) -> Iterator[list[dict[str, Any]]]:
    """The records of each trace in a file. Raises as :func:`load` does."""
    for trace in load(path):
        yield list(to_records.records(trace))


def _decoded(data: bytes, where: str) -> str:
    """*data* as text: unpacked, by its byte-order mark or else UTF-8. Raises ValueError where it cannot be unpacked."""
    try:
        while data.startswith(_GZIP):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as fault:
        raise ValueError(f"it is damaged: {fault}") from None
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as fault:
        unreadable.note(where, f"what is not {encoding.upper()} is shown as \N{REPLACEMENT CHARACTER}: {fault}")
        return data.decode(encoding, "replace")


_GZIP = b"\x1f\x8b"
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def _lines(text: str, fault: ValueError, where: str) -> list[Any]:
    """Each line's own value. Raises ValueError, *fault*, that of the whole, where no line has one."""
    values = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                values.append(loads_json(line))
            except Unreadable as why:
                unreadable.skip(where, f"line {number}", why)
    if not values:
        raise ValueError(f"it is no JSON: {fault}")
    return values


def _records(value: Any, where: str) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "data" in value or "spans" in value:
            yield from _of_jaeger(value, where)
            return
        value = [value]
    if not isinstance(value, list) or not any(isinstance(each, dict) and "base_id" in each for each in value):
        raise ValueError("not a trace: neither a report, nor records, nor what Jaeger saves")
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
        raise ValueError("not a trace of Jaeger's: 'data' is no list of traces")
    faults = []
    for position, trace in enumerate(traces, 1):
        try:
            if not isinstance(trace, dict):
                raise ValueError("not a trace of Jaeger's: an item of 'data' is none")
            yield from reading.records(trace, where)
        except ValueError as fault:
            faults.append(fault)
            if len(faults) == len(traces):
                raise
            unreadable.skip(where, f"trace {position}", fault)


def _by_trace(records: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        found.setdefault(record["base_id"], []).append(record)
    return found
