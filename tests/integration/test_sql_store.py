# SPDX-License-Identifier: Apache-2.0
"""The SQL store with many processes, with databases that stop, and together with osprofiler 4.4.0."""

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from osprofiler.drivers import base, search, sql_engine, sql_indexes
from osprofiler.drivers.errors import StoreError
from osprofiler.reports import model
from osprofiler.testing.records import T0_US, TRACE, point, record, span, two_spans
from tests.conftest import missing
from tests.servers import MariaDB, Missing, Postgres, Server
from tests.servers.door import door
from tests.waiting import wait_until

PROGRAMS = Path(__file__).parent / "programs"
BATCHES = 25


@contextmanager
def writer(url: str, number: int, batches: int) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, str(PROGRAMS / "sql_writer.py"), url, str(number), str(batches)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def per_writer(records: list[dict[str, Any]]) -> Counter[str]:
    return Counter(each["service"] for each in records)


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'traces.db'}"
    server: Postgres | MariaDB = request.getfixturevalue(request.param)
    return server.fresh_url()


def test_eight_writers_of_which_one_is_killed_while_one_reads(url: str) -> None:
    """All processes try to make the table at the start. No committed row is lost, and no other process fails."""
    with ExitStack() as stack:
        writers = [stack.enter_context(writer(url, number, BATCHES)) for number in range(1, 8)]
        doomed = stack.enter_context(writer(url, 8, 1_000_000))
        for process in [*writers, doomed]:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        assert doomed.stdout
        assert [int(doomed.stdout.readline()) for _ in range(10)] == list(range(1, 11))

        reader, seen = base.get_driver(url), Counter[str]()
        while any(process.poll() is None for process in writers):
            now = per_writer(reader.read(TRACE))
            assert now >= seen  # the earlier records stay
            assert all(count % 10 == 0 for count in now.values())  # only complete batches
            seen = now
            if seen["writer-8"] > 100:
                doomed.kill()
        doomed.kill()
        assert [process.returncode for process in writers] == [0] * 7
        confirmed = 10 + len(doomed.stdout.read().splitlines())

    counts = per_writer(base.get_driver(url).read(TRACE))
    assert {name: counts[name] for name in counts if name != "writer-8"} == {
        f"writer-{number}": BATCHES * 10 for number in range(1, 8)
    }
    assert counts["writer-8"] % 10 == 0
    assert counts["writer-8"] >= confirmed * 10


@pytest.fixture(params=[Postgres, MariaDB])
def own_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The test's own server, which it may stop."""
    try:
        server = request.param()
    except Missing as lacking:
        missing(str(lacking))
    with server:
        yield server


def test_a_server_that_goes_away_and_comes_back(own_server: Server) -> None:
    driver = base.get_driver(own_server.url)
    driver.write(two_spans())
    own_server.stop()
    with pytest.raises(base.StoreUnavailable):
        driver.write([record(3, "start", 5)])
    with pytest.raises(StoreError) as caught:
        driver.read(TRACE)
    assert "\n" not in str(caught.value)
    own_server.start()
    driver.write([record(3, "start", 5)])
    own_server.restart()  # the connections in the pool are dead now
    assert len(driver.read(TRACE)) == 5
    own_server.restart()
    driver.write([record(4, "start", 5)])
    assert len(driver.read(TRACE)) == 6


def test_a_server_that_has_vanished_without_a_word(monkeypatch: pytest.MonkeyPatch, own_server: Server) -> None:
    """Another server may have its address already: the driver gives up the old connection."""
    for client, wait in ("pymysql", {"read_timeout": 1}), ("psycopg", {"tcp_user_timeout": 1000}):
        monkeypatch.setitem(sql_engine._TIMEOUTS, client, {**sql_engine._TIMEOUTS[client], **wait})
    url = sqlalchemy.make_url(own_server.url)
    assert url.port
    with door(url.port) as before:
        driver = base.get_driver(url.set(port=before.port).render_as_string(hide_password=False))
        driver.write([record(1, "start", 0)])
        before.fall_silent()
        thread = threading.Thread(target=driver.write, args=([record(2, "start", 0)],), daemon=True)
        thread.start()
        wait_until(lambda: not thread.is_alive(), what="the batch to be stored")
        assert len(driver.read(TRACE)) == 2
        driver.close()


def test_a_table_that_was_dropped_is_made_again(url: str) -> None:
    driver = base.get_driver(url)
    driver.write(two_spans())
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE data")
    engine.dispose()
    assert driver.list_traces() == []
    with pytest.raises(base.StoreError):
        driver.write(two_spans())
    driver.write(two_spans())
    assert len(driver.read(TRACE)) == 4


def test_a_batch_is_stored_whole_or_not_at_all(url: str) -> None:
    driver = base.get_driver(url)
    driver.write(two_spans())

    class Unwritable:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(base.StoreError, match="RuntimeError"):
        driver.write([record(3, "start", 5), record(4, "start", 5, bad=Unwritable())])
    assert len(driver.read(TRACE)) == 4


def test_a_child_forked_in_the_middle_of_a_transaction_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child inherits SQLite's list of the locks of its process, and could not release them."""
    from osprofiler.drivers import sql_engine

    monkeypatch.setattr(sql_engine, "BUSY_TIMEOUT_S", 1)
    url = f"sqlite:///{tmp_path / 'traces.db'}"
    database, inside, forked = sql_engine.Database(url), threading.Event(), threading.Event()

    def write_slowly() -> None:
        with database.begin() as connection:
            connection.exec_driver_sql("INSERT INTO data (base_id) VALUES ('slow')")
            inside.set()
            forked.wait(0.2)  # if the fork does not wait for us, it has ended before

    thread = threading.Thread(target=write_slowly)
    thread.start()
    inside.wait()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            base.get_driver(url).write(two_spans())
            status = 0
        finally:
            os._exit(status)
    forked.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert len(base.get_driver(url).read(TRACE)) == 4


def _indexes(url: str) -> set[str]:
    engine = sqlalchemy.create_engine(url)
    names = sql_indexes.existing(engine, sql_engine.DATA)
    engine.dispose()
    return names


def _drop_indexes(url: str) -> None:
    engine = sqlalchemy.create_engine(url)
    on = " ON data" if engine.dialect.name == "mysql" else ""
    for name in _indexes(url):
        with engine.begin() as connection:
            connection.exec_driver_sql(f"DROP INDEX {name}{on}")
    engine.dispose()


def found(driver: base.Driver, **conditions: Any) -> list[str]:
    return list(search.base_ids(driver, search.Wanted(**conditions)))


@pytest.fixture
def filled(url: str) -> base.Driver:
    """Three hundred traces of two services, the oldest first, of which two failed."""
    driver = base.get_driver(url, project="nova", service="nova-api")
    driver.write([each for i in range(300) for each in span(1, i, f"t{i:03d}")])
    for base_id in "t007", "t250":
        failed = record(2, "stop", 900, base_id, etype="ValueError")
        driver.write([{**failed, "project": "glance", "service": "glance-api"}])
    return driver


def test_a_search_finds_the_same_with_and_without_the_indexes(url: str, filled: base.Driver) -> None:
    newest = [f"t{i:03d}" for i in reversed(range(300))]
    late_us = T0_US + 280
    for _ in "with the indexes", "without":
        assert found(filled) == found(filled, limit=300) == newest
        assert found(filled, until_us=late_us, limit=5)[:5] == newest[20:25]
        assert found(filled, since_us=late_us) == newest[:20]
        assert found(filled, error=True) == ["t250", "t007"]
        assert found(filled, error=True, since_us=T0_US + 100) == ["t250"]
        assert [mark["base_id"] for mark in filled.list_error_traces()] == ["t007", "t250"]
        assert {trace.base_id for trace in search.traces(filled, base.Wanted(service="glance-*"))} == {"t007", "t250"}
        assert list(search.traces(filled, base.Wanted(service="cinder-*"))) == []
        _drop_indexes(url)


def test_only_traces_of_the_service_are_candidates(filled: base.Driver) -> None:
    assert found(filled, service="glance-???") == ["t250", "t007"]
    assert found(filled, service="cinder*") == []
    for base_id, project, service in ("p", None, "heat"), ("s", "heat", None), ("o", "heat", "h\u00e9"):
        filled.project, filled.service = project, service
        filled.write(span(1, 1_000 + "pso".index(base_id), base_id))
    assert found(filled, service="heat") == ["o", "s", "p"]  # only its records tell that the service of "o" is another
    assert [trace.base_id for trace in search.traces(filled, base.Wanted(service="heat*", limit=2))] == ["o", "s"]
    assert [trace.base_id for trace in search.traces(filled, base.Wanted(service="heat"))] == ["s", "p"]


def test_a_writer_makes_what_is_missing_if_the_table_is_small(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    base.get_driver(url).write(two_spans())
    made = _indexes(url)
    assert made >= {sql_indexes.TRACE, sql_indexes.NEWEST, sql_indexes.SERVICE, sql_indexes.FAILED}
    _drop_indexes(url)
    base.get_driver(url).write(span(3, 5))
    assert _indexes(url) == made
    _drop_indexes(url)
    monkeypatch.setattr(sql_indexes, "_MOST_ROWS", 1)
    driver = base.get_driver(url)
    driver.write(span(4, 6))
    assert not _indexes(url)
    advice = driver.advice()
    assert "lacks 4 of its indexes" in advice
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        for statement in advice.partition("with: ")[2].split("; "):
            if not statement.startswith("ALTER"):  # the column of MySQL is still there
                connection.execute(sqlalchemy.text(statement))
    engine.dispose()
    assert _indexes(url) == made
    assert driver.advice() == ""


def test_a_page_is_read_by_the_indexes_alone(tmp_path: Path) -> None:
    """SQLite's plan of each statement of a search: it looks into an index, and reads no table from its beginning."""
    driver = base.get_driver(f"sqlite:///{tmp_path / 'traces.db'}", project="nova", service="api")
    driver.write([*two_spans(), *span(3, 5)])
    statements: list[tuple[str, Any]] = []
    engine = driver._database.engine()  # type: ignore[attr-defined]

    @sqlalchemy.event.listens_for(engine, "before_cursor_execute")
    def _note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        statements.append((statement, parameters))

    times = {"since_us": T0_US, "until_us": T0_US + 100}
    for conditions in ({"limit": 9}, {"error": True}, {"service": "nova-api"}, times, {"service": "api", **times}):
        assert found(driver, **conditions) == [TRACE]  # type: ignore[arg-type]
    searched = [each for each in statements if "FROM data" in each[0]]
    used = ""
    with engine.connect() as connection:
        for statement, parameters in searched:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            tables = [row[3] for row in plan if " data" in row[3]]
            assert tables
            assert all(" USING " in row and "INDEX ix_data" in row for row in tables), (statement, tables)
            used += "".join(tables)
    for name in sql_indexes.TRACE, sql_indexes.NEWEST, sql_indexes.SERVICE, sql_indexes.FAILED:
        assert name in used


def test_postgres_reads_no_page_of_a_search_in_parts(postgres: Postgres) -> None:
    """For rows in parts PostgreSQL takes a plan that goes through the index of all traces."""
    driver = base.get_driver(postgres.fresh_url())
    driver.write(two_spans())
    engine = driver._database.engine()  # type: ignore[attr-defined]
    kinds: dict[str, str] = {}

    @sqlalchemy.event.listens_for(engine, "before_cursor_execute")
    def _note(_: Any, cursor: Any, statement: str, *__: Any) -> None:
        kinds[statement] = type(cursor).__name__

    assert found(driver, since_us=T0_US) == [TRACE]
    assert [kind for statement, kind in kinds.items() if "DISTINCT" in statement] == ["Cursor"]


def test_an_account_that_may_only_insert_writes(postgres: Postgres) -> None:
    url = postgres.fresh_url()
    base.get_driver(url).write(two_spans())
    _drop_indexes(url)
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE ROLE inserter LOGIN PASSWORD 'osp'")
        connection.exec_driver_sql("GRANT INSERT ON data TO inserter")
        connection.exec_driver_sql("GRANT USAGE ON SEQUENCE data_id_seq TO inserter")
    engine.dispose()
    driver = base.get_driver(url.replace("osp:osp@", "inserter:osp@"))
    driver.write(span(3, 5))
    assert len(base.get_driver(url).read(TRACE)) == 6


def test_sqlite_writes_ahead_and_reading_creates_nothing(tmp_path: Path) -> None:
    file = tmp_path / "traces.db"
    driver = base.get_driver(f"sqlite:///{file}")
    with pytest.raises(StoreError, match="does not exist"):
        driver.list_traces()
    assert not file.exists()
    driver.write(two_spans())
    engine = sqlalchemy.create_engine(f"sqlite:///{file}")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        # A reader does not wait for a writer in a transaction.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        assert len(driver.read(TRACE)) == 4
    engine.dispose()


def test_a_sqlite_file_that_was_removed_is_made_again(tmp_path: Path) -> None:
    """An open file still exists after its name is removed, but nobody reads rows there."""
    file = tmp_path / "traces.db"
    driver = base.get_driver(f"sqlite:///{file}")
    driver.write([record(1, "start", 0)])
    for each in tmp_path.iterdir():
        each.unlink()
    driver.write([record(2, "start", 0)])
    assert [each["trace_id"] for each in base.get_driver(f"sqlite:///{file}").read(TRACE)] == [point(2)]


@pytest.fixture(scope="session")
def stock_environment(stock_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment for stock's SQL driver: it works only with SQLAlchemy before 2."""
    folder = tmp_path_factory.mktemp("sqlalchemy-1")
    pip = [str(stock_python), "-m", "pip", "install", "--quiet", "--target", str(folder), "SQLAlchemy<2"]
    env = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "PYTHONHOME"}}
    done = subprocess.run(pip, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        missing(f"SQLAlchemy 1.4 cannot be installed: {done.stderr[-500:]}")
    return {**env, "PYTHONPATH": str(folder)}


@pytest.fixture(params=["sqlite", "mariadb"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'shared.db'}"
    server: MariaDB = request.getfixturevalue("mariadb")
    return server.fresh_url()


def stock(python: Path, environment: dict[str, str], *args: str) -> str:
    command = [str(python), str(PROGRAMS / "stock_sql.py"), *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_stock_wrote_is_read(stock_python: Path, stock_environment: dict[str, str], shared_url: str) -> None:
    stock(stock_python, stock_environment, "write", shared_url, TRACE)
    driver = base.get_driver(shared_url)
    trace = model.from_records(driver.read(TRACE))
    (root,) = trace.roots
    assert [(span.name, span.error, span.host) for span in (root, *root.children)] == [
        ("wsgi", "ValueError", "stock"),
        ("db", None, "stock"),
        ("rpc", "ValueError", "stock"),
    ]
    assert root.children[0].start_info["db"] == {"statement": "SELECT '\u65e5'"}
    assert [each["base_id"] for each in driver.list_traces()] == [TRACE]
    assert [each["base_id"] for each in driver.list_error_traces()] == [TRACE]
    driver.write(two_spans())  # rows of both versions in one table
    assert len(driver.read(TRACE)) == 10
    assert driver.delete(TRACE) == 10


@pytest.mark.parametrize("first", ["ours", "stock"])
def test_stock_reads_what_was_written(
    first: str, stock_python: Path, stock_environment: dict[str, str], shared_url: str
) -> None:
    """In a table that one of the versions has made."""
    if first == "stock":
        stock(stock_python, stock_environment, "write", shared_url, "another")
    driver = base.get_driver(shared_url, project="nova", service="nova-api", host="here")
    driver.write([{**each, "name": each["name"].replace("neutron-api", "wsgi")} for each in two_spans()])
    report = json.loads(stock(stock_python, stock_environment, "report", shared_url, TRACE))
    ours = driver.get_report(TRACE)
    for theirs, own in _pairs(report, ours):
        assert (theirs["trace_id"], theirs["parent_id"]) == (own["trace_id"], own["parent_id"])
        keys = ("name", "project", "service", "started", "finished", "exception")
        assert {key: theirs["info"][key] for key in keys} == {key: own["info"][key] for key in keys}
    assert report["children"][0]["children"][0]["trace_id"] == point(2)
    assert report["info"] == {key: ours["info"][key] for key in report["info"]}


def _pairs(left: dict[str, Any], right: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    assert len(left["children"]) == len(right["children"])
    for one, other in zip(left["children"], right["children"], strict=True):
        yield one, other
        yield from _pairs(one, other)
