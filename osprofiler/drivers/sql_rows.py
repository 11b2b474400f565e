# SPDX-License-Identifier: Apache-2.0
"""Convert a record to a row of the SQL table, and back.

Ids and names are in columns. The rest of the record is JSON text within a JSON value. This text is ASCII and escaped
twice: so a database's character set, or its refusal of NUL, does not matter.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from osprofiler.records.record import Unreadable, checked, checked_mark, loads_json, microseconds

if TYPE_CHECKING:
    from sqlalchemy import Row

#: The columns between the number of the row and the rest of the record, in the order of the table.
COLUMNS = ("timestamp", "base_id", "parent_id", "trace_id", "project", "host", "service", "name")

#: The widths of the columns.
TIMESTAMP_CHARS = 26
TEXT_CHARS = 255


def row(record: dict[str, Any], host: str | None) -> dict[str, Any]:
    """The row for *record*, which may be changed. *host*: the host of the driver, if the record has none."""
    info = record.get("info")
    record.setdefault("host", (info.get("host") if isinstance(info, dict) else None) or host)
    values: dict[str, Any] = {}
    for column in COLUMNS:
        value = record.pop(column, None)
        values[column] = _fitted(value, TIMESTAMP_CHARS if column == "timestamp" else TEXT_CHARS)
        if values[column] != value:
            record[column] = value  # the column is only for searching
    values["data"] = json.dumps(record, default=str, skipkeys=True)
    return values


def ids(base_id: str) -> set[str]:
    """The values of the column for *base_id*: those of this version and of older ones."""
    fitted = _fitted(base_id, TEXT_CHARS) or ""
    return {fitted, base_id} if base_id.isprintable() else {fitted}


def _fitted(value: object, width: int) -> str | None:
    """*value* for a column of *width* characters: ASCII without NUL. A longer text is cut and ends with a digest."""
    if value is None:
        return None
    text = str(value)
    if text.isascii() and "\0" not in text and len(text) <= width:
        return text
    escaped = text.encode("ascii", "backslashreplace").decode("ascii").replace("\0", "\\x00")
    if len(escaped) <= width:
        return escaped
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[: width - 10]
    return f"{escaped[: width - len(digest) - 1]}~{digest}"


def record(row: Row[Any]) -> dict[str, Any]:
    """The record in *row*: its number, :data:`COLUMNS`, and the JSON as text. Raises Unreadable."""
    values = tuple(row)  # by position: access by name takes longer than all the rest
    record = dict(zip(COLUMNS, values[1:-1], strict=True))
    if None in values:
        record = {key: value for key, value in record.items() if value is not None}
    rest = loads_json(values[-1])
    if isinstance(rest, str):
        rest = loads_json(rest)  # both this version and older ones write a text within a JSON value
    if not isinstance(rest, dict):
        raise Unreadable("its data is not an object")
    return checked(record | rest)


def mark(row: Row[Any]) -> dict[str, Any]:
    """``base_id`` and ``timestamp`` of *row*. Raises Unreadable."""
    return checked_mark(dict(row._mapping))


def is_time(stamp: object) -> bool:
    """Whether *stamp* is a time stamp of a record."""
    try:
        microseconds(str(stamp))
    except ValueError:
        return False
    return True


def name(row: Row[Any]) -> str:
    """The name of *row* in messages."""
    number = getattr(row, "id", None)
    trace = "no trace" if row.base_id is None else f"trace {row.base_id}"
    return f"the first row of {trace}" if number is None else f"row {number} of {trace}"
