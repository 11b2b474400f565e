# SPDX-License-Identifier: Apache-2.0
"""Fixtures that every test may use: real servers, and a stock osprofiler to talk to.

A server starts when the first test asks for it and serves the whole run; a test that stops, kills or fills one takes a
server of its own (``with Jaeger() as own:``). What is missing on the machine fails the test in CI and skips it
elsewhere, saying what to install.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest

from tests import stock
from tests.servers import (
    SERVERS,
    Elasticsearch,
    FerretDB,
    Jaeger,
    MariaDB,
    Missing,
    MongoJava,
    OpenSearch,
    Postgres,
    Rabbit,
    Redis,
    RedisSentinel,
    Server,
)

S = TypeVar("S", bound=Server)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a server, so that ``-m "not server"`` leaves them out."""
    for item in items:
        if not SERVERS.keys().isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("server")


def missing(reason: str) -> NoReturn:
    """End the test for want of something that the machine lacks: a failure in CI, else a skip."""
    if os.environ.get("CI", "").lower() in {"1", "true"} or os.environ.get("OSPROFILER_REQUIRE_SERVERS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _served(server: type[S], running: ExitStack) -> S:
    try:
        made = server()
    except Missing as lacking:
        missing(str(lacking))
    running.enter_context(made)
    return made


@pytest.fixture(scope="session")
def jaeger() -> Iterator[Jaeger]:
    """A Jaeger that all tests share: tell traces apart by their ids, services by names of your own."""
    with ExitStack() as running:
        yield _served(Jaeger, running)


@pytest.fixture(scope="session")
def rabbit() -> Iterator[Rabbit]:
    """A RabbitMQ that all tests share: use topics and exchanges of your own."""
    with ExitStack() as running:
        yield _served(Rabbit, running)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A MariaDB that all tests share: take ``fresh_url()``."""
    with ExitStack() as running:
        yield _served(MariaDB, running)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that all tests share: take ``fresh_url()``."""
    with ExitStack() as running:
        yield _served(Postgres, running)


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    """A Redis that all tests share: take ``fresh_url()``."""
    with ExitStack() as running:
        yield _served(Redis, running)


@pytest.fixture(scope="session")
def redis_sentinel() -> Iterator[RedisSentinel]:
    """A Sentinel with a master and a replica; take one of your own to kill the master."""
    with ExitStack() as running:
        yield _served(RedisSentinel, running)


@pytest.fixture(scope="session")
def ferretdb() -> Iterator[FerretDB]:
    """A FerretDB that all tests share: take ``fresh_name()`` for a database."""
    with ExitStack() as running:
        yield _served(FerretDB, running)


@pytest.fixture(scope="session")
def mongo_java() -> Iterator[MongoJava]:
    """A mongo-java-server that all tests share: take ``fresh_name()`` for a database."""
    with ExitStack() as running:
        yield _served(MongoJava, running)


# The search engines are large: each runs only as long as one module of tests.


@pytest.fixture(scope="module")
def elasticsearch() -> Iterator[Elasticsearch]:
    """An Elasticsearch that a module's tests share: take ``fresh_name()`` for an index."""
    with ExitStack() as running:
        yield _served(Elasticsearch, running)


@pytest.fixture(scope="module")
def opensearch() -> Iterator[OpenSearch]:
    """An OpenSearch that a module's tests share: take ``fresh_name()`` for an index."""
    with ExitStack() as running:
        yield _served(OpenSearch, running)


@pytest.fixture(scope="session")
def stock_python() -> Path:
    """The Python of a virtual environment with stock osprofiler 4.4.0 and its drivers' libraries, made once."""
    try:
        return stock.python()
    except stock.NotMade as why:
        missing(str(why))
