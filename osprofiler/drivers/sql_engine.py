# SPDX-License-Identifier: Apache-2.0
"""The SQL driver's table, and its connection to one database: made late, made anew after a fork.

Only ``osprofiler.drivers.sqlalchemy_driver`` imports this module, when such a driver is made: SQLAlchemy takes long to
load.
"""

from __future__ import annotations

import functools
import inspect
import os
import warnings
from collections.abc import Iterator, Mapping
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
    make_url,
)
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SAWarning

from osprofiler import exc
from osprofiler._runtime import inherited
from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import malformed, masked
from osprofiler.drivers import sqlite_forks

#: How long a writer waits for another writer of the same SQLite file.
BUSY_TIMEOUT_S = 30

CONNECT_TIMEOUT_S = 10
#: How long to wait for a server that may have vanished without a word, as one does whose address another has taken.
#: MySQL's libraries wait no longer for any answer; PostgreSQL's can tell whether the server is still there.
ANSWER_TIMEOUT_S = 60
_MYSQL = {"connect_timeout": CONNECT_TIMEOUT_S, "read_timeout": ANSWER_TIMEOUT_S, "write_timeout": ANSWER_TIMEOUT_S}
_POSTGRESQL = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": ANSWER_TIMEOUT_S // 2,
    "keepalives_interval": ANSWER_TIMEOUT_S // 6,
    "keepalives_count": 3,
    "tcp_user_timeout": ANSWER_TIMEOUT_S * 1000,
}
_WAITS = {"pymysql": _MYSQL, "mysqldb": _MYSQL, "psycopg": _POSTGRESQL, "psycopg2": _POSTGRESQL}

_WIDTH = 255

# osprofiler 4.4.0's table and columns: either reads what the other wrote. It had an index on every column; what is
# asked for is a trace by its id, and every trace with its first time, and one index answers both.
DATA = Table(
    "data",
    MetaData(),
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("timestamp", String(26)),
    Column("base_id", String(_WIDTH)),
    Column("parent_id", String(_WIDTH)),
    Column("trace_id", String(_WIDTH)),
    Column("project", String(_WIDTH)),
    Column("host", String(_WIDTH)),
    Column("service", String(_WIDTH)),
    Column("name", String(_WIDTH)),
    Column("data", JSON),
    Index("ix_data_base_id_timestamp", "base_id", "timestamp"),
    # As the default MySQL and MariaDB have would take no emoji, and find "Ab" when asked for "aB".
    mysql_charset="utf8mb4",
    mysql_collate="utf8mb4_bin",
    mariadb_charset="utf8mb4",
    mariadb_collate="utf8mb4_bin",
)


def checked_url(connection_string: str) -> URL:
    """The string as a URL that this process can use. Raises ValueError or CommandError, one line without password."""
    shown = masked(connection_string)
    try:
        url = make_url(connection_string)
        dialect = url.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise malformed(connection_string, "SQLAlchemy does not understand it as the URL of a database") from None
    if "ttl" in url.query:
        raise ValueError(f"an SQL database has no ttl, as in {shown!r}: run `osprofiler trace purge --older-than 7d`")
    if dialect.is_async:
        raise ValueError(f"{shown!r} names an asynchronous database library; name a blocking one")
    try:
        dialect.import_dbapi()
    except ImportError as fault:
        raise exc.CommandError(
            f"{shown!r} needs the Python library {fault.name!r}: install it, or name another one in the URL "
            "(postgresql+psycopg://, mysql+pymysql://)"
        ) from fault
    if url.get_backend_name() == "sqlite":
        url = _with_file(url, shown)
    _check_options(url, connection_string)
    return url


def _check_options(url: URL, connection_string: str) -> None:
    """Raise ValueError for an option that the database's library does not have; some only tell when they connect."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # of what is raised below
            engine = create_engine(url)
            _, arguments = engine.dialect.create_connect_args(engine.url)
    except (ArgumentError, TypeError, ValueError) as fault:
        raise malformed(connection_string, fault_line(fault, connection_string)) from None
    for name in _unknown_options(engine, arguments):
        raise malformed(connection_string, f"there is no option {name!r}")


def _unknown_options(engine: Engine, arguments: Mapping[str, Any]) -> list[str]:
    """Which options of the engine's URL its library does not have, of the *arguments* that SQLAlchemy makes of them;
    none where the library does not say before it connects."""
    if engine.dialect.name == "sqlite":  # SQLAlchemy leaves those out
        return [] if "uri" in arguments else [name for name in engine.url.query if name not in arguments]
    library: Any = engine.dialect.dbapi
    try:
        parameters = inspect.signature(library.connect).parameters
    except (TypeError, ValueError):
        return []
    unknown = [name for name in arguments if name not in parameters]
    if not any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return unknown
    known = _KNOWN_TO_LIBPQ.get(engine.dialect.driver)
    return [] if known is None else [name for name in unknown if not known(library, name)]


def _psycopg_knows(library: Any, name: str) -> bool:
    try:
        library.conninfo.make_conninfo(**{name: "1"})
    except library.ProgrammingError:
        return False
    return True


def _psycopg2_knows(library: Any, name: str) -> bool:
    try:
        library.extensions.make_dsn(**{name: "1"})
    except library.ProgrammingError:
        return False
    return True


_KNOWN_TO_LIBPQ = {"psycopg": _psycopg_knows, "psycopg2": _psycopg2_knows}


def _with_file(url: URL, shown: str) -> URL:
    name = url.database or ""
    if name in ("", ":memory:") or "mode=memory" in str(url) or "mode" in url.query or name.startswith("file:"):
        raise ValueError(
            f"{shown!r} names no file: a database in memory is invisible to every other process; "
            "give a path, for instance sqlite:////var/lib/osprofiler/traces.db"
        )
    # A service that becomes a daemon changes its directory.
    return url.set(database=os.path.abspath(name))


class Database:
    """One database; the connections are those of the current process."""

    def __init__(self, connection_string: str) -> None:
        self.url = checked_url(connection_string)
        self.shown = masked(connection_string)
        self._engine: Engine | None = None
        self._owner = 0  # the process that made the engine
        self._ready = False  # the engine's database
        self._opened: tuple[int, int] | None = None  # which SQLite file that was

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
        waits = _WAITS.get(self.url.get_driver_name(), {})
        arguments = {name: value for name, value in waits.items() if name not in self.url.query}
        # The ping notices a server that was restarted meanwhile before a batch is lost to it.
        return create_engine(self.url, connect_args=arguments, pool_pre_ping=True)

    def has_table(self) -> bool:
        """Whether anything has been stored here yet."""
        return sqlalchemy.inspect(self.engine()).has_table(DATA.name)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction that writes to the table, which is made first where it is missing."""
        with nullcontext() if self.file is None else sqlite_forks.undivided():
            if self._ready and self._opened != self._identity():
                self.look_again()  # somebody has removed or replaced the file: only we would see what we write there
            self.make_ready()
            with self.engine().begin() as connection:
                yield connection

    def make_ready(self) -> None:
        """See to it that rows can be written: the table and its index are there; the SQLite file has its log.

        Other processes may be doing the same.
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
        self._opened = self._identity()
        self._ready = True

    def _identity(self) -> tuple[int, int] | None:
        """Which SQLite file it is, whatever its name; None where there is none."""
        try:
            status = None if self.file is None else os.stat(self.file)
        except FileNotFoundError:
            return None
        return status and (status.st_dev, status.st_ino)

    def look_again(self) -> None:
        """Make ready once more before the next write: somebody may have dropped the table, or restored a backup, or
        let this process write."""
        self._ready = False
        if self.file is not None:
            self.close()

    def close(self) -> None:
        """Close the connections of this process."""
        if self._engine is not None and self._owner == os.getpid():
            self._engine.dispose()
            self._engine = None


def _fit_for_reading(url: URL) -> URL:
    """*url*; where nobody has its file open and we may write nothing beside it, as a file that does not change.

    Who opens a file with a write-ahead log makes that log and an index of it, a mere reader too.
    """
    file = Path(str(url.database))
    if os.access(file.parent, os.W_OK) or not file.exists() or file.with_name(f"{file.name}-wal").exists():
        return url
    return url.set(database=f"file:{quote(str(file))}").update_query_dict({"immutable": "1", "uri": "true"})


def _begin_writing(connection: Connection) -> None:
    # sqlite3 commits around each CREATE unless told otherwise; together with this a second process waits for the first.
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _tune_sqlite(connection: Any, _: object) -> None:
    # One text that is not UTF-8 would end the reading of all rows; its record is judged where it is decoded.
    connection.text_factory = functools.partial(str, encoding="utf-8", errors="surrogateescape")
    # Keeps what was committed when a process is killed; only a power failure may take the last moments.
    connection.execute("PRAGMA synchronous=NORMAL")


def _log_ahead(connection: Connection) -> None:
    """With a write-ahead log readers and the writer do not wait for each other. The file remembers it."""
    if connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal":
        try:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        except DBAPIError:
            pass  # another process is at the same now, or reads; it works without, and the next writer tries again
