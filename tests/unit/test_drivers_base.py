# SPDX-License-Identifier: Apache-2.0
"""Finding a driver by its connection string, and drivers written for 4.4.0."""

import functools
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from osprofiler import exc
from osprofiler._runtime import entry_points
from osprofiler.cmd import shell
from osprofiler.drivers import base, connect, locate, mongodb, redis_driver
from osprofiler.drivers.sqlalchemy_driver import SQLAlchemyDriver
from osprofiler.reports import model
from osprofiler.testing.records import OTHER, TRACE, point, record, two_spans

SECRET = "s3cr:t/@"


class Old(base.Driver):
    """A driver like that in the documentation of 4.4.0."""

    def __init__(self, connection_str: str, project: Any = None, service: Any = None, host: Any = None, **kwargs: Any):
        super().__init__(connection_str, project=project, service=service, host=host, **kwargs)
        self.kept: list[dict[str, Any]] = []

    @classmethod
    def get_name(cls) -> str:
        return "old"

    def notify(self, info: dict[str, Any], **kwargs: Any) -> None:
        self.kept.append({**info, "project": self.project, "service": self.service})

    def get_report(self, base_id: str) -> dict[str, Any]:
        for each in self.kept:
            if each["base_id"] == base_id:
                self._append_results(
                    each["trace_id"],
                    each["parent_id"],
                    each["name"],
                    each["project"],
                    each["service"],
                    each["info"]["host"],
                    each["timestamp"],
                    each,
                )
        return self._parse_results()


@pytest.mark.parametrize(
    "connection_string",
    [
        "sqlite:////var/lib/x.db",
        "sqlite:///relative.db",
        "SQLite:////var/lib/x.db",
        "postgresql+psycopg://u:p@h/x",
        "mysql+pymysql://u:p@h/x?charset=utf8mb4",
        "mariadb+pymysql://u:p@h/x",
    ],
)
def test_sql_urls_go_to_the_sql_driver(connection_string: str) -> None:
    assert locate.driver_class(connection_string) is SQLAlchemyDriver
    if connection_string.islower():
        assert type(base.get_driver(connection_string)) is SQLAlchemyDriver


def test_a_subclass_is_found_by_its_name_also_without_slashes() -> None:
    driver = base.get_driver("old", "nova", service="api", host="here", conf=None, anything=1)
    assert type(driver) is Old
    assert (driver.connection_str, driver.project, driver.service, driver.host) == ("old://", "nova", "api", "here")
    assert (driver.filter_error_trace, driver.default_trace_fields) == (False, {"base_id", "timestamp"})


def test_a_driver_is_found_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "afar.py").write_text("from osprofiler.drivers.base import Driver\nclass Afar(Driver): pass\n")
    installed = tmp_path / "afar-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: afar\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(f"[{entry_points.DRIVERS}]\nfromafar = afar:Afar\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert type(base.get_driver("fromafar://x")).__name__ == "Afar"
    with pytest.raises(ValueError, match=r"known schemes: .*\bfromafar, "):
        base.get_driver("nearby://x")


@pytest.mark.parametrize(
    "connection_string",
    [
        f"unheardof://user:{SECRET}@host/x",
        f"mysql+unheardof://user:{SECRET}@host/x",
        f"postgresql+asyncpg://user:{SECRET}@host/x",
        f"postgresql+psycopg://user:{SECRET}@host:port/x",
        f"no scheme:{SECRET}",
        f"unheardof://host/x?password={SECRET.replace('/', '')}&x=1",
        f"://user:{SECRET}@",
        "",
        "\0://",
    ],
)
def test_what_cannot_work_is_one_line_without_the_password(connection_string: str) -> None:
    with pytest.raises((ValueError, exc.CommandError)) as caught:
        base.get_driver(connection_string)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    assert "s3cr" not in message


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"]
)
def test_sqlite_in_memory_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="names no file"):
        base.get_driver(url)
    with pytest.raises(ValueError, match="names no file"):
        SQLAlchemyDriver.check(url)


def test_a_missing_database_library_is_named() -> None:
    with pytest.raises(exc.CommandError, match=r"oracledb|cx_Oracle"):
        base.get_driver("oracle://u:p@h/x")


def test_finding_a_driver_loads_no_other() -> None:
    program = (
        "import sys; from osprofiler.drivers import base; base.Driver('x://');"
        "heavy = {'sqlalchemy', 'redis', 'pymongo', 'elasticsearch', 'requests', 'tornado', 'oslo_messaging'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("absolute", [True, False])
def test_the_embedded_store_is_private(absolute: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state") if absolute else "relative")
    folder = (tmp_path / "state" if absolute else tmp_path / "home/.local/state") / "osprofiler"
    assert base.default_connection_string() == f"sqlite:///{folder}/traces.db"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_embedded_store_of_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(exc.CommandError, match="--connection-string"):
        base.default_connection_string()


def test_an_old_driver_reads_as_it_always_did() -> None:
    driver = Old("old://", project="nova", service="api")
    for each in [*two_spans(), record(9, "start", 5, OTHER)]:
        driver.notify(each)
    first = driver.get_report(TRACE)
    (parent,) = first["children"]
    assert [child["trace_id"] for child in parent["children"]] == [point(2)]
    assert parent["info"]["project"] == "nova"
    assert parent["info"]["meta.raw_payload.neutron-api-start"]["project"] == "nova"
    assert driver.started_at is not None
    assert driver.finished_at is not None
    assert (driver.finished_at - driver.started_at).microseconds == 1_000
    assert set(driver.result) == {point(1), point(2)}
    # Another trace, then the first again, on one object.
    assert [child["trace_id"] for child in driver.get_report(OTHER)["children"]] == [point(9)]
    assert driver.get_report(TRACE) == first
    assert driver._parse_results() == first  # parsed again without reading


def test_an_old_driver_takes_batches() -> None:
    driver = Old("old://")
    driver.write(two_spans())
    assert len(driver.kept) == 4


def test_an_old_driver_with_a_constructor_of_its_own() -> None:
    class Bare(Old):
        def __init__(self) -> None:
            self.kept = two_spans()
            self.project = self.service = None
            self.kept = [{**each, "project": None, "service": None} for each in self.kept]

    assert len(Bare().get_report(TRACE)["children"]) == 1


def test_a_time_that_cannot_be_read_keeps_nothing_from_being_purged() -> None:
    class Kept(base.Driver):
        def __init__(self) -> None:
            super().__init__("kept://")
            self.traces = {"nameless": None, "old": "2020-01-01T00:00:00.000000", "new": "2026-11-20T00:00:00.000000"}

        def list_traces(self, fields: Any = None) -> list[dict[str, Any]]:
            return [{"base_id": each, **({"timestamp": at} if at else {})} for each, at in self.traces.items()]

        def delete(self, base_id: str) -> int:
            return int(self.traces.pop(base_id, self) is not self)

    driver = Kept()
    assert driver.purge(model.time_us("2025-01-01T00:00:00.000000")) == 2
    assert list(driver.traces) == ["new"]


class Scrubbing(SQLAlchemyDriver):
    """A subclass of a driver of 4.4.0 with its own scheme, ``notify`` and ``get_report``."""

    def __init__(self, connection_str: str, **kwargs: Any) -> None:
        super().__init__(connection_str.replace("scrubbing:", "sqlite:"), **kwargs)

    @classmethod
    def get_name(cls) -> str:
        return "scrubbing"

    def notify(self, info: dict[str, Any], context: Any = None, **kwargs: Any) -> None:
        super().notify({**info, "info": {**info["info"], "password": "***"}}, context, **kwargs)

    def get_report(self, base_id: str) -> dict[str, Any]:
        return {**super().get_report(base_id), "site": "ours"}


def test_a_subclass_of_one_of_our_drivers_is_asked_as_4_4_0_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"scrubbing:///{tmp_path / 'traces.db'}"
    reporter = connect.reporter_for(url, project="nova", service="api")
    reporter.report_record(record(1, "start", 0, password="hunter2"))
    assert reporter.flush(30)
    assert [each["info"]["password"] for each in Scrubbing(url).read(TRACE)] == ["***"]
    assert shell.main(["trace", "show", TRACE, "--json", "--connection-string", url]) == 0
    assert json.loads(capsys.readouterr().out)["site"] == "ours"


def test_a_subclass_may_bring_a_client_of_its_own() -> None:
    class Cluster(redis_driver.Redis):
        """Like RedisSentinel in 4.4.0."""

        def __init__(self, connection_str: str, **kwargs: Any) -> None:
            super().__init__(connection_str, **kwargs)
            self.db = self

    assert isinstance(Cluster("redis://localhost").db, Cluster)
    database = object()
    mongo = mongodb.MongoDB("mongodb://localhost")
    mongo.db = database
    assert mongo.db is database


def test_the_tree_of_4_4_0_for_nodes() -> None:
    nodes = {
        name: {"trace_id": name, "parent_id": parent, "info": {"started": started}}
        for name, parent, started in [("a", "base", 5), ("b", "a", 9), ("c", "a", 7), ("d", "base", 1)]
    }
    for _ in range(2):  # the second call returns the same
        roots = base.Driver._build_tree(nodes)
        assert [root["trace_id"] for root in roots] == ["d", "a"]
        assert [child["trace_id"] for child in roots[1]["children"]] == ["c", "b"]


@pytest.mark.parametrize("method", ["notify", "read", "list_traces", "list_error_traces", "delete"])
def test_what_a_driver_cannot_do_it_says(method: str) -> None:
    calls = {"notify": [{}], "read": ["x"], "delete": ["x"]}
    with pytest.raises(NotImplementedError, match="Driver"):
        getattr(base.Driver("x://"), method)(*calls.get(method, []))


def test_a_sqlite_file_is_read_where_nothing_may_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's file, read by another user or on a read-only file system: SQLite could not make its log."""
    url = f"sqlite:///{tmp_path / 'a#b.db'}"
    writer = base.get_driver(url)
    writer.write(two_spans())
    writer.close()
    allowed = [False]
    monkeypatch.setattr(os, "access", lambda *_: allowed[0])
    connected: list[str] = []
    connect_to = sqlite3.connect

    def connect_and_tell(name: str, **options: Any) -> sqlite3.Connection:
        connected.append(name)
        return connect_to(name, **options)

    monkeypatch.setattr(sqlite3.dbapi2, "connect", connect_and_tell)

    reader = base.get_driver(url)
    assert len(reader.read(TRACE)) == 4
    assert connected[0].endswith("/a%23b.db?immutable=1")
    with pytest.raises(base.StoreError):
        reader.write(two_spans(OTHER))
    allowed[0] = True
    reader.write(two_spans(OTHER))
    assert len(reader.read(OTHER)) == 4


def test_a_relative_file_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    driver = base.get_driver("sqlite:///traces.db")
    os.chdir("/")
    driver.write(two_spans())
    assert (tmp_path / "traces.db").exists()


@pytest.mark.parametrize("conf", [None, {}, functools.partial(print)])
def test_any_conf_is_taken(conf: object) -> None:
    assert base.Driver("x://", conf=conf).filter_error_trace is False
