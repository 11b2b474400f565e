# SPDX-License-Identifier: Apache-2.0
"""The records that the driver kits write. Tests of readers can use them too."""

from __future__ import annotations

import json
from typing import Any

from osprofiler.records.record import timestamp

#: The time of the first record, in microseconds since the epoch.
T0_US = 1_795_000_000_000_000

TRACE, OTHER = "6b1f7f9e-4a36-4a53-9c0f-1f6a2f6f0c11", "0e0c1c9a-7d0e-4b7e-8e57-3f4f0c6c2a22"

# Values that have caused faults in a store: NUL, four-byte characters, quotes, the store's own notations, deep nesting.
HOSTILE: dict[str, Any] = {
    "text": "NUL \0, emoji \U0001f600, \u65e5\u672c, 'quote' \"double\" \\ back, %s {} $where, line\nbreak",
    "dotted.key": 1,
    "$key": {"": {"a": [1, 2.5, None, True, {"b": []}]}},
    "large": 2**62,
    "negative": -1.25,
    "empty": {},
}


def no_records(base_id: str = TRACE) -> list[str]:
    """Texts in place of a record of *base_id*, each with one fault that was found in a store."""
    deep = {**record(99, "start", 1, base_id), "info": {"deep": _deep(500)}}
    return ["{", "[" * 20_000, '"text"', "null", "5", json.dumps(deep), *map(json.dumps, wrong_records(base_id))]


def wrong_records(base_id: str = TRACE) -> list[dict[str, Any]]:
    """Objects in place of a record of *base_id*, each with one fault that was found in a store."""
    good = record(99, "start", 1, base_id)
    return [
        *({key: value for key, value in good.items() if key != missing} for missing in ("name", "trace_id")),
        *({**good, key: 5} for key in ("name", "trace_id")),
        {**good, "timestamp": "yesterday"},
        {**good, "timestamp": None},
        {**good, "info": "x"},
    ]


def _deep(levels: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested]
    return nested


def record(number: int, phase: str, at_us: int, base_id: str = TRACE, parent: int = 0, **info: Any) -> dict[str, Any]:
    """A record of the span *number*. Parent 0 is the virtual root of the trace."""
    return {
        "name": f"neutron-api-{phase}",
        "base_id": base_id,
        "trace_id": point(number),
        "parent_id": point(parent) if parent else base_id,
        "timestamp": timestamp(T0_US + at_us),
        "info": {"host": "kit", **info},
    }


def span(number: int, at_us: int, base_id: str = TRACE, **info: Any) -> list[dict[str, Any]]:
    """The two records of a span of 50 us. *info* is that of the start record."""
    return [record(number, "start", at_us, base_id, **info), record(number, "stop", at_us + 50, base_id)]


def point(number: int) -> str:
    """The id of the span *number*."""
    return f"6b1f7f9e-4a36-4a53-0000-{number:012x}"


def two_spans(base_id: str = TRACE) -> list[dict[str, Any]]:
    """The records of a parent of 1,000 us, and of its child of 400 us, which has an error."""
    return [
        record(1, "start", 0, base_id),
        record(2, "start", 100, base_id, parent=1),
        record(2, "stop", 500, base_id, parent=1, etype="ValueError", message="no"),
        record(1, "stop", 1_000, base_id),
    ]
