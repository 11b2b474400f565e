# SPDX-License-Identifier: Apache-2.0
"""Traces in an SQL database: SQLite, PostgreSQL, MariaDB and MySQL, and what else SQLAlchemy 2 speaks.

The table is the one of osprofiler 4.4.0: a row a record, ids and names in columns, the rest as JSON text within a JSON
value. The text is ASCII and escaped twice, so that no database's character set or dislike of NUL touches it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from osprofiler import exc
from osprofiler.drivers import base, errors, network
from osprofiler.drivers.abilities import Can
from osprofiler.records import unreadable
from osprofiler.records.record import MARK, Unreadable, checked, checked_mark, loads_json, microseconds, timestamp
from osprofiler.reports.model import error_kind

if TYPE_CHECKING:
    from sqlalchemy import Row

# Those of the table, in its order, between the number of the row and the rest of the record.
_COLUMNS = ("timestamp", "base_id", "parent_id", "trace_id", "project", "host", "service", "name")
_WIDTH = {"timestamp": 26}
_PURGED_AT_ONCE = 500

#: Clients that are written in Python: they wait on Python's sockets, which eventlet makes green.
_GREEN_CLIENTS = frozenset(("pymysql", "pg8000", "mysqlconnector"))


class SQLAlchemyDriver(base.Driver):
    """The driver of every SQLAlchemy URL. A batch is one transaction; connections are made by the process that writes.

    Where the database cannot be read, a CommandError says so in one line.
    """

    can = frozenset(
        {Can.WRITE, Can.WRITE_BATCH, Can.READ, Can.READ_RECORDS, Can.LIST, Can.LIST_ERRORS, Can.DELETE, Can.PURGE}
    )

    # Escaped at worst to seven times its length, a span still fits MariaDB's default packet of 16 MiB.
    max_span_chars: ClassVar[int | None] = 2_000_000

    def __init__(
        self,
        connection_str: str,
        project: str | None = None,
        service: str | None = None,
        host: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(connection_str, project=project, service=service, host=host, **kwargs)
        engine = _engine_module()
        self._table = engine.DATA
        self._database = engine.Database(connection_str)

    @classmethod
    def get_name(cls) -> str:
        return "sqlalchemy"

    @classmethod
    def check(cls, connection_string: str) -> None:
        _engine_module().checked_url(connection_string)

    @classmethod
    def blocks(cls, connection_string: str) -> bool:
        return connection_string.partition("://")[0].partition("+")[2] not in _GREEN_CLIENTS

    # Writing

    def notify(self, info: dict[str, Any], context: Any = None, **kwargs: Any) -> None:
        self.write([info])

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        if not records:
            return
        from osprofiler.drivers import sql_faults

        with errors.writing(self.connection_str, sql_faults.kind_of):
            rows = [self._row(record) for record in records]
            try:
                with self._database.begin() as connection:
                    connection.execute(self._table.insert(), rows)
            except Exception:
                self._database.look_again()
                raise

    def _row(self, record: dict[str, Any]) -> dict[str, Any]:
        rest = self.labelled(record)
        info = rest.get("info")
        rest.setdefault("host", (info.get("host") if isinstance(info, dict) else None) or self.host)
        row: dict[str, Any] = {}
        for column in _COLUMNS:
            value = rest.pop(column, None)
            row[column] = _fitted(value, _WIDTH.get(column, 255))
            if row[column] != value:
                rest[column] = value  # the column only helps to find it
        row["data"] = json.dumps(rest, default=str, skipkeys=True)
        return row

    # Reading

    def read(self, base_id: str) -> list[dict[str, Any]]:
        with self._reading() as is_empty:
            if is_empty:
                return []
            wanted = _ids(base_id)
            statement = self._select().where(self._table.c.base_id.in_(wanted)).order_by(self._table.c.id)
            with self._database.engine().connect() as connection:
                # Compared here once more: a table made by MySQL's defaults takes "Ab" for "aB".
                return list(self._records(row for row in connection.execute(statement) if row.base_id in wanted))

    def _select(self) -> Any:
        """A record's row, its JSON as text: what decodes it must not fail on one of many."""
        from sqlalchemy import Text, cast, select

        columns = self._table.c
        return select(columns.id, *(columns[name] for name in _COLUMNS), cast(columns.data, Text).label("data"))

    def _records(self, rows: Iterable[Row[Any]]) -> Iterator[dict[str, Any]]:
        return unreadable.readable(self._database.shown, rows, _record, _row_name)

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        from sqlalchemy import func, select

        wanted = set(fields or self.default_trace_fields)
        columns = self._table.c
        first = (
            select(columns.base_id, func.min(columns.timestamp).label("timestamp")).group_by(columns.base_id).subquery()
        )
        with self._reading() as is_empty:
            if is_empty:
                return []
            with self._database.engine().connect() as connection:
                if wanted <= set(MARK):
                    rows = connection.execute(select(first)).all()
                    # A trace whose first time is none is read for it, and its row named then.
                    clear = (row for row in rows if row.base_id is None or _is_time(row.timestamp))
                    marks = unreadable.readable(self._database.shown, clear, _mark, _row_name)
                else:
                    same = (columns.base_id == first.c.base_id) & (columns.timestamp == first.c.timestamp)
                    full = self._select().join(first, same).order_by(columns.timestamp, columns.id)
                    rows = connection.execute(full).all()
                    marks = self._records(rows)
        return network.listed(self._with_misread(rows, marks), wanted)

    def _with_misread(self, rows: Sequence[Row[Any]], records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """*records*, made of *rows*; for a trace of which none could be read the first one that can."""
        seen = set()
        for record in records:
            seen.add(record["base_id"])
            yield record
        for base_id in dict.fromkeys(row.base_id for row in rows if row.base_id is not None):
            if base_id not in seen:
                first = self.first_record(base_id)
                if first is not None:
                    yield first

    def find_ids(self, prefix: str = "", suffix: str = "") -> list[str]:
        """As in the base class; by the index where the database has it in the order of characters."""
        from sqlalchemy import select

        base_id = self._table.c.base_id
        statement = select(base_id).distinct().where(base_id.startswith(prefix, autoescape=True))
        statement = statement.where(base_id.endswith(suffix, autoescape=True))
        if prefix and self._database.url.get_backend_name() in ("sqlite", "mysql", "mariadb"):
            # LIKE alone does not use SQLite's index. What is stored is ASCII, of which this is the last.
            statement = statement.where(base_id >= prefix, base_id < f"{prefix}\x7f")
        with self._reading() as is_empty:
            if is_empty:
                return []
            with self._database.engine().connect() as connection:
                base_ids = connection.execute(statement).scalars().all()
        # LIKE takes no notice of case in some databases.
        return [one for one in base_ids if one.startswith(prefix) and one.endswith(suffix)]

    def list_error_traces(self) -> list[dict[str, Any]]:
        from sqlalchemy import Text, cast, or_

        columns = self._table.c
        text = cast(columns.data, Text)
        # The database narrows down what is then looked at closely: "error" may be anywhere in a record.
        statement = self._select().where(or_(text.like("%etype%"), text.like("%error%"))).order_by(columns.timestamp)
        failed: dict[str, dict[str, Any]] = {}
        with self._reading() as is_empty:
            if is_empty:
                return []
            with self._database.engine().connect() as connection:
                rows = connection.execution_options(yield_per=1000).execute(statement)
                for record in self._records(rows):
                    if record["base_id"] not in failed and error_kind(record.get("info")):
                        failed[record["base_id"]] = {key: record[key] for key in MARK}
        return list(failed.values())

    def delete(self, base_id: str) -> int:
        with self._reading() as is_empty:
            if is_empty:
                return 0
            with self._database.engine().begin() as connection:
                gone = connection.execute(self._table.delete().where(self._table.c.base_id.in_(_ids(base_id))))
                return int(gone.rowcount)

    def purge(self, before_us: int) -> int:
        from sqlalchemy import func, select

        columns = self._table.c
        # Time stamps are text of one form, so the order of the text is that of time.
        began_before = func.min(columns.timestamp) < timestamp(before_us)
        first = func.min(columns.timestamp).label("timestamp")
        old = select(columns.base_id, first).group_by(columns.base_id).having(began_before)
        with self._reading() as is_empty:
            if is_empty:
                return 0
            with self._database.engine().connect() as connection:
                rows = connection.execute(old).all()
            # What is no time may come before any; the trace need not be old for it.
            old_ids = [row.base_id for row in rows if row.base_id is not None and self._began_us(row) < before_us]
            with self._database.engine().begin() as connection:
                for at in range(0, len(old_ids), _PURGED_AT_ONCE):
                    some = old_ids[at : at + _PURGED_AT_ONCE]
                    connection.execute(self._table.delete().where(columns.base_id.in_(some)))
        return len(old_ids)

    def _began_us(self, row: Row[Any]) -> int:
        """When the trace of *row* began; before any other, where none of its records can be read."""
        if _is_time(row.timestamp):
            return microseconds(row.timestamp)
        record = self.first_record(row.base_id)
        return 0 if record is None else microseconds(record["timestamp"])

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def _reading(self) -> Iterator[bool]:
        """Give whether nothing has been stored yet; turn the database's errors into one line."""
        from sqlalchemy.exc import SQLAlchemyError

        file = self._database.file
        if file is not None and not file.exists():
            raise errors.StoreUnavailable(f"there are no traces: the file {file} does not exist")
        with network.reading(self.connection_str, SQLAlchemyError, sqlite3.Error):
            yield not self._database.has_table()


def _engine_module() -> Any:
    try:
        from osprofiler.drivers import sql_engine
    except ImportError as fault:
        raise exc.CommandError(
            "traces in an SQL database need SQLAlchemy 2: pip install 'osprofiler[sqlalchemy]'"
        ) from fault
    return sql_engine


def _fitted(value: object, width: int) -> str | None:
    """*value* as any database's column of *width* characters takes it: ASCII, without NUL, cut by way of a digest."""
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


def _ids(base_id: str) -> set[str]:
    """What the column may hold for *base_id*: as written here, and as an older osprofiler wrote it."""
    fitted = _fitted(base_id, 255) or ""
    return {fitted, base_id} if base_id.isprintable() else {fitted}


def _record(row: Row[Any]) -> dict[str, Any]:
    values = tuple(row)  # by position: to ask for each by its name takes longer than all else here
    record = {key: value for key, value in zip(_COLUMNS, values[1:-1], strict=True) if value is not None}
    rest = loads_json(values[-1])
    if isinstance(rest, str):
        rest = loads_json(rest)  # as written here and by an older osprofiler: text within a JSON value
    if not isinstance(rest, dict):
        raise Unreadable("its data is no object")
    return checked(record | rest)


def _mark(row: Row[Any]) -> dict[str, Any]:
    return checked_mark(dict(row._mapping))


def _is_time(stamp: object) -> bool:
    try:
        microseconds(str(stamp))
    except ValueError:
        return False
    return True


def _row_name(row: Row[Any]) -> str:
    number = getattr(row, "id", None)
    of = "no trace" if row.base_id is None else f"trace {row.base_id}"
    return f"the first row of {of}" if number is None else f"row {number} of {of}"
