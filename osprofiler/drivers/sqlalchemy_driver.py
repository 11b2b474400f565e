# SPDX-License-Identifier: Apache-2.0
"""The driver of SQL databases: SQLite, PostgreSQL, MariaDB, MySQL, and the others that SQLAlchemy 2 supports.

The table is that of osprofiler 4.4.0. A record is a row: see ``sql_rows``.
"""

from __future__ import annotations

import dataclasses
import itertools
import operator
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from osprofiler import exc
from osprofiler._runtime.batched import batched
from osprofiler.connection import strings
from osprofiler.drivers import base, errors, network, places, sql_rows
from osprofiler.drivers.abilities import DELETABLE_RECORDS, Can
from osprofiler.records.record import MARK, microseconds, timestamp

if TYPE_CHECKING:
    from sqlalchemy import Engine, Row

_IDS = 500  # in one statement
_BASE_ID = 1 + sql_rows.COLUMNS.index("base_id")  # the place in a row of _select()

#: Clients in pure Python: they use Python's sockets, which eventlet makes green.
_GREEN_CLIENTS = frozenset(("pymysql", "pg8000", "mysqlconnector"))


class SQLAlchemyDriver(base.Driver):
    """The driver of every SQLAlchemy URL. A batch is one transaction. Each process makes its own connections."""

    can = DELETABLE_RECORDS | {Can.LIST_SERVICES, Can.SEARCH}

    # Escaping makes a span at most seven times longer. It then still fits into MariaDB's default packet of 16 MiB.
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
        sql_engine, _ = _sql_modules()
        self._table = sql_engine.DATA
        self._database = sql_engine.Database(connection_str)

    @classmethod
    def get_name(cls) -> str:
        return "sqlalchemy"

    @classmethod
    def check(cls, connection_string: str) -> None:
        _, sql_url = _sql_modules()
        sql_url.checked_url(connection_string)

    @classmethod
    def blocks(cls, connection_string: str) -> bool:
        return strings.scheme(connection_string).partition("+")[2] not in _GREEN_CLIENTS

    # Writing

    def notify(self, info: dict[str, Any], context: Any = None, **kwargs: Any) -> None:
        self.write([info])

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        if not records:
            return
        from osprofiler.drivers import sql_faults

        with errors.writing(self.connection_str, sql_faults.kind_of):
            rows = [sql_rows.row(self.labelled(record), self.host) for record in records]
            try:
                with self._database.begin() as connection:
                    connection.execute(self._table.insert(), rows)
            except Exception:
                self._database.look_again()
                raise

    # Reading

    def read(self, base_id: str) -> list[dict[str, Any]]:
        ids = sql_rows.ids(base_id)
        statement = self._select().where(self._table.c.base_id.in_(ids)).order_by(self._table.c.id)
        # Compare once more: in a table with MySQL's defaults, "Ab" is equal to "aB".
        return list(self._records(row for row in self._rows(statement) if row.base_id in ids))

    def read_many(self, base_ids: Sequence[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """As in the base class, a few hundred traces in one request. The rows come in parts."""
        alike = Counter(base_id.lower().rstrip() for base_id in base_ids)
        for batch in batched(base_ids, _IDS):
            by_column = {}
            for base_id in batch:
                columns = sql_rows.ids(base_id)
                if len(columns) == 1 and alike[base_id.lower().rstrip()] == 1:
                    by_column[columns.pop()] = base_id
                elif records := self.read(base_id):  # its rows need not come one after the other
                    yield base_id, records
            column = self._table.c.base_id
            statement = self._select().where(column.in_(by_column)).order_by(column, self._table.c.timestamp)
            rows = (row for row in self._rows(statement) if row[_BASE_ID] in by_column) if by_column else iter(())
            for key, of_trace in itertools.groupby(rows, key=operator.itemgetter(_BASE_ID)):
                yield by_column[key], list(self._records(of_trace))

    def _select(self) -> Any:
        """Select the rows of records, with the JSON as text: SQLAlchemy would fail for all rows if one is not JSON."""
        from sqlalchemy import Text, cast, select

        columns = self._table.c
        return select(columns.id, *(columns[name] for name in sql_rows.COLUMNS), cast(columns.data, Text).label("data"))

    def _records(self, rows: Iterable[Row[Any]]) -> Iterator[dict[str, Any]]:
        return self._readable(rows, sql_rows.record, sql_rows.name)

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        from sqlalchemy import func, select

        fields = set(fields or self.default_trace_fields)
        columns = self._table.c
        first = (
            select(columns.base_id, func.min(columns.timestamp).label("timestamp")).group_by(columns.base_id).subquery()
        )
        if fields <= set(MARK):
            rows = list(self._rows(select(first)))
            # A trace whose first time stamp is wrong is left out here, and its first readable record is read below.
            timed = (row for row in rows if _is_mark(row))
            marks = self._readable(timed, sql_rows.mark, sql_rows.name)
        else:
            same = (columns.base_id == first.c.base_id) & (columns.timestamp == first.c.timestamp)
            rows = list(self._rows(self._select().join(first, same).order_by(columns.timestamp, columns.id)))
            marks = self._records(rows)
        return network.listed(self._with_first_readable(marks, (row.base_id for row in rows)), fields)

    def candidates(self, wanted: base.Wanted) -> Iterable[dict[str, Any]]:
        """As in the base class, by the indexes of ``sql_indexes``. Without them the database groups the whole table."""
        from osprofiler.drivers import sql_indexes

        if wanted == base.Wanted():  # all traces: grouping takes half the time of all pages
            return super().candidates(wanted)
        with self._reading() as engine:
            if engine is None:
                return ()
            names = sql_indexes.existing(engine, self._table)
            may_have_failed = sql_indexes.may_have_failed(engine, self._table, names)
        needed = sql_indexes.FAILED if wanted.error else sql_indexes.NEWEST
        if not names >= {needed, sql_indexes.TRACE}:
            return super().candidates(wanted)
        if sql_indexes.SERVICE not in names:
            wanted = dataclasses.replace(wanted, service=None)
        return self._newest(wanted, may_have_failed)

    def _newest(self, wanted: base.Wanted, may_have_failed: Any) -> Iterator[dict[str, Any]]:
        from osprofiler.drivers import sql_search

        search = sql_search.Search(self._table, self._page, self._row, self._failed, self._mark, may_have_failed)
        return search.newest(wanted)

    def _mark(self, row: Row[Any]) -> Iterator[dict[str, Any]]:
        """The mark of the trace of *row*, which has its first time; none if none of its records can be read."""
        marks = self._readable([row], sql_rows.mark, sql_rows.name) if _is_mark(row) else ()
        return ({key: mark[key] for key in MARK} for mark in self._with_first_readable(marks, [row.base_id]))

    def _failed(self, *conditions: Any) -> set[str]:
        """The ids of the traces whose records with these *conditions* have an error."""
        records = self._records(self._rows(self._select().where(*conditions)))
        return {record["base_id"] for record in network.failed(records)}

    def is_exact(self, wanted: base.Wanted) -> bool:
        return not wanted.needs_reading

    def advice(self) -> str:
        from osprofiler.drivers import sql_indexes

        with self._reading() as engine:
            missing = {} if engine is None else sql_indexes.missing(engine, self._table)
        return sql_indexes.advice(missing) if missing else ""

    def find_ids(self, prefix: str = "", suffix: str = "") -> list[str]:
        """As in the base class. Uses the index in SQLite, MySQL and MariaDB."""
        from sqlalchemy import select

        column = self._table.c.base_id
        statement = select(column).distinct().where(column.startswith(prefix, autoescape=True))
        statement = statement.where(column.endswith(suffix, autoescape=True))
        if prefix and self._database.url.get_backend_name() in ("sqlite", "mysql", "mariadb"):
            # LIKE alone does not use SQLite's index. The column is ASCII, and \x7f is the last character of ASCII.
            statement = statement.where(column >= prefix, column < f"{prefix}\x7f")
        # In some databases LIKE ignores case.
        return network.matching((row.base_id for row in self._rows(statement)), prefix, suffix)

    def list_error_traces(self) -> list[dict[str, Any]]:
        """As in the base class. Without the index for it, the database looks at the text of every record."""
        from osprofiler.drivers import sql_indexes

        with self._reading() as engine:
            if engine is None:
                return []
            condition = sql_indexes.may_have_failed(engine, self._table)
        statement = self._select().where(condition).order_by(self._table.c.timestamp)
        failed: dict[str, dict[str, Any]] = {}
        for record in network.failed(self._records(self._rows(statement))):
            failed.setdefault(record["base_id"], {key: record[key] for key in MARK})
        return list(failed.values())

    def list_services(self) -> list[str]:
        """As in the base class, by an index of ``sql_indexes``. Without it the database reads the whole table."""
        from osprofiler.drivers import sql_services

        with self._reading() as engine:
            if engine is None:
                return []
        services = sql_services.Services(self._table, self._page)
        return places.shown(
            (name.project, name.service) if name.is_verbatim else self._recorded(services.condition(name))
            for name in services.names()
        )

    def _recorded(self, condition: Any) -> tuple[Any, Any]:
        """The project and the service in the first readable record with *condition*; two None if there is none."""
        record = next(self._records(self._rows(self._select().where(condition))), {})
        return record.get("project"), record.get("service")

    def _delete_all(self, base_ids: Sequence[str]) -> int:
        ids = sorted({column for base_id in base_ids for column in sql_rows.ids(base_id)})
        gone = 0
        with self._reading() as engine:
            if engine is not None:
                with engine.begin() as connection:
                    for batch in batched(ids, _IDS):
                        part = self._table.c.base_id.in_(batch)
                        gone += int(connection.execute(self._table.delete().where(part)).rowcount)
        return gone

    def purge(self, before_us: int) -> int:
        from sqlalchemy import func, select

        columns = self._table.c
        # All time stamps have the same form, so the order of the texts is the order of time.
        began_before = func.min(columns.timestamp) < timestamp(before_us)
        first = func.min(columns.timestamp).label("timestamp")
        old = select(columns.base_id, first).group_by(columns.base_id).having(began_before)
        rows = list(self._rows(old))
        # Check again: a wrong time stamp may sort before all others, and its trace need not be old.
        old_ids = [row.base_id for row in rows if row.base_id is not None and self._began_us(row) < before_us]
        self._delete_all(old_ids)
        return len(old_ids)

    def _began_us(self, row: Row[Any]) -> int:
        """The time when the trace of *row* began; 0 if none of its records can be read."""
        if sql_rows.is_time(row.timestamp):
            return microseconds(row.timestamp)
        record = self.first_record(row.base_id)
        return 0 if record is None else microseconds(record["timestamp"])

    def close(self) -> None:
        self._database.close()

    def _rows(self, statement: Any) -> Iterator[Row[Any]]:
        """The rows that *statement* selects, read in parts; none if there is no table yet."""
        with self._reading() as engine:
            if engine is not None:
                with engine.connect() as connection:
                    yield from connection.execution_options(yield_per=1000).execute(statement)

    def _page(self, statement: Any) -> Sequence[Row[Any]]:
        """The rows that *statement* selects, read at once. The table must exist.

        If rows are read in parts, PostgreSQL plans for the first tenth of them. For a page of a search this plan goes
        through the index of all traces.
        """
        with self._opened() as engine, engine.connect() as connection:
            return connection.execute(statement).all()

    def _row(self, statement: Any) -> Row[Any] | None:
        """The first row that *statement* selects, or None. The table must exist.

        It is read as if there were more. So PostgreSQL takes the index that has the rows in this order, also while its
        statistics are old.
        """
        with self._opened() as engine, engine.connect() as connection:
            return connection.execution_options(yield_per=1).execute(statement).first()

    @contextmanager
    def _reading(self) -> Iterator[Engine | None]:
        """Yield the engine; None if there is no table yet. Raises the errors as StoreUnavailable."""
        with self._opened() as engine:
            yield engine if self._database.has_table() else None

    @contextmanager
    def _opened(self) -> Iterator[Engine]:
        """Yield the engine. Raises the errors as StoreUnavailable."""
        from sqlalchemy.exc import SQLAlchemyError

        file = self._database.file
        if file is not None and not file.exists():
            raise errors.StoreUnavailable(f"there are no traces: the file {file} does not exist")
        with network.reading(self.connection_str, SQLAlchemyError, sqlite3.Error):
            yield self._database.engine()


def _is_mark(row: Row[Any]) -> bool:
    """Whether *row* itself decides how its trace is listed, and no other record of the trace has to be read."""
    return row.base_id is None or sql_rows.is_time(row.timestamp)


def _sql_modules() -> tuple[Any, Any]:
    """The modules that load SQLAlchemy. Raises CommandError if it is not installed."""
    try:
        from osprofiler.drivers import sql_engine, sql_url
    except ImportError as fault:
        raise exc.CommandError(
            "traces in an SQL database need SQLAlchemy 2: pip install 'osprofiler[sqlalchemy]'"
        ) from fault
    return sql_engine, sql_url
