# SPDX-License-Identifier: Apache-2.0
"""The layer of SQLAlchemy on real databases, blocking and for asyncio: which spans there are, and which are not."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy
from sqlalchemy import event, exc, pool
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from osprofiler import config, notifier, profiler
from osprofiler import sqlalchemy as traced
from osprofiler.context import scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.delivery.masking import applying
from osprofiler.drivers import base
from osprofiler.instrumentation import registry
from osprofiler.instrumentation import sqlalchemy as layer
from osprofiler.testing.process import clean_process, no_swallowed_faults
from osprofiler.testing.recorder import KEY, Recording, recording
from osprofiler.tracer import global_tracer
from tests import servers
from tests.waiting import wait_until

T = TypeVar("T")
Work = Callable[[sqlalchemy.Connection], T]

_SECRET = "hUnTeR2"


class Model(DeclarativeBase):
    pass


class Thing(Model):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    password: Mapped[str] = mapped_column(sqlalchemy.String(50), unique=True)


class Database:
    """An engine of one kind; what tests do on it is the same for all kinds."""

    driver = ""  # in the URL, if it is not SQLAlchemy's default

    def __init__(self, url: str) -> None:
        self.url = sqlalchemy.make_url(url)
        if self.driver:
            self.url = self.url.set(drivername=self.driver)
        self.engine = self.make()
        self.begin(Model.metadata.create_all)

    def make(self, **options: Any) -> Any:
        return sqlalchemy.create_engine(self.url, **{"poolclass": pool.QueuePool, **options})

    @property
    def blocking(self) -> sqlalchemy.Engine:
        """The engine that executes."""
        engine: sqlalchemy.Engine = self.engine
        return engine

    def begin(self, work: Work[T], **options: Any) -> T:
        """Run *work* in a transaction, and commit it."""
        with self.engine.execution_options(**options).begin() as connection:
            return work(connection)

    def connect(self, work: Work[T]) -> T:
        """Run *work* on a connection, and commit nothing."""
        with self.engine.connect() as connection:
            return work(connection)

    def session(self, work: Callable[[Session], T]) -> T:
        with Session(self.engine) as session:
            return work(session)

    def close(self) -> None:
        self.engine.dispose()


class AsyncDatabase(Database):
    def __init__(self, url: str) -> None:
        self.loop = asyncio.new_event_loop()
        super().__init__(url)

    def make(self, **options: Any) -> AsyncEngine:
        return create_async_engine(self.url, **{"poolclass": pool.AsyncAdaptedQueuePool, **options})

    @property
    def blocking(self) -> sqlalchemy.Engine:
        engine: sqlalchemy.Engine = self.engine.sync_engine
        return engine

    def begin(self, work: Work[T], **options: Any) -> T:
        async def run() -> T:
            async with self.engine.execution_options(**options).begin() as connection:
                return await connection.run_sync(work)  # type: ignore[no-any-return]

        return self.loop.run_until_complete(run())

    def connect(self, work: Work[T]) -> T:
        async def run() -> T:
            async with self.engine.connect() as connection:
                return await connection.run_sync(work)  # type: ignore[no-any-return]

        return self.loop.run_until_complete(run())

    def session(self, work: Callable[[Session], T]) -> T:
        async def run() -> T:
            async with AsyncSession(self.engine) as session:
                return await session.run_sync(work)

        return self.loop.run_until_complete(run())

    def close(self) -> None:
        self.loop.run_until_complete(self.engine.dispose())
        self.loop.close()


class Aiosqlite(AsyncDatabase):
    driver = "sqlite+aiosqlite"


class AsyncPsycopg(AsyncDatabase):
    driver = "postgresql+psycopg_async"


KINDS = {
    "sqlite": Database,
    "aiosqlite": Aiosqlite,
    "postgres": Database,
    "postgres for asyncio": AsyncPsycopg,
    "mariadb": Database,
}


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database whose engine was made before the layer was turned on, with one connection in its pool."""
    name = request.param.partition(" ")[0]
    if name.endswith("sqlite"):
        url = f"sqlite:///{tmp_path / 'things.db'}"
    else:
        server: servers.Postgres | servers.MariaDB = request.getfixturevalue(name)
        url = server.fresh_url()
    made = KINDS[request.param](url)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def spans(request: pytest.FixtureRequest) -> Iterator[Recording]:
    """The spans of a test, with the layer on and a trace on."""
    if "database" in request.fixturenames:
        request.getfixturevalue("database")
    original = in_place()
    with clean_process():
        config.publish(enabled=True, hmac_keys=(KEY,))
        registry.instrument("sqlalchemy")
        try:
            with no_swallowed_faults(set()), recording() as recorded:
                yield recorded
                assert recorded.unfinished() == []
        finally:
            registry.uninstrument()
            layer.uninstrument()
    assert in_place() == original, "the library was not left as it was"


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'things.db'}")
    yield made
    made.close()


def in_place() -> list[Any]:
    """The functions of SQLAlchemy that the layer replaces, and whether engines call listeners."""
    owners = [(getattr(importlib.import_module(each.module), each.owner), each.name) for each in layer.TARGETS]
    return [*(vars(owner)[name] for owner, name in owners), sqlalchemy.Engine._has_events]


def told(spans: Recording) -> list[str]:
    """The operation of each span, in the order of their ends."""
    return [span.operation for span in spans]


def insert(connection: sqlalchemy.Connection) -> None:
    connection.execute(sqlalchemy.insert(Thing).values(id=1, password=_SECRET))


def select(connection: sqlalchemy.Connection) -> int:
    return len(connection.execute(sqlalchemy.select(Thing.id)).all())


# Statements and transactions


def test_a_transaction_is_its_statements_and_its_end(database: Database, spans: Recording) -> None:
    spans.clear()
    with profiler.Trace("outer"):
        database.begin(insert)
        assert database.connect(select) == 1
    *sent, outer = spans
    assert told(spans)[:-1] == ["db INSERT", "db COMMIT", "db SELECT", "db ROLLBACK"]
    url = database.url
    tags = {"db.instance": url.database, "db.user": url.username, "peer.hostname": url.host, "peer.port": url.port}
    for span in sent:
        assert span.name == "db"
        assert span.parent_id == outer.point_id
        assert span.error is None
        assert (span.tags["span.kind"], span.tags["component"], span.tags["db.type"]) == ("client", "sqlalchemy", "sql")
        assert {name: span.tags.get(name) for name in tags} == tags
    assert spans[1].info == {"db": {"statement": "COMMIT", "params": None}}


def test_a_statement_is_shown_as_on_an_engine_with_add_tracing(database: Database, spans: Recording) -> None:
    spans.clear()
    for change in ("layer", "both", "add_tracing"):
        if change == "both":
            traced.add_tracing(sqlalchemy, database.engine, "db")
        if change == "add_tracing":
            registry.uninstrument("sqlalchemy")
        with pytest.raises(exc.IntegrityError):
            database.begin(lambda connection: (insert(connection), insert(connection)))
    statements = [span for span in spans if span.operation == "db INSERT"]
    shown = [(span.name, span.error, span.tags, span.info, span.stop_info) for span in statements]
    assert len(shown) == 6
    assert shown[:2] == shown[2:4] == shown[4:]
    assert [span.error is None for span in statements] == [True, False] * 3
    assert "db ROLLBACK" in told(spans)


def test_secrets_in_parameters_are_masked(database: Database, spans: Recording) -> None:
    spans.clear()
    database.begin(insert)
    assert _SECRET in repr(spans[0].info)
    assert _SECRET not in repr(applying.record({"info": spans[0].info}))
    assert all(_SECRET not in repr(span) for span in spans[1:])


def test_sessions_of_the_orm(database: Database, spans: Recording) -> None:
    spans.clear()

    def work(session: Session) -> None:
        session.add(Thing(id=1, password=_SECRET))
        with session.begin_nested():
            session.add(Thing(id=2, password="other"))
        session.commit()
        assert session.scalars(sqlalchemy.select(Thing.id).order_by(Thing.id)).all() == [1, 2]

    database.session(work)
    assert [operation for operation in told(spans) if operation != "db INSERT"] == [
        "db SAVEPOINT",
        "db RELEASE",
        "db COMMIT",
        "db SELECT",
        "db ROLLBACK",
    ]


def test_many_rows_are_one_span_for_each_statement_that_is_sent(database: Database, spans: Recording) -> None:
    spans.clear()
    rows = [{"id": number, "password": str(number)} for number in range(1, 6)]
    database.begin(lambda connection: connection.execute(sqlalchemy.insert(Thing), rows))
    assert told(spans) == ["db INSERT", "db COMMIT"]
    if database.blocking.dialect.insert_executemany_returning:
        spans.clear()
        more = [{"id": number, "password": str(number)} for number in range(6, 11)]
        statement = sqlalchemy.insert(Thing).returning(Thing.id)
        database.begin(lambda connection: connection.execute(statement, more).all(), insertmanyvalues_page_size=2)
        assert told(spans) == ["db INSERT"] * 3 + ["db COMMIT"]


def test_a_dialect_may_name_the_arguments_of_a_statement(spans: Recording) -> None:
    engine = sqlalchemy.create_engine("sqlite://")

    class ByName(type(engine.dialect)):  # type: ignore[misc]
        def do_execute(self, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
            super().do_execute(cursor=cursor, statement=statement, parameters=parameters, context=context)

    engine.dialect.__class__ = ByName
    with engine.connect() as connection:
        spans.clear()
        connection.execute(sqlalchemy.text("SELECT 1"))
        assert told(spans) == ["db SELECT"]


def test_without_a_transaction_nothing_ends(database: Database, spans: Recording) -> None:
    spans.clear()
    database.begin(insert, isolation_level="AUTOCOMMIT")
    assert told(spans) == ["db INSERT"]


def test_a_commit_that_fails_is_an_error(postgres: servers.Postgres, spans: Recording) -> None:
    database = Database(postgres.fresh_url())
    deferred = "CREATE TABLE d (x INTEGER UNIQUE DEFERRABLE INITIALLY DEFERRED)"
    database.begin(lambda connection: connection.exec_driver_sql(deferred))
    spans.clear()
    with pytest.raises(exc.IntegrityError):
        database.begin(lambda connection: connection.exec_driver_sql("INSERT INTO d VALUES (1), (1)"))
    assert [(span.operation, span.error) for span in spans][:2] == [
        ("db INSERT", None),
        ("db COMMIT", "psycopg.errors.UniqueViolation"),
    ]
    database.close()


def test_a_transaction_in_two_phases(mariadb: servers.MariaDB, spans: Recording) -> None:
    database = Database(mariadb.fresh_url())
    spans.clear()
    with database.engine.connect() as connection, connection.begin_twophase() as transaction:
        insert(connection)
        transaction.prepare()
        transaction.commit()
    sent = [span.info["db"]["statement"].split()[:2] for span in spans]
    assert sent[:5] == [["XA", "BEGIN"], ["INSERT", "INTO"], ["XA", "END"], ["XA", "PREPARE"], ["XA", "COMMIT"]]
    database.close()


def test_a_connection_that_is_lost(postgres: servers.Postgres, spans: Recording) -> None:
    database = Database(postgres.fresh_url())
    with database.engine.connect() as connection:
        own = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar()
        database.connect(lambda other: other.exec_driver_sql(f"SELECT pg_terminate_backend({own})"))
        spans.clear()
        with pytest.raises(exc.DBAPIError):
            connection.exec_driver_sql("SELECT 1")
    assert [(span.operation, span.error is None) for span in spans] == [("db SELECT", False)], "nothing to roll back"
    database.close()


# Connections


def test_a_new_connection_is_a_span(database: Database, spans: Recording) -> None:
    database.engine = database.make(poolclass=pool.NullPool)
    spans.clear()
    database.connect(select)
    first = next(span for span in spans if span.operation == "db CONNECT")
    asked = [span for span in spans if span.parent_id == first.point_id]
    assert bool(asked) == (database.url.host is not None), "the first one also asks a server what it can do"
    spans.clear()
    with profiler.Trace("outer"):
        for _ in range(2):
            database.connect(select)
    assert told(spans) == ["db CONNECT", "db SELECT", "db ROLLBACK"] * 2 + ["outer"]
    assert {span.parent_id for span in spans[:-1]} == {spans[-1].point_id}
    assert spans[0].tags.get("peer.port") == database.url.port
    assert spans[0].tags["db.instance"] == database.url.database


def test_a_connection_that_cannot_be_made_is_an_error(postgres: servers.Postgres, spans: Recording) -> None:
    url = sqlalchemy.make_url(postgres.url).set(password=_SECRET)
    engine = sqlalchemy.create_engine(url)
    with pytest.raises(exc.OperationalError):
        engine.connect()
    (span,) = spans
    assert (span.operation, span.error) == ("db CONNECT", "psycopg.OperationalError")
    assert _SECRET not in repr(span)


def test_a_wait_for_a_connection_is_a_span(database: Database, spans: Recording) -> None:
    database.begin(insert)
    full = database.make(pool_size=1, max_overflow=0)
    free = getattr(full, "sync_engine", full)
    database.engine = full
    database.connect(select)
    spans.clear()
    if isinstance(database, AsyncDatabase):
        database.loop.run_until_complete(_wait_in_a_task(full, spans))
    else:
        _wait_in_a_thread(full, spans)
    assert told(spans) == ["db WAIT", "db SELECT", "db ROLLBACK"]
    assert free.pool.checkedin() == 1
    assert spans[0].error is None
    assert spans[0].tags.get("peer.port") == database.url.port


def _wait_in_a_thread(engine: sqlalchemy.Engine, spans: Recording) -> None:
    def ask() -> None:
        with scope.entered(Point(None, None, Origin.from_osprofiler(KEY))), engine.connect() as connection:
            select(connection)

    held = engine.connect()
    asker = threading.Thread(target=ask)
    asker.start()
    wait_until(lambda: spans.unfinished() == ["db"])
    held.close()
    asker.join()


async def _wait_in_a_task(engine: AsyncEngine, spans: Recording) -> None:
    async def ask() -> None:
        async with engine.connect() as connection:
            await connection.run_sync(select)

    async with engine.connect():
        asker = asyncio.create_task(ask())
        await asyncio.to_thread(wait_until, lambda: spans.unfinished() == ["db"])
    await asker


def test_a_wait_that_is_too_long_is_an_error(local: Database, spans: Recording) -> None:
    engine = local.make(pool_size=1, max_overflow=0, pool_timeout=0.01)
    with engine.connect():
        spans.clear()
        with pytest.raises(exc.TimeoutError):
            engine.connect()
    assert [(span.operation, span.error) for span in spans] == [("db WAIT", "sqlalchemy.exc.TimeoutError")]


def test_a_connection_that_is_there_is_not_a_span(database: Database, spans: Recording) -> None:
    spans.clear()
    database.connect(lambda connection: None)
    assert told(spans) == []


# Turned on and off


def test_without_a_sampled_trace_nothing_is_recorded(database: Database, spans: Recording) -> None:
    spans.clear()
    for point in (None, Point(None, None, Origin.from_osprofiler(KEY, flags=0)), scope.SUPPRESSED):
        with scope.entered(point):
            database.engine = database.make(poolclass=pool.NullPool)
            assert database.connect(select) == 0
    assert spans == []


def test_it_is_turned_off_and_on(database: Database, spans: Recording) -> None:
    registry.uninstrument("sqlalchemy")
    spans.clear()
    database.connect(select)
    assert spans == []
    layer.instrument()
    layer.instrument()
    database.connect(select)
    assert told(spans) == ["db SELECT", "db ROLLBACK"]


def test_disable_stops_it_and_enable_resumes(local: Database, spans: Recording) -> None:
    spans.clear()
    traced.disable()
    local.engine = local.make(poolclass=pool.NullPool)
    local.connect(select)
    assert spans == []
    traced.enable()
    local.connect(select)
    assert told(spans) == ["db CONNECT", "db SELECT", "db ROLLBACK"]


@pytest.mark.parametrize("view", [False, True], ids=["engine", "view"])
def test_an_engine_with_add_tracing_keeps_its_name(database: Database, spans: Recording, view: bool) -> None:
    traced.add_tracing(sqlalchemy, database.engine, "nova", hide_result=False)
    if view:
        database.engine = database.engine.execution_options(isolation_level="SERIALIZABLE")
    spans.clear()
    database.begin(insert)
    assert database.connect(select) == 1
    assert told(spans) == ["nova INSERT", "nova COMMIT", "nova SELECT", "nova ROLLBACK"]
    assert spans[2].stop_info["db"]["result"] == "[(1,)]"


def test_listeners_of_the_service_hear_as_before(local: Database, spans: Recording) -> None:
    heard = []
    event.listen(local.engine, "before_cursor_execute", lambda *args: heard.append(args[2]))
    event.listen(local.engine, "before_cursor_execute", _commented, retval=True)
    spans.clear()
    local.connect(select)
    assert len(heard) == 1
    assert spans[0].info["db"]["statement"].endswith("/* by the service */"), "what is sent is what is shown"


def _commented(conn: Any, cursor: Any, statement: str, parameters: Any, *args: Any) -> tuple[str, Any]:
    return f"{statement} /* by the service */", parameters


def test_the_delivery_of_spans_is_not_traced(tmp_path: Path, spans: Recording) -> None:
    """The service and the store share a database, in one process."""
    url, base_id = f"sqlite:///{tmp_path / 'shared.db'}", "7d1a2b3c-0000-4000-8000-00000000abcd"
    service = Database(url)
    notifier.set(notifier.create(url, project="cinder", service="api", host="host"))
    profiler.init(KEY, base_id=base_id)
    with profiler.Trace("outer"):
        service.connect(select)
    profiler.clean()
    assert global_tracer.flush(10)
    (outer,) = base.get_driver(url).get_report(base_id)["children"]
    assert [child["info"]["name"] for child in outer["children"]] == ["db", "db"]
    assert [child["children"] for child in outer["children"]] == [[], []]
    service.close()
