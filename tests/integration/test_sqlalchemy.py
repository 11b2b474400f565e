# SPDX-License-Identifier: Apache-2.0
"""SQLAlchemy tracing on real database servers: tags, errors, lost connections, rows, asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from osprofiler import profiler
from osprofiler import sqlalchemy as traced
from tests.servers import MariaDB, Postgres
from tests.unit.span_kit import Recorder, spans  # noqa: F401

KEY = "SECRET"


class Base(DeclarativeBase):
    pass


class Server(Base):
    __tablename__ = "servers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sqlalchemy.String(50))


@pytest.fixture(params=["mariadb", "postgres"])
def url(request: pytest.FixtureRequest) -> str:
    server: MariaDB | Postgres = request.getfixturevalue(request.param)
    return server.fresh_url()


@pytest.fixture
def engine(url: str) -> Iterator[sqlalchemy.Engine]:
    made = sqlalchemy.create_engine(url)
    Base.metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture
def trace(spans: Recorder) -> Iterator[Recorder]:  # noqa: F811
    profiler.init(KEY)
    yield spans
    profiler.clean()


def verbs(trace: Recorder) -> list[str]:
    return [span.operation_name for span in trace.finished]


@pytest.mark.parametrize("hide_result", [True, False])
def test_a_session_of_the_orm(engine: sqlalchemy.Engine, trace: Recorder, hide_result: bool) -> None:
    traced.add_tracing(sqlalchemy, engine, "db", hide_result=hide_result)
    with Session(engine) as session:
        session.add_all([Server(name=f"server {i}") for i in range(300)])
        session.commit()
        names = session.scalars(sqlalchemy.select(Server.name).order_by(Server.id)).all()
        assert names == [f"server {i}" for i in range(300)]
        streamed = session.scalars(sqlalchemy.select(Server.name).execution_options(yield_per=50))
        assert len(list(streamed)) == 300
    assert set(verbs(trace)) == {"db INSERT", "db SELECT"}
    span = next(span for span in trace.finished if span.operation_name == "db SELECT")
    url = engine.url
    assert span.own_tags == {
        "span.kind": "client",
        "component": "sqlalchemy",
        "db.type": "sql",
        "db.instance": url.database,
        "db.user": url.username,
        "peer.hostname": url.host,
        "peer.port": url.port,
    }
    if hide_result:
        assert span.stop_info is None
    else:
        assert span.stop_info is not None
        assert "server 0" in span.stop_info["db"]["result"]


def test_an_error_of_the_server(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    traced.add_tracing(sqlalchemy, engine, "db")
    insert = sqlalchemy.insert(Server).values(id=1, name="twice")
    with engine.connect() as conn:
        conn.execute(insert)
        with pytest.raises(sqlalchemy.exc.IntegrityError):
            conn.execute(insert)
    assert [span.own_tags.get("error") for span in trace.finished] == [None, True]


def test_the_password_is_nowhere(postgres: Postgres, trace: Recorder) -> None:
    url = sqlalchemy.make_url(postgres.fresh_url())
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as conn:
        conn.execute(sqlalchemy.text("CREATE ROLE keeper LOGIN PASSWORD 'pa55word'"))
    engine.dispose()
    engine = sqlalchemy.create_engine(url.set(username="keeper", password="pa55word"))
    traced.add_tracing(sqlalchemy, engine, "db")
    with engine.connect() as conn, pytest.raises(sqlalchemy.exc.DBAPIError):
        conn.execute(sqlalchemy.text("SELECT * FROM missing"))
    engine.dispose()
    (span,) = trace.finished
    assert "pa55word" not in str((span.own_tags, span.own_logs, span.start_info, span.stop_info))


def test_a_connection_lost_between_two_statements(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    traced.add_tracing(sqlalchemy, engine, "db")
    postgres = engine.dialect.name == "postgresql"
    own_id, kill = (
        ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})")
        if postgres
        else ("SELECT connection_id()", "KILL {}")
    )
    with profiler.Trace("outer"):
        with engine.connect() as conn:
            own = conn.execute(sqlalchemy.text(own_id)).scalar()
            with engine.connect() as other:
                other.execute(sqlalchemy.text(kill.format(own)))
            with pytest.raises(sqlalchemy.exc.DBAPIError) as caught:
                conn.execute(sqlalchemy.text("SELECT 1"))
            assert caught.value.connection_invalidated
        with engine.connect() as conn:  # the pool makes a new connection
            assert conn.execute(sqlalchemy.text("SELECT 2")).scalar() == 2
    assert trace.names() == ["db"] * 4 + ["outer"]
    assert [span.own_tags.get("error") for span in trace.finished] == [None, None, True, None, None]
    outer = trace.finished[-1]
    assert {span.parent_span_id for span in trace.finished[:-1]} == {outer.span_id}


def test_a_pool_that_pings_first(url: str, trace: Recorder) -> None:
    engine = sqlalchemy.create_engine(url, pool_pre_ping=True)
    traced.add_tracing(sqlalchemy, engine, "db")
    for _ in range(2):
        with engine.connect() as conn:
            conn.execute(sqlalchemy.text("SELECT 1"))
    engine.dispose()
    assert verbs(trace) == ["db SELECT"] * 2


def test_the_asyncio_engine_keeps_tasks_apart(postgres: Postgres, spans: Recorder) -> None:  # noqa: F811
    async def ask(engine: Any, i: int) -> None:
        profiler.init(KEY, f"trace-{i}")
        with profiler.Trace("task"):
            async with engine.connect() as conn:
                await conn.execute(sqlalchemy.text("SELECT pg_sleep(0.01)"))
                with pytest.raises(sqlalchemy.exc.DBAPIError):
                    await conn.execute(sqlalchemy.text("SELECT 1/0"))
        profiler.clean()

    async def main() -> None:
        engine = create_async_engine(postgres.fresh_url(), pool_size=4)
        traced.add_tracing(sqlalchemy, engine, "db")
        await asyncio.gather(*(ask(engine, i) for i in range(20)))
        await engine.dispose()

    asyncio.run(main())
    traces: dict[str, list[tuple[str | None, bool]]] = {}
    for span in spans.finished:
        traces.setdefault(span.origin.base_id, []).append((span.name, "error" in span.own_tags))
    assert traces == {f"trace-{i}": [("db", False), ("db", True), ("task", False)] for i in range(20)}
