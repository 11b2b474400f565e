# SPDX-License-Identifier: Apache-2.0
"""The indexes of the SQL table that keep lists and searches fast in a large table.

The table is that of osprofiler 4.4.0, which writes into it too. So these are indexes and no further table: the database
keeps them for every writer. Rows are written in the order of time, and all but the first index begin with the time,
after a name or without one. So a new entry nearly always goes to a page that is in memory already.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import sqlalchemy
from sqlalchemy import ColumnElement, Engine, Table, Text, cast, column, or_
from sqlalchemy.exc import DBAPIError

from osprofiler._runtime import guard

#: The records of a trace, and its first time.
TRACE = "ix_data_base_id_timestamp"
#: All records, the newest first.
NEWEST = "ix_data_timestamp_base_id"
#: The records of a service, the newest first.
SERVICE = "ix_data_service_project_timestamp"
#: The records that may have an error, the newest first.
FAILED = "ix_data_failed_timestamp"

#: The index of osprofiler 4.4.0 on the time alone.
_STOCKS_NEWEST = "ix_data_timestamp"

# The keys etype and error of a record's info, in JSON within a JSON text. The value is looked at afterwards.
_PATTERNS = ('%"etype%', '%"error%')
_FAILED_TEXT = " OR ".join(f"CAST(data AS TEXT) LIKE '{pattern}'" for pattern in _PATTERNS)
_PARTIAL = (f"CREATE INDEX {FAILED} ON data (timestamp, base_id) WHERE {_FAILED_TEXT}",)

# MySQL and MariaDB have no partial indexes. A virtual column has no place in the row, and stock does not see it.
_FAILED_COLUMN = "may_have_failed"
_FAILED_EXPRESSION = " OR ".join(f"data LIKE '{pattern}'" for pattern in _PATTERNS)
_VIRTUAL = (
    f"ALTER TABLE data ADD COLUMN {_FAILED_COLUMN} TINYINT AS ({_FAILED_EXPRESSION}) VIRTUAL",
    f"CREATE INDEX {FAILED} ON data ({_FAILED_COLUMN}, timestamp, base_id)",
)

_COMMON = {
    TRACE: ("CREATE INDEX ix_data_base_id_timestamp ON data (base_id, timestamp)",),
    NEWEST: (f"CREATE INDEX {NEWEST} ON data (timestamp, base_id)",),
    SERVICE: (f"CREATE INDEX {SERVICE} ON data (service, project, timestamp, base_id)",),
}
# InnoDB's longest key has 3072 bytes. The id is not cut: it is a UUID.
_SHORT_ID = {SERVICE: (f"CREATE INDEX {SERVICE} ON data (service, project, timestamp, base_id(64))",)}

#: The statements that make each index, by the name of the database.
_STATEMENTS: dict[str, dict[str, tuple[str, ...]]] = {
    "postgresql": {**_COMMON, FAILED: _PARTIAL},
    "sqlite": {**_COMMON, FAILED: _PARTIAL},
    "mysql": {**_COMMON, **_SHORT_ID, FAILED: _VIRTUAL},
    "mariadb": {**_COMMON, **_SHORT_ID, FAILED: _VIRTUAL},
}

#: A writer makes the missing indexes of a table of at most so many rows. More rows would keep a service waiting.
_MOST_ROWS = 100_000


def existing(engine: Engine, table: Table) -> set[str]:
    """The names of the indexes of *table*."""
    names = {str(index["name"]) for index in sqlalchemy.inspect(engine).get_indexes(table.name)}
    return names | {NEWEST} if _STOCKS_NEWEST in names else names


def missing(engine: Engine, table: Table) -> dict[str, tuple[str, ...]]:
    """The indexes that *table* does not have, each with the statements that make it. None for unknown databases."""
    names = existing(engine, table)
    statements = _STATEMENTS.get(engine.dialect.name, {})
    return {name: statements[name] for name in statements if name not in names}


def make(engine: Engine, table: Table, shown: str) -> None:
    """Make the missing indexes, unless the table is large. Logs once what is missing after that."""
    try:
        wanted = missing(engine, table)
        if wanted and _is_small(engine, table):
            for statements in wanted.values():
                _run(engine, statements)
            wanted = missing(engine, table)
    except DBAPIError:
        return  # this account may only insert
    if wanted:
        guard.warn_once("sql_indexes", "%s: lists of traces will be slow in a large table: %s", shown, advice(wanted))


def advice(wanted: Mapping[str, Collection[str]]) -> str:
    """What an operator does about the missing indexes *wanted*, in one line."""
    statements = "; ".join(statement for each in wanted.values() for statement in each)
    return f"the table data lacks {len(wanted)} of its indexes; make them with: {statements}"


def _run(engine: Engine, statements: Iterable[str]) -> None:
    for statement in statements:
        try:
            with engine.begin() as connection:
                connection.execute(sqlalchemy.text(statement))
        except DBAPIError:
            pass  # another process does the same, or this account may not: the caller looks again


def _is_small(engine: Engine, table: Table) -> bool:
    ids = table.c.id
    with engine.connect() as connection:
        last, first = connection.execute(
            sqlalchemy.select(
                sqlalchemy.select(ids).order_by(ids.desc()).limit(1).scalar_subquery(),
                sqlalchemy.select(ids).order_by(ids).limit(1).scalar_subquery(),
            )
        ).one()
    return last is None or last - first < _MOST_ROWS


def may_have_failed(engine: Engine, table: Table, names: Collection[str] | None = None) -> ColumnElement[bool]:
    """A condition that records with an error fulfil, and perhaps others. *names*: the existing indexes, if known.

    It is in the words of the index ``FAILED``: only then the database uses the index.
    """
    if engine.dialect.name in ("mysql", "mariadb") and FAILED in (names or existing(engine, table)):
        return column(_FAILED_COLUMN) == 1
    text = cast(table.c.data, Text)
    return or_(*(text.like(sqlalchemy.literal_column(f"'{pattern}'")) for pattern in _PATTERNS))
