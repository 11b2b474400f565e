# SPDX-License-Identifier: Apache-2.0
"""The layer of SQLAlchemy under oslo.db's enginefacade, as services use it: readers, writers, and retries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from oslo_db import api, exception
from oslo_db.sqlalchemy import enginefacade
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from osprofiler import config, profiler
from osprofiler.instrumentation import registry
from osprofiler.testing.process import clean_process, no_swallowed_faults
from osprofiler.testing.recorder import KEY, Recording, recording
from tests import servers

#: The operation of each span, in the order of their ends, and whether it is an error.
Told = list[tuple[str, bool]]

_VERSION = tuple(int(part) for part in sqlalchemy.__version__.split(".")[:3] if part.isdigit())


class Model(DeclarativeBase):
    pass


class Volume(Model):
    __tablename__ = "volumes"
    id: Mapped[int] = mapped_column(primary_key=True)


@enginefacade.transaction_context_provider
class Context:
    pass


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def facade(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A facade with a table, and an engine that was made before the layer was turned on."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'service.db'}"
    else:
        server: servers.Postgres | servers.MariaDB = request.getfixturevalue(request.param)
        url = server.fresh_url()
    made = enginefacade.transaction_context()
    made.configure(connection=url)
    Model.metadata.create_all(made.writer.get_engine())
    yield made
    made.dispose_pool()


@pytest.fixture
def spans(facade: Any) -> Iterator[Recording]:
    with clean_process():
        config.publish(enabled=True, hmac_keys=(KEY,))
        registry.instrument("sqlalchemy")
        try:
            with no_swallowed_faults(set()), recording() as recorded:
                yield recorded
                assert recorded.unfinished() == []
        finally:
            registry.uninstrument()


@pytest.fixture
def begun(facade: Any) -> Told:
    """What oslo.db sends before the first statement of a transaction."""
    sqlite = facade.writer.get_engine().dialect.name == "sqlite"
    begin = [("db BEGIN", False)] if sqlite else []
    connect = [("db CONNECT", False)] if sqlite else []  # no connection is kept
    # Before SQLAlchemy 2.0.5 it pings with a statement.
    ping = [*begin, ("db SELECT", False), ("db ROLLBACK", False)] if _VERSION < (2, 0, 5) else []
    return [*connect, *ping, *begin]


def told(spans: Recording) -> Told:
    return [(span.operation, span.error is not None) for span in spans]


def test_a_writer_and_a_reader(facade: Any, begun: Told, spans: Recording) -> None:
    @facade.writer
    def create(context: Any) -> None:
        context.session.add(Volume(id=1))

    @facade.reader
    def get_all(context: Any) -> int:
        return len(context.session.scalars(sqlalchemy.select(Volume)).all())

    with profiler.Trace("request"):
        create(Context())
        assert get_all(Context()) == 1
    assert told(spans)[:-1] == [
        *begun,
        ("db INSERT", False),
        ("db COMMIT", False),
        *begun,
        ("db SELECT", False),
        ("db ROLLBACK", False),
    ]
    assert {span.parent_id for span in spans[:-1]} == {spans[-1].point_id}


def test_a_connection_of_a_facade(facade: Any, begun: Told, spans: Recording) -> None:
    with facade.reader.connection.using(Context()) as connection:
        assert connection.execute(sqlalchemy.select(Volume)).all() == []
    assert told(spans) == [*begun, ("db SELECT", False), ("db ROLLBACK", False)]


def test_each_attempt_is_seen_and_the_service_gets_oslo_db_s_error(facade: Any, begun: Told, spans: Recording) -> None:
    free = [1, 1, 2]
    asked: list[int] = []

    @api.wrap_db_retry(
        max_retries=1,
        retry_interval=0,
        inc_retry_interval=False,
        exception_checker=lambda fault: isinstance(fault, exception.DBDuplicateEntry),
    )
    @facade.writer
    def create(context: Any) -> None:
        asked.append(free.pop(0))
        context.session.add(Volume(id=asked[-1]))

    create(Context())
    spans.clear()
    create(Context())
    assert asked == [1, 1, 2]
    failed = [*begun, ("db INSERT", True), ("db ROLLBACK", False)]
    assert told(spans) == [*failed, *begun, ("db INSERT", False), ("db COMMIT", False)]
    (error,) = [span.error for span in spans if span.error]
    assert "IntegrityError" in error or "UniqueViolation" in error, "the driver's own"


def test_an_error_is_oslo_db_s_for_the_service(facade: Any, begun: Told, spans: Recording) -> None:
    @profiler.trace("create")
    @facade.writer
    def create(context: Any) -> None:
        context.session.execute(sqlalchemy.insert(Volume), [{"id": 1}, {"id": 1}])

    with pytest.raises(exception.DBDuplicateEntry):
        create(Context())
    assert spans[-1].error == "oslo_db.exception.DBDuplicateEntry"
    assert told(spans)[:-1] == [*begun, ("db INSERT", True), ("db ROLLBACK", False)]
