# SPDX-License-Identifier: Apache-2.0
"""Traces in Parquet files: the rows of ``span_rows``, written in row groups as they come.

The format is that of Apache Parquet, and the types are those that DuckDB and Spark read without help.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
from pyarrow import parquet

import osprofiler
from osprofiler.records import names
from osprofiler.reports.views.span_rows import Row

#: Rows of a row group, and rows of a file in a folder.
GROUP_ROWS = 50_000
FILE_ROWS = 1_000_000

#: With more characters in the tags and logs of its rows a row group is written earlier. Bounds the memory.
_GROUP_CHARS = 64_000_000

_TEXT, _NUMBER = pa.string(), pa.int64()
_PAIRS = pa.map_(_TEXT, _TEXT)
_LOG = pa.struct([("at_us", _NUMBER), ("fields", _PAIRS)])
_LINK = pa.struct([("kind", _TEXT), ("trace_id", _TEXT), ("span_id", _TEXT)])
_TYPES = {
    "pid": _NUMBER,
    "depth": pa.int32(),
    "started_us": pa.timestamp("us"),
    **dict.fromkeys(("start_us", "duration_us", "self_us", "path_us", "waiting_us", "skew_us"), _NUMBER),
    **dict.fromkeys(("tags", "process"), _PAIRS),
    "logs": pa.list_(_LOG),
    "links": pa.list_(_LINK),
}
#: The column of a field, where it has another name.
_NAMES = {"started_us": "started"}
_ALWAYS = frozenset(("trace_id", "span_id", "operation", "name", "depth", "step", "started_us", "start_us"))

SCHEMA = pa.schema(
    [pa.field(_NAMES.get(name, name), _TYPES.get(name, _TEXT), nullable=name not in _ALWAYS) for name in Row._fields],
    metadata={"osprofiler.schema": "1", names.VERSION: osprofiler.__version__},
)


class ParquetWriter:
    """A context manager that writes rows of traces.

    *target* is a file, if it ends in ``.parquet``; else a folder, which gets files of ``FILE_ROWS`` rows or a trace
    more. A file has its name when it is complete. If the block raises, what was written until then is complete.

    Raises FileExistsError if the folder is there and not empty; and other OSErrors.
    """

    def __init__(self, target: Path) -> None:
        self._is_file = target.suffix == ".parquet"
        self._target = target
        self._waiting: list[Row] = []
        self._chars = 0
        self._in_file = 0
        self._files = 0
        self._writer: parquet.ParquetWriter | None = None
        self.traces = 0
        self.spans = 0
        if not self._is_file:
            target.mkdir(parents=True, exist_ok=True)
            if any(target.iterdir()):
                raise FileExistsError(f"{target} is not empty")

    def add(self, rows: Iterable[Row]) -> None:
        """Write *rows*, those of one trace."""
        for row in rows:
            self._waiting.append(row)
            self._chars += _chars(row)
            if len(self._waiting) >= GROUP_ROWS or self._chars >= _GROUP_CHARS:
                self._write_group()
        self.traces += 1
        if not self._is_file and self._in_file + len(self._waiting) >= FILE_ROWS:
            self._finish_file()

    def __enter__(self) -> ParquetWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._waiting or self._writer is not None or (fault is None and not self._files):
            self._finish_file()  # a set without spans is a table without rows

    def _write_group(self) -> None:
        if self._writer is None:
            self._writer = parquet.ParquetWriter(self._part, SCHEMA, compression="zstd")
        self._writer.write_table(_table(self._waiting))
        self.spans += len(self._waiting)
        self._in_file += len(self._waiting)
        self._waiting, self._chars = [], 0

    def _finish_file(self) -> None:
        self._write_group()
        assert self._writer is not None, "the group has opened it"
        self._writer.close()
        os.replace(self._part, self._file)
        self._writer, self._in_file = None, 0
        self._files += 1

    @property
    def _file(self) -> Path:
        return self._target if self._is_file else self._target / f"spans-{self._files + 1:05d}.parquet"

    @property
    def _part(self) -> Path:
        """The file while it is written: with a name that readers of a folder leave out."""
        return self._file.with_name(f".{self._file.name}.part")


def _chars(row: Row) -> int:
    """The characters in the tags and logs of *row*."""
    return sum(len(value or "") for pairs in (row.tags, *(fields for _, fields in row.logs)) for _, value in pairs)


def _table(rows: Sequence[Row]) -> pa.Table:
    columns: Iterable[Sequence[Any]] = zip(*rows, strict=True) if rows else [()] * len(SCHEMA)
    return pa.Table.from_arrays(
        [_array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def _array(column: Sequence[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(column, kind)
    except UnicodeEncodeError:  # a text of an application may hold half of a surrogate pair
        return pa.array([_encodable(value) for value in column], kind)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, (list, tuple)):
        return type(value)([_encodable(each) for each in value])
    return value
