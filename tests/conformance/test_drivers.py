# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on every driver, each on its real store; and the kit itself on drivers that are wrong on purpose."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from osprofiler.drivers import base, network
from osprofiler.drivers.errors import StoreError
from osprofiler.drivers.sql_engine import DATA
from osprofiler.drivers.sqlalchemy_driver import SQLAlchemyDriver
from osprofiler.records.record import timestamp
from osprofiler.testing.drivers import (
    WRONG_PASSWORD,
    Connect,
    DriverKit,
    OwnServer,
    Plant,
    Refuse,
    ServerKit,
    guarantee,
)
from osprofiler.testing.records import OTHER, T0_US, TRACE, point, record, two_spans
from tests.conftest import own
from tests.servers import MariaDB, Postgres, free_port


def plant_rows(driver: base.Driver) -> int:
    """Put rows that are not records into an SQL store. Returns their number."""
    good = {
        "timestamp": timestamp(T0_US), "base_id": TRACE, "trace_id": point(9), "parent_id": TRACE, "name": "x-start",
        "data": '{"info": {}}',
    }  # fmt: skip
    wrong = [
        *({"data": data} for data in ("{", "[" * 20_000, "text", 5, None, '{"info": "etype"}', '{"name": 5}')),
        *({"timestamp": stamp} for stamp in ("", "yesterday", None)),
        *({"base_id": None}, {"trace_id": None}, {"name": None}),
    ]
    with driver._database.begin() as connection:  # type: ignore[attr-defined]
        connection.execute(DATA.insert(), [{**good, **each} for each in wrong])
    return len(wrong)


_REFUSED = "a name that the table refuses"


def refusing_table(driver: base.Driver, statement: str) -> Refuse:
    """A function that lets the table refuse one name, with the SQL *statement*, and returns a batch with this name."""

    def refuse() -> list[dict[str, Any]]:
        driver.write(two_spans(OTHER))
        with driver._database.begin() as connection:  # type: ignore[attr-defined]
            connection.exec_driver_sql(statement)
        return [*two_spans(), {**record(9, "start", 1), "name": _REFUSED}]

    return refuse


class TestSQLite(DriverKit):
    title: ClassVar[str] = "SQLite"
    driver_class: ClassVar[type[base.Driver]] = SQLAlchemyDriver
    takes_garbage: ClassVar[bool] = True
    refuses: ClassVar[bool] = True

    @pytest.fixture
    def refuse(self, driver: base.Driver) -> Refuse:
        return refusing_table(
            driver,
            f"create trigger refuse before insert on data when new.name = '{_REFUSED}' "
            "begin select raise(abort, 'refused'); end",
        )

    @pytest.fixture
    def plant(self, driver: base.Driver) -> Plant:
        """Rows that only SQLite takes: not JSON, and not UTF-8."""

        def planted() -> int:
            count = plant_rows(driver)
            wrong = ["'{'", "cast(x'22ff22' as text)", "x'ff'"]
            with driver._database.begin() as connection:  # type: ignore[attr-defined]
                for text in wrong:
                    connection.exec_driver_sql(
                        "insert into data (timestamp, base_id, trace_id, name, data)"
                        f"values ('{timestamp(T0_US)}', '{TRACE}', 'x', 'x-start', {text})"
                    )
            return count + len(wrong)

        return planted

    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        return functools.partial(base.get_driver, f"sqlite:///{tmp_path / 'traces.db'}")

    @pytest.fixture
    def forgetful(self, tmp_path: Path) -> Connect:
        return functools.partial(base.get_driver, f"sqlite:///{tmp_path / 'traces.db'}?ttl=2")

    @guarantee("read")
    def test_an_unknown_trace_has_no_records(self, driver: base.Driver, tmp_path: Path) -> None:
        (tmp_path / "traces.db").touch()  # without the file, reading is an error
        super().test_an_unknown_trace_has_no_records(driver)

    @guarantee("list")
    def test_every_trace_is_listed_once_with_its_first_time(self, driver: base.Driver, tmp_path: Path) -> None:
        (tmp_path / "traces.db").touch()
        super().test_every_trace_is_listed_once_with_its_first_time(driver)


class SQLServerKit(ServerKit):
    """The common part for the database servers."""

    kind: ClassVar[type[Postgres] | type[MariaDB]]
    driver_class: ClassVar[type[base.Driver]] = SQLAlchemyDriver
    takes_garbage: ClassVar[bool] = True
    refuses: ClassVar[bool] = True

    @pytest.fixture
    def refuse(self, driver: base.Driver) -> Refuse:
        return refusing_table(driver, f"alter table data add constraint refuse check (name <> '{_REFUSED}')")

    @pytest.fixture
    def plant(self, driver: base.Driver) -> Plant:
        return functools.partial(plant_rows, driver)

    @pytest.fixture
    def server(self) -> Postgres | MariaDB:
        raise NotImplementedError

    @pytest.fixture
    def connect(self, server: Postgres | MariaDB) -> Connect:
        return functools.partial(base.get_driver, server.fresh_url())

    @pytest.fixture
    def forgetful(self, server: Postgres | MariaDB) -> Connect:
        return functools.partial(base.get_driver, f"{server.url}{'&' if '?' in server.url else '?'}ttl=2")

    @pytest.fixture
    def own_server(self) -> Iterator[OwnServer]:
        with own(self.kind) as server:
            yield OwnServer(functools.partial(base.get_driver, server.url), server.stop, server.start)

    @pytest.fixture
    def denied(self, server: Postgres | MariaDB) -> base.Driver:
        return base.get_driver(server.url.replace("osp:osp", f"osp:{WRONG_PASSWORD}"))

    @pytest.fixture
    def absent(self, server: Postgres | MariaDB) -> base.Driver:
        nobody = server.url.replace(f":{server.port}/", f":{free_port()}/")
        return base.get_driver(nobody.replace("osp:osp", f"osp:{WRONG_PASSWORD}"))


class TestPostgreSQL(SQLServerKit):
    title: ClassVar[str] = "PostgreSQL"
    kind = Postgres

    @pytest.fixture
    def server(self, postgres: Postgres) -> Postgres:
        return postgres


class TestMariaDB(SQLServerKit):
    title: ClassVar[str] = "MariaDB"
    kind = MariaDB

    @pytest.fixture
    def server(self, mariadb: MariaDB) -> MariaDB:
        return mariadb


class Wrong(base.Driver):
    """A driver with a list of records. Each subclass below has one fault."""

    store: list[dict[str, Any]]

    def write(self, records: Any) -> None:
        self.store.extend(self.labelled(record) for record in records)

    def read(self, base_id: str) -> list[dict[str, Any]]:
        return [record for record in self.store if record["base_id"] == base_id]

    def list_traces(self, fields: set[str] | None = None) -> list[dict[str, Any]]:
        return []

    def list_error_traces(self) -> list[dict[str, Any]]:
        return []


class Draining(Wrong):
    def read(self, base_id: str) -> list[dict[str, Any]]:
        records = super().read(base_id)
        self.store.clear()
        return records


class CuttingText(Wrong):
    def write(self, records: Any) -> None:
        super().write([{**record, "info": {"text": str(record["info"].get("text", ""))[:3]}} for record in records])


class IgnoringCase(Wrong):
    def read(self, base_id: str) -> list[dict[str, Any]]:
        return [record for record in self.store if record["base_id"].lower() == base_id.lower()]


class Changing(Wrong):
    def write(self, records: Any) -> None:
        for each in records:
            each["project"] = "mine"
        super().write(records)


class Promising(Wrong):
    """It declares an ability that it does not have."""

    can = frozenset({*Wrong.can, base.Can.DELETE})


class PromisingBatches(base.Driver):
    """It declares that it stores a batch at once, and stores one record after another."""

    can = frozenset({base.Can.WRITE, base.Can.WRITE_BATCH})
    store: list[dict[str, Any]]

    def notify(self, info: dict[str, Any], **kwargs: Any) -> None:
        self.store.append(info)


class AnsweringNothing(Wrong):
    """It returns an empty list instead of raising Unsupported."""

    can = Wrong.can - {base.Can.LIST_ERRORS}


class OldestFirst(Wrong):
    """It gives the oldest traces first, and so a limit gives the wrong ones."""

    def candidates(self, wanted: base.Wanted) -> list[dict[str, Any]]:
        return network.listed(self.store, {"base_id", "timestamp"})

    def is_exact(self, wanted: base.Wanted) -> bool:
        return False


class RaisingItsClients(Wrong):
    """It raises its client's errors."""

    def write(self, records: Any) -> None:
        raise ConnectionRefusedError("refused")

    def read(self, base_id: str) -> list[dict[str, Any]]:
        raise StoreError("cannot read")


@pytest.mark.parametrize(
    ("wrong", "caught_by"),
    [
        (Promising, "test_what_is_declared_works"),
        (PromisingBatches, "test_what_is_declared_works"),
        (AnsweringNothing, "test_what_is_not_declared_is_refused"),
        (Draining, "test_reading_again_changes_nothing"),
        (CuttingText, "test_hostile_values_come_back_as_they_were"),
        (IgnoringCase, "test_ids_that_look_alike_are_different_traces"),
        (Changing, "test_the_records_stay_the_callers"),
        (Wrong, "test_a_list_has_the_fields_asked_for"),
        (OldestFirst, "test_the_newest_come_first"),
        (Wrong, "test_every_trace_is_listed_once_with_its_first_time"),
    ],
)
def test_the_kit_finds_what_is_wrong(wrong: type[Wrong], caught_by: str) -> None:
    driver = wrong("wrong://")
    driver.store = []
    with pytest.raises(AssertionError):
        getattr(DriverKit(), caught_by)(driver)


@pytest.mark.parametrize(
    "test", ["test_a_server_that_is_not_there_is_one_line", "test_a_wrong_password_is_one_line_that_does_not_tell_it"]
)
def test_the_kit_wants_the_errors_of_drivers(test: str) -> None:
    with pytest.raises(AssertionError, match="refused"):
        getattr(ServerKit(), test)(RaisingItsClients("wrong://"))


def test_the_kit_wants_refused_records_to_be_told() -> None:
    class Kit(DriverKit):
        refuses = True

    class Request:
        @staticmethod
        def getfixturevalue(name: str) -> Refuse:
            return lambda: two_spans()

    driver = Wrong("wrong://")  # it takes all records
    driver.store = []
    with pytest.raises(AssertionError):
        Kit().test_a_refused_record_is_named_and_not_shown(driver, Request())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "test", ["test_what_is_written_is_read", "test_hostile_values_come_back_as_they_were", "test_the_report_is_a_tree"]
)
def test_the_kit_passes_what_is_right(test: str) -> None:
    driver = Wrong("wrong://")
    driver.store = []
    getattr(DriverKit(), test)(driver)
