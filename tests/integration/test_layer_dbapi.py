# SPDX-License-Identifier: Apache-2.0
"""The layers of drivers for SQL on real databases: without SQLAlchemy, and with it, never twice."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import psycopg2
import psycopg2.extras
import psycopg2.sql
import pymysql
import pymysql.cursors
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from osprofiler import profiler
from osprofiler import sqlalchemy as engines
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.delivery.masking import applying
from osprofiler.instrumentation import registry
from osprofiler.testing.process import clean_process, no_swallowed_faults
from osprofiler.testing.recorder import KEY, Recording, recording

_SECRET = "hUnTeR2"


class Sqlite:
    """A driver on a database with a table ``things``; tests do the same with each of them."""

    library = "sqlite3"
    sees_older = False  # connections that were made before the layer was turned on
    mark = "?"  # of a parameter
    module: ClassVar[Any] = sqlite3
    url = "sqlite:///{database}"
    has_host = False

    def __init__(self, database: str) -> None:
        self.database = database
        self.connection = self.connect()
        self.execute("CREATE TABLE things (id integer primary key, password varchar(200))")
        self.connection.commit()

    def connect(self, **more: Any) -> Any:
        return sqlite3.connect(self.database, **more)

    def execute(self, statement: str, *parameters: Any, connection: Any = None) -> list[Any]:
        cursor = (connection or self.connection).cursor()
        cursor.execute(statement.replace("?", self.mark), parameters)
        rows = list(cursor.fetchall()) if cursor.description else []
        cursor.close()
        return rows

    def executemany(self, statement: str, parameters: list[Any]) -> None:
        cursor = self.connection.cursor()
        cursor.executemany(statement.replace("?", self.mark), parameters)
        cursor.close()

    def commit(self) -> None:
        self.connection.commit()

    def rollback(self) -> None:
        self.connection.rollback()

    def originals(self) -> list[Any]:
        return [sqlite3.connect, sqlite3.dbapi2.connect]

    def close(self) -> None:
        self.connection.close()


class Pymysql(Sqlite):
    library = "pymysql"
    sees_older = True
    mark = "%s"
    module = pymysql
    url = "{database}"
    has_host = True

    def connect(self, **more: Any) -> Any:
        url = sqlalchemy.make_url(self.database)
        return pymysql.connect(
            host=url.host,
            port=url.port or 0,
            user=url.username,
            password=url.password or "",
            database=url.database,
            **more,
        )

    def originals(self) -> list[Any]:
        cursor, connection = pymysql.cursors.Cursor, pymysql.connections.Connection
        return [cursor.execute, cursor.executemany, connection.commit, connection.rollback]


class Psycopg(Pymysql):
    library = "psycopg"
    module = psycopg

    def conninfo(self) -> str:
        return sqlalchemy.make_url(self.database).set(drivername="postgresql").render_as_string(hide_password=False)

    def connect(self, **more: Any) -> Any:
        return psycopg.connect(self.conninfo(), **more)

    def originals(self) -> list[Any]:
        return [
            psycopg.Cursor.execute,
            psycopg.Cursor.executemany,
            psycopg.ServerCursor.execute,
            psycopg.AsyncCursor.execute,
            psycopg.Connection.commit,
            psycopg.AsyncConnection.rollback,
        ]


class AsyncPsycopg(Psycopg):
    """Its connections for asyncio."""

    def __init__(self, database: str) -> None:
        self.loop = asyncio.new_event_loop()
        super().__init__(database)

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    def connect(self, **more: Any) -> Any:
        return Blocking(self, self.run(psycopg.AsyncConnection.connect(self.conninfo(), **more)))

    def close(self) -> None:
        super().close()
        self.loop.close()


class Blocking:
    """A connection or cursor of asyncio, whose coroutines are run at once."""

    def __init__(self, of: AsyncPsycopg, inner: Any) -> None:
        self._of = of
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            result = value(*args, **kwargs)
            if inspect.iscoroutine(result):
                return self._of.run(result)
            return Blocking(self._of, result) if name == "cursor" else result

        return call if callable(value) else value


class Psycopg2(Psycopg):
    library = "psycopg2"
    sees_older = False
    module = psycopg2

    def connect(self, **more: Any) -> Any:
        return psycopg2.connect(self.conninfo(), **more)

    def originals(self) -> list[Any]:
        return [psycopg2.connect]


@pytest.fixture(params=[Sqlite, Pymysql, Psycopg, AsyncPsycopg, Psycopg2])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A driver with a connection that was made before the layer was turned on."""
    kind = request.param
    if kind is Sqlite:
        database = str(tmp_path / "things.db")
    else:
        server: Any = request.getfixturevalue("mariadb" if kind is Pymysql else "postgres")
        database = server.fresh_url()
    driver = kind(database)
    yield driver
    driver.close()


@pytest.fixture
def spans(older: Any) -> Iterator[Recording]:
    originals = older.originals()
    with clean_process():
        registry.instrument(older.library)
        try:
            with no_swallowed_faults(set()), recording() as spans:
                yield spans
                assert spans.unfinished() == []
        finally:
            registry.uninstrument()
            assert older.originals() == originals


@pytest.fixture
def driver(older: Any, spans: Recording) -> Any:
    """A driver with a connection that the layer sees."""
    if not older.sees_older:
        older.close()
        older.connection = older.connect()
    return older


def told(spans: Recording) -> list[str]:
    return [span.operation for span in spans]


def test_a_statement_is_one_client_span(driver: Any, spans: Recording) -> None:
    with profiler.Trace("outer"):
        driver.execute("INSERT INTO things VALUES (?, ?)", 1, "one")
        assert driver.execute("SELECT id FROM things") == [(1,)]
        driver.commit()
    *sent, outer = spans
    assert told(spans)[:-1] == ["db INSERT", "db SELECT", "db COMMIT"]
    for span in sent:
        assert span.name == "db"
        assert span.parent_id == outer.point_id
        assert (span.tags["span.kind"], span.tags["db.type"]) == ("client", "sql")
        assert span.tags["component"] == driver.library
        assert span.tags["db.instance"]
        assert ("peer.hostname" in span.tags, "peer.port" in span.tags) == (driver.has_host,) * 2
        assert span.error is None
    assert sent[0].info["db"]["statement"] == f"INSERT INTO things VALUES ({driver.mark}, {driver.mark})"
    assert list(sent[0].info["db"]["params"]) == [1, "one"]


def test_many_rows_are_one_span(driver: Any, spans: Recording) -> None:
    driver.executemany("INSERT INTO things (id, password) VALUES (?, ?)", [(1, "a"), (2, "b"), (3, "c")])
    driver.rollback()
    assert told(spans) == ["db INSERT", "db ROLLBACK"]
    assert driver.execute("SELECT * FROM things") == []


def test_nothing_to_end_is_no_span(driver: Any, spans: Recording) -> None:
    driver.commit()
    driver.rollback()
    assert spans == []


def delete_and_fail(driver: Any) -> None:
    driver.execute("DELETE FROM things")
    raise LookupError


def test_a_block_of_the_connection_ends_with_a_span(driver: Any, spans: Recording) -> None:
    if isinstance(driver, (AsyncPsycopg, Pymysql)) and not isinstance(driver, Psycopg2):
        pytest.skip("its block closes the connection")
    with driver.connection:
        driver.execute("INSERT INTO things VALUES (?, ?)", 1, "one")
    with pytest.raises(LookupError), driver.connection:
        delete_and_fail(driver)
    assert told(spans) == ["db INSERT", "db COMMIT", "db DELETE", "db ROLLBACK"]


def test_an_error_is_that_of_the_driver(driver: Any, spans: Recording) -> None:
    before = current.point.get()
    with pytest.raises(Exception, match="nothing") as raised:
        driver.execute("SELECT * FROM nothing")
    assert current.point.get() is before
    (span,) = spans
    assert span.error is not None
    assert span.error.endswith(type(raised.value).__name__)
    assert "nothing" in span.stop_info["db"]["original_exception"]
    driver.rollback()


def test_a_closed_connection_is_the_driver_s_own_error(driver: Any, spans: Recording) -> None:
    connection = driver.connect()
    cursor = connection.cursor()
    connection.close()
    with pytest.raises(Exception) as raised:
        cursor.execute("SELECT 1")
    assert type(raised.value).__module__.partition(".")[0] in (driver.library, "builtins")


def test_secrets_are_masked(driver: Any, spans: Recording) -> None:
    driver.execute("INSERT INTO things (id, password) VALUES (?, ?)", 1, _SECRET)
    (span,) = spans
    assert _SECRET in repr(span), "as it was sent"
    assert _SECRET not in repr(applying.record({"info": span.info}))


def test_without_a_sampled_trace_it_only_sends(driver: Any, spans: Recording) -> None:
    for point in (None, Point(None, None, Origin.from_osprofiler(KEY, flags=0)), scope.SUPPRESSED):
        with scope.entered(point):
            driver.execute("SELECT 1")
            driver.commit()
    assert spans == []


def test_uninstrumented_it_is_the_library_s_own(driver: Any, spans: Recording) -> None:
    registry.uninstrument(driver.library)
    assert not any(hasattr(each, "__wrapped__") for each in driver.originals())
    driver.execute("SELECT 1")
    driver.commit()
    assert spans == []
    for _ in range(2):
        registry.instrument(driver.library)
    driver.execute("SELECT 1")
    assert told(spans) == ["db SELECT"]


def test_older_connections(older: Any, spans: Recording) -> None:
    older.execute("SELECT 1")
    assert told(spans) == (["db SELECT"] if older.sees_older else [])


# With SQLAlchemy


@pytest.mark.parametrize("how", ["layer", "add_tracing"])
def test_a_statement_of_sqlalchemy_is_one_span(driver: Any, spans: Recording, how: str) -> None:
    database = driver.url.format(database=driver.database)
    url = sqlalchemy.make_url(database)
    if isinstance(driver, Psycopg):
        url = url.set(drivername=f"postgresql+{driver.library}")
    is_async = isinstance(driver, AsyncPsycopg)
    make: Callable[..., Any] = create_async_engine if is_async else sqlalchemy.create_engine
    engine = make(url)

    async def ask_async() -> None:
        async with engine.begin() as connection:
            await connection.execute(sqlalchemy.text("DELETE FROM things"))

    def ask() -> None:
        if is_async:
            driver.run(ask_async())
            return
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("DELETE FROM things"))

    with scope.entered(None):
        ask()  # it connects
    ask()
    assert told(spans) == ["db DELETE", "db COMMIT"]
    assert {span.tags["component"] for span in spans} == {driver.library}
    del spans[:]
    if how == "layer":
        registry.instrument("sqlalchemy")
    else:
        engines.add_tracing(sqlalchemy, engine, "db")
    ask()
    assert [(span.operation, span.tags["component"]) for span in spans] == [
        ("db DELETE", "sqlalchemy"),
        ("db COMMIT", "sqlalchemy" if how == "layer" else driver.library),
    ]
    if is_async:
        driver.run(engine.dispose())
    else:
        engine.dispose()


# What only one driver has


def test_cursors_of_other_classes(driver: Any, spans: Recording) -> None:
    if driver.library == "sqlite3":

        class Own(sqlite3.Cursor):
            pass

        class OwnConnection(sqlite3.Connection):
            pass

        connection = driver.connect(factory=OwnConnection)
        connection.row_factory = sqlite3.Row
        cursor = connection.cursor(Own)
        assert isinstance(connection, OwnConnection)
        assert isinstance(cursor, Own)
        assert tuple(connection.execute("SELECT 1").fetchone()) == (1,)
        connection.executescript("SELECT 1; SELECT 2;")
        assert cursor.execute("SELECT 1 AS one").fetchone()["one"] == 1
        assert type(connection).__name__ == "OwnConnection"
    elif driver.library == "psycopg2":
        connection = driver.connect(cursor_factory=psycopg2.extras.DictCursor)
        for cursor in (connection.cursor(), connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor)):
            cursor.execute(psycopg2.sql.SQL("SELECT 1 AS {}").format(psycopg2.sql.Identifier("one")))
            assert cursor.fetchone()["one"] == 1
        named = connection.cursor("portal")
        named.execute("SELECT 1")
        assert named.fetchone() == [1]
    elif driver.library == "pymysql":
        connection = driver.connect(cursorclass=pymysql.cursors.SSDictCursor)
        cursor = connection.cursor()
        for _ in range(3):
            cursor.execute(b"SELECT 1 AS one")
            assert list(cursor) == [{"one": 1}]
    elif isinstance(driver, AsyncPsycopg):
        pytest.skip("as with the blocking one")
    else:
        connection = driver.connect(row_factory=psycopg.rows.dict_row)
        statement = psycopg.sql.SQL("SELECT 1 AS {}").format(psycopg.sql.Identifier("one"))
        assert connection.execute(statement).fetchone() == {"one": 1}
        with connection.cursor("portal") as cursor:
            cursor.execute(statement)
            assert cursor.fetchone() == {"one": 1}
        assert connection.execute(b"SELECT 1 AS one").fetchone() == {"one": 1}
    assert len(spans) == 3
    assert {span.operation for span in spans} == {"db SELECT"}
    connection.close()
