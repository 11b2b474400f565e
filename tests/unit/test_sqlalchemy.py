# SPDX-License-Identifier: Apache-2.0
"""SQLAlchemy tracing on a real SQLite: each statement is one point, and is closed once in every case."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from osprofiler import profiler
from osprofiler import sqlalchemy as traced
from osprofiler.handlers import sql
from tests.unit.span_kit import Recorder, spans  # noqa: F401

KEY = "SECRET"


@pytest.fixture
def engine() -> Iterator[sqlalchemy.Engine]:
    made = sqlalchemy.create_engine("sqlite://", poolclass=StaticPool)
    with made.begin() as conn:
        conn.exec_driver_sql("CREATE TABLE t (x INTEGER PRIMARY KEY, y TEXT)")
    yield made
    traced.enable()
    made.dispose()


@pytest.fixture
def trace(spans: Recorder) -> Iterator[Recorder]:  # noqa: F811
    profiler.init(KEY)
    yield spans
    profiler.clean()


def test_a_statement_is_one_point_with_what_was_asked(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    traced.add_tracing(sqlalchemy, engine, "db")
    with engine.begin() as conn:
        conn.execute(sqlalchemy.text("INSERT INTO t VALUES (:x, :y)"), {"x": 1, "y": "one"})
    (span,) = trace.finished
    assert span.operation_name == "db INSERT"
    assert span.start_info == {"db": {"statement": "INSERT INTO t VALUES (?, ?)", "params": [1, "one"]}}
    assert span.stop_info is None
    tags = {key: span.own_tags[key] for key in ("span.kind", "component", "db.type")}
    assert tags == {"span.kind": "client", "component": "sqlalchemy", "db.type": "sql"}


def test_without_a_trace_nothing_is_recorded(engine: sqlalchemy.Engine, spans: Recorder) -> None:  # noqa: F811
    traced.add_tracing(sqlalchemy, engine, "db")
    with engine.connect() as conn:
        conn.execute(sqlalchemy.text("SELECT 1"))
    assert spans.started == []


def test_a_failing_statement_is_an_error_once_and_the_application_gets_it(
    engine: sqlalchemy.Engine, trace: Recorder
) -> None:
    traced.add_tracing(sqlalchemy, engine, "db")
    with profiler.Trace("outer"), engine.connect() as conn, pytest.raises(sqlalchemy.exc.OperationalError):
        conn.execute(sqlalchemy.text("SELECT * FROM missing"))
    assert trace.names() == ["db", "outer"]
    failed, outer = trace.finished
    assert failed.own_tags["error"] is True
    assert failed.stop_info is not None
    assert failed.stop_info["etype"] == "sqlite3.OperationalError"
    assert failed.stop_info["message"] == "no such table: missing"
    assert failed.stop_info["db"] == {"original_exception": "no such table: missing", "chained_exception": ""}
    assert "error" not in outer.own_tags


@pytest.mark.parametrize(
    "fail",
    [
        lambda conn: conn.execute(sqlalchemy.text("SELECT :x"), {}),
        lambda conn: conn.execute(sqlalchemy.select(sqlalchemy.literal(1, type_=sqlalchemy.types.NullType())), [1]),
    ],
    ids=["a parameter is missing", "parameters are wrong"],
)
def test_an_error_before_the_statement_closes_no_point(
    engine: sqlalchemy.Engine, trace: Recorder, fail: object
) -> None:
    traced.add_tracing(sqlalchemy, engine, "db")
    with profiler.Trace("outer"):
        with engine.connect() as conn, pytest.raises(sqlalchemy.exc.SQLAlchemyError):
            fail(conn)  # type: ignore[operator]
        assert trace.names() == []  # "outer" is still open
    assert trace.names() == ["outer"]


def test_a_failing_connection_closes_no_point(trace: Recorder) -> None:
    engine = sqlalchemy.create_engine("sqlite:////nonexistent/dir/file.db")
    traced.add_tracing(sqlalchemy, engine, "db")
    with profiler.Trace("outer"):
        with pytest.raises(sqlalchemy.exc.OperationalError):
            engine.connect()
        assert trace.names() == []
    assert trace.names() == ["outer"]


def test_an_error_after_the_statement_closes_no_second_point(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    traced.add_tracing(sqlalchemy, engine, "db")

    @sqlalchemy.event.listens_for(engine, "after_cursor_execute")
    def broken(*args: object) -> None:
        raise RuntimeError("of the application")

    with profiler.Trace("outer"), engine.connect() as conn:
        with pytest.raises(RuntimeError, match="of the application"):
            conn.execute(sqlalchemy.text("SELECT 1"))
        assert trace.names() == ["db"]
    assert trace.names() == ["db", "outer"]


def test_a_listener_that_fails_before_the_statement_leaves_no_point_open(
    engine: sqlalchemy.Engine, trace: Recorder
) -> None:
    traced.add_tracing(sqlalchemy, engine, "db")

    @sqlalchemy.event.listens_for(engine, "before_cursor_execute")
    def broken(*args: object) -> None:
        raise RuntimeError("of the application")

    with profiler.Trace("outer"), engine.connect() as conn, pytest.raises(RuntimeError):
        conn.execute(sqlalchemy.text("SELECT 1"))
    failed = trace.by_name("db")
    # SQLAlchemy 2.0 does not report this error to listeners: the point ends with the outer one
    assert failed.own_tags.get("error") or failed.own_tags.get("osprofiler.unclosed")
    assert trace.names() == ["db", "outer"]


def test_an_error_is_one_where_a_listener_before_ours_raises(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    @sqlalchemy.event.listens_for(engine, "handle_error")
    def translate(context: object) -> None:
        raise LookupError("of the application")

    traced.add_tracing(sqlalchemy, engine, "db")
    with profiler.Trace("outer"), engine.connect() as conn, pytest.raises(LookupError):
        conn.execute(sqlalchemy.text("SELECT * FROM missing"))
    failed, _ = trace.finished
    assert (failed.operation_name, failed.own_tags["error"]) == ("db SELECT", True)
    assert failed.stop_info is not None
    assert failed.stop_info["db"]["original_exception"] == "no such table: missing"


def test_an_error_is_one_where_no_listener_is_told(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    traced.add_tracing(sqlalchemy, engine, "db")
    with profiler.Trace("outer"), engine.connect() as conn:
        quiet = conn.execution_options(skip_user_error_events=True)  # has_table() of MySQL's dialect does the same
        with pytest.raises(sqlalchemy.exc.OperationalError):
            quiet.execute(sqlalchemy.text("SELECT * FROM missing"))
        with profiler.Trace("later"):
            pass
    assert trace.tree() == [("outer", None), ("db", "outer"), ("later", "outer")]
    assert trace.by_name("db").own_tags["error"] is True


def test_a_base_exception_inside_the_database_ends_the_point(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    traced.add_tracing(sqlalchemy, engine, "db")
    killed = KeyboardInterrupt()

    @sqlalchemy.event.listens_for(engine, "do_execute")
    def interrupted(*args: object) -> None:
        raise killed

    with pytest.raises(KeyboardInterrupt) as caught, engine.connect() as conn:
        conn.execute(sqlalchemy.text("SELECT 1"))
    assert caught.value is killed
    assert trace.names() == ["db"]


def test_a_statement_inside_another_is_its_child(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    traced.add_tracing(sqlalchemy, engine, "db")

    @sqlalchemy.event.listens_for(engine, "before_cursor_execute")
    def nested(conn: sqlalchemy.Connection, cursor: object, statement: str, *args: object) -> None:
        if "INSERT" in statement:
            conn.execute(sqlalchemy.text("SELECT 1"))

    with engine.begin() as conn:
        conn.execute(sqlalchemy.text("INSERT INTO t VALUES (1, 'a')"))
    assert [span.operation_name for span in trace.finished] == ["db SELECT", "db INSERT"]
    inner, outer = trace.finished
    assert inner.parent_span_id == outer.span_id


@pytest.mark.parametrize("order", [1, -1], ids=["engine first", "view first"])
def test_an_engine_and_a_view_of_it_with_other_options_trace_a_statement_once(
    engine: sqlalchemy.Engine, trace: Recorder, order: int
) -> None:
    view = engine.execution_options(isolation_level="AUTOCOMMIT")
    for each in (engine, view)[::order]:
        traced.add_tracing(sqlalchemy, each, "db")
    for each in (engine, view):
        with each.connect() as conn:
            conn.execute(sqlalchemy.text("SELECT 1"))
    assert trace.tree() == [("db", None)] * 2


def test_many_parameter_sets_are_one_bounded_point(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    traced.add_tracing(sqlalchemy, engine, "db")
    rows = [{"x": i, "y": "y" * 100} for i in range(2000)]
    with engine.begin() as conn:
        conn.execute(sqlalchemy.text("INSERT INTO t VALUES (:x, :y)"), rows)
    (span,) = trace.finished
    assert span.start_info is not None
    assert len(str(span.start_info["db"]["params"])) < 2 * sql.PARAMS_CHARS
    with engine.connect() as conn:
        assert conn.execute(sqlalchemy.text("SELECT count(*) FROM t")).scalar() == 2000


def test_a_batched_insert_closes_each_of_its_statements(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    traced.add_tracing(sqlalchemy, engine, "db")
    table = sqlalchemy.Table(
        "t",
        sqlalchemy.MetaData(),
        sqlalchemy.Column("x", sqlalchemy.Integer, primary_key=True),
        sqlalchemy.Column("y", sqlalchemy.String),
    )
    rows = [{"y": str(i)} for i in range(5)]
    with engine.execution_options(insertmanyvalues_page_size=2).begin() as conn:
        made = conn.execute(table.insert().returning(table.c.x), rows).scalars().all()
    assert made == [1, 2, 3, 4, 5]
    assert [span.operation_name for span in trace.finished] == ["db INSERT"] * 3


@pytest.mark.parametrize("hide_result", [True, False])
def test_the_application_gets_every_row_shown_or_hidden(
    engine: sqlalchemy.Engine, trace: Recorder, hide_result: bool
) -> None:
    with engine.begin() as conn:
        conn.execute(sqlalchemy.text("INSERT INTO t VALUES (:x, :y)"), [{"x": i, "y": "a"} for i in range(250)])
    traced.add_tracing(sqlalchemy, engine, "db", hide_result=hide_result)
    query = sqlalchemy.text("SELECT x FROM t ORDER BY x")
    with engine.connect() as conn:
        assert conn.execute(query).scalars().all() == list(range(250))
        result = conn.execute(query)
        assert result.fetchone() == (0,)
        assert [row.x for row in result.fetchmany(120)] == list(range(1, 121))
        assert [row.x for row in result] == list(range(121, 250))
        assert conn.execute(query).scalars().first() == 0
        assert conn.execute(sqlalchemy.text("SELECT x FROM t WHERE x < 0")).all() == []
    shown = [span.stop_info for span in trace.finished]
    if hide_result:
        assert shown == [None] * 4
    else:
        assert all(info is not None and info["db"]["result"].startswith("[(0,), (1,)") for info in shown[:3])
        assert shown[3] == {"db": {"result": "[]", "rowcount": -1}}


def test_shown_results_leave_writing_alone(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    traced.add_tracing(sqlalchemy, engine, "db", hide_result=False)
    with engine.begin() as conn:
        assert conn.execute(sqlalchemy.text("INSERT INTO t VALUES (1, 'a')")).rowcount == 1
        assert conn.execute(sqlalchemy.text("INSERT INTO t VALUES (2, 'b') RETURNING y")).scalar() == "b"
    assert [span.stop_info["db"]["result"] for span in trace.finished if span.stop_info] == [None, "[('b',)]"]


def test_an_error_while_rows_are_read_is_the_applications(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    traced.add_tracing(sqlalchemy, engine, "db", hide_result=False)
    with engine.connect() as conn:
        conn.connection.dbapi_connection.create_function("fails", 1, lambda x: 1 // (x - 3))  # type: ignore[union-attr]
        with pytest.raises(sqlalchemy.exc.OperationalError):
            conn.execute(
                sqlalchemy.text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT fails(i) FROM n")
            ).all()
    assert trace.names() == ["db"]


def test_disable_and_enable_switch_an_instrumented_engine(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    traced.add_tracing(sqlalchemy, engine, "db")
    seen = []
    for switch in (traced.disable, traced.enable):
        switch()
        with engine.connect() as conn:
            conn.execute(sqlalchemy.text("SELECT 1"))
        seen.append(len(trace.finished))
    assert seen == [0, 1]


def test_an_engine_added_while_disabled_stays_plain(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    traced.disable()
    traced.add_tracing(sqlalchemy, engine, "db")
    assert not engine.dispatch.before_cursor_execute


def test_an_engine_is_instrumented_once(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    traced.add_tracing(sqlalchemy, engine, "db")
    traced.add_tracing(sqlalchemy, engine, "db")
    with traced.wrap_session(sqlalchemy, Session(engine)) as session:
        session.execute(sqlalchemy.text("SELECT 1"))
    assert trace.names() == ["db"]


def test_a_session_is_instrumented_and_closed(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    closed = []

    class Watched(Session):
        def close(self) -> None:
            closed.append(True)
            super().close()

    with traced.wrap_session(sqlalchemy, Watched(engine)) as session:
        assert session.scalar(sqlalchemy.text("SELECT 7")) == 7
    assert trace.names() == ["db"]
    assert closed == [True]


def test_a_session_on_a_connection_or_on_nothing_works(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    with engine.connect() as conn, traced.wrap_session(sqlalchemy, Session(conn)) as session:
        assert session.scalar(sqlalchemy.text("SELECT 7")) == 7
    with traced.wrap_session(sqlalchemy, Session()) as session:
        assert session is not None
    assert trace.names() == ["db"]


class Routing(Session):
    """Chooses an engine for each statement."""

    chosen: sqlalchemy.Engine

    def get_bind(self, *args: object, **kwargs: object) -> sqlalchemy.Engine:  # type: ignore[override]
        return self.chosen


def bound_by_table(engine: sqlalchemy.Engine) -> Session:
    return Session(binds={TABLE: engine})


def bound_by_itself(engine: sqlalchemy.Engine) -> Session:
    session = Routing()
    session.chosen = engine
    return session


TABLE = sqlalchemy.Table("t", sqlalchemy.MetaData(), sqlalchemy.Column("x", sqlalchemy.Integer, primary_key=True))


@pytest.mark.parametrize("make", [Session, bound_by_table, bound_by_itself])
def test_every_engine_that_a_session_uses_is_instrumented(
    engine: sqlalchemy.Engine, trace: Recorder, make: Callable[[sqlalchemy.Engine], Session]
) -> None:
    session = make(engine)
    with traced.wrap_session(sqlalchemy, session):
        assert session.execute(sqlalchemy.select(TABLE)).all() == []
        session.rollback()
        assert session.execute(sqlalchemy.select(TABLE)).all() == []
    assert trace.names() == ["db"] * 2
    assert not list(session.dispatch.after_begin)  # and the session is unchanged


def test_an_engine_that_a_statement_names_is_instrumented(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    with traced.wrap_session(sqlalchemy, Session()) as session:
        assert session.execute(sqlalchemy.select(TABLE), bind_arguments={"bind": engine}).all() == []
    assert trace.names() == ["db"]


def test_what_cannot_be_instrumented_is_left_alone() -> None:
    traced.add_tracing(sqlalchemy, object(), "db")


@pytest.mark.parametrize("kind", [memoryview, bytearray, bytes])
def test_a_parameter_of_bytes_is_kept_as_its_content(
    engine: sqlalchemy.Engine, trace: Recorder, kind: Callable[[bytes], object]
) -> None:
    traced.add_tracing(sqlalchemy, engine, "db")
    with engine.connect() as conn:
        conn.exec_driver_sql("SELECT ?", (kind(b"content"),)).all()
    (span,) = trace.finished
    assert span.start_info == {"db": {"statement": "SELECT ?", "params": ["content"]}}


def test_a_parameter_that_cannot_be_printed_hurts_nobody(engine: sqlalchemy.Engine, trace: Recorder) -> None:
    class Hostile(str):
        def __str__(self) -> str:
            raise RuntimeError("of the application")

        __repr__ = __str__

    traced.add_tracing(sqlalchemy, engine, "db")
    with engine.connect() as conn:
        assert conn.execute(sqlalchemy.text("SELECT :x"), {"x": Hostile("a")}).scalar() == "a"
    assert trace.names() == ["db"]
