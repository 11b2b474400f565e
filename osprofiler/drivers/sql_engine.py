# SPDX-License-Identifier: Apache-2.0
"""The SQL driver's table, and its connections to one database. They are made when needed, and again after a fork.

``sqlalchemy_driver`` imports this module when it makes a driver: SQLAlchemy takes long to load.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy
from sqlalchemy import (
    JSON,
    URL,
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
)
from sqlalchemy.exc import DBAPIError

from osprofiler._runtime import inherited
from osprofiler.connection.secrets import masked
from osprofiler.drivers import sql_indexes, sql_rows, sqlite_forks
from osprofiler.drivers.sql_url import checked_url

#: The time that a writer waits for another writer of the same SQLite file, in seconds.
BUSY_TIMEOUT_S = 30

CONNECT_TIMEOUT_S = 10
#: The time to wait for an answer of a server that may be gone, in seconds. For MySQL it is the time-out of all answers.
#: PostgreSQL's library checks whether the server is still there.
ANSWER_TIMEOUT_S = 60
_MYSQL = {"connect_timeout": CONNECT_TIMEOUT_S, "read_timeout": ANSWER_TIMEOUT_S, "write_timeout": ANSWER_TIMEOUT_S}
_POSTGRESQL = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": ANSWER_TIMEOUT_S // 2,
    "keepalives_interval": ANSWER_TIMEOUT_S // 6,
    "keepalives_count": 3,
    "tcp_user_timeout": ANSWER_TIMEOUT_S * 1000,
}
_TIMEOUTS = {"pymysql": _MYSQL, "mysqldb": _MYSQL, "psycopg": _POSTGRESQL, "psycopg2": _POSTGRESQL}


# The table and columns of osprofiler 4.4.0: each version reads the other's rows. 4.4.0 has an index on every column.
DATA = Table(
    "data",
    MetaData(),
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("timestamp", String(sql_rows.TIMESTAMP_CHARS)),
    Column("base_id", String(sql_rows.TEXT_CHARS)),
    Column("parent_id", String(sql_rows.TEXT_CHARS)),
    Column("trace_id", String(sql_rows.TEXT_CHARS)),
    Column("project", String(sql_rows.TEXT_CHARS)),
    Column("host", String(sql_rows.TEXT_CHARS)),
    Column("service", String(sql_rows.TEXT_CHARS)),
    Column("name", String(sql_rows.TEXT_CHARS)),
    Column("data", JSON),
    Index(sql_indexes.TRACE, "base_id", "timestamp"),
    # With the defaults of MySQL and MariaDB, emoji are refused, and a search for "aB" finds "Ab".
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_bin",
    mariadb_charset="utf8mb4",
    mariadb_collate="utf8mb4_bin",
)


class Database:
    """One database. Each process has its own connections."""

    def __init__(self, connection_string: str) -> None:
        self.url = checked_url(connection_string)
        self.shown = masked(connection_string)
        self._engine: Engine | None = None
        self._owner = 0  # the pid of the process that made the engine
        self._ready = False  # whether the table exists
        self._opened: tuple[int, int] | None = None  # the identity of the SQLite file that was made ready

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for a database server."""
        return Path(str(self.url.database)) if self.url.get_backend_name() == "sqlite" else None

    def engine(self) -> Engine:
        """This process's engine."""
        if self._owner != os.getpid():
            if self._engine is not None:
                inherited.keep(self._engine)
            self._engine = None
        if self._engine is None:
            self._engine = self._make()
            self._owner = os.getpid()
            self._ready = False
        return self._engine

    def _make(self) -> Engine:
        if self.file is not None:
            engine = create_engine(_fit_for_reading(self.url), connect_args={"timeout": BUSY_TIMEOUT_S})
            event.listen(engine, "connect", _tune_sqlite)
            sqlite_forks.databases.add(self)
            return engine
        timeouts = _TIMEOUTS.get(self.url.get_driver_name(), {})
        arguments = {name: value for name, value in timeouts.items() if name not in self.url.query}
        # pool_pre_ping: notice that the server was restarted before a batch fails.
        return create_engine(self.url, connect_args=arguments, pool_pre_ping=True)

    def has_table(self) -> bool:
        """Whether the table exists."""
        return sqlalchemy.inspect(self.engine()).has_table(DATA.name)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Begin a transaction that writes to the table. Makes the table if it does not exist."""
        with nullcontext() if self.file is None else sqlite_forks.no_fork():
            if self._ready and self._opened != self._identity():
                self.look_again()  # the file was removed or replaced: nobody else would see rows in the old file
            self.make_ready()
            with self.engine().begin() as connection:
                yield connection

    def make_ready(self) -> None:
        """Make the table and its indexes, and the write-ahead log of a SQLite file, if they do not exist.

        Other processes may do the same at the same time.
        """
        engine = self.engine()
        if self._ready:
            return
        if self.file is not None:
            with engine.connect() as connection:
                _log_ahead(connection)
        if not self.has_table():
            try:
                with engine.begin() as connection:
                    _begin_writing(connection)
                    DATA.metadata.create_all(connection)
            except DBAPIError:
                if not self.has_table():
                    raise
        sql_indexes.make(engine, DATA, self.shown)
        self._opened = self._identity()
        self._ready = True

    def _identity(self) -> tuple[int, int] | None:
        """Device and inode of the SQLite file; None if there is no file."""
        try:
            status = None if self.file is None else os.stat(self.file)
        except FileNotFoundError:
            return None
        return status and (status.st_dev, status.st_ino)

    def look_again(self) -> None:
        """Call :meth:`make_ready` again before the next write.

        Somebody may have dropped the table, restored a backup, or changed the rights of this process.
        """
        self._ready = False
        if self.file is not None:
            self.close()

    def close(self) -> None:
        """Close the connections of this process."""
        if self._engine is not None and self._owner == os.getpid():
            self._engine.dispose()
            self._engine = None


def _fit_for_reading(url: URL) -> URL:
    """*url*, as an immutable file if it is not open elsewhere and its folder is read-only.

    SQLite makes the write-ahead log and its index also for a reader. In a read-only folder it could not.
    """
    file = Path(str(url.database))
    if os.access(file.parent, os.W_OK) or not file.exists() or file.with_name(f"{file.name}-wal").exists():
        return url
    return url.set(database=f"file:{quote(str(file))}").update_query_dict({"immutable": "1", "uri": "true"})


def _begin_writing(connection: Connection) -> None:
    # By default sqlite3 commits around each CREATE. With this, a second process waits for the first one.
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _tune_sqlite(connection: Any, _: object) -> None:
    # By default one text that is not UTF-8 would end the reading of all rows. Its record is checked later.
    connection.text_factory = functools.partial(str, encoding="utf-8", errors="surrogateescape")
    # Committed rows survive if the process is killed. Only a power failure may lose the last of them.
    connection.execute("PRAGMA synchronous=NORMAL")


def _log_ahead(connection: Connection) -> None:
    """Turn the write-ahead log on, so that readers and the writer do not wait for each other. The file keeps this."""
    if connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal":
        try:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        except DBAPIError:
            pass  # another process reads or does the same; it works without the log, and the next writer tries again
