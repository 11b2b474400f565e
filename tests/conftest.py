# SPDX-License-Identifier: Apache-2.0
"""Fixtures that every test may use: real servers, and a stock osprofiler to talk to.

A server starts when the first test asks for it and serves the whole run; a test that stops, kills or fills one takes a
server of its own (``with Jaeger() as own:``). What is missing on the machine fails the test in CI and skips it
elsewhere, saying what to install.
"""

import faulthandler
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn, TypeVar

import hypothesis
import pytest

from tests import environments, stock
from tests.servers import (
    NX27017,
    SERVERS,
    Elasticsearch,
    Elasticsearch8,
    FerretDB,
    Jaeger,
    MariaDB,
    Memcached,
    Missing,
    MongoJava,
    OpenSearch,
    Postgres,
    Rabbit,
    Redis,
    RedisCluster,
    RedisSentinel,
    Server,
)

pytest_plugins = ["osprofiler.testing.fixtures", "pytester"]

S = TypeVar("S", bound=Server)

# A slow machine is no fault of the code, nor are draws that came out large. All else is as hypothesis has it.
hypothesis.settings.register_profile(
    "steady",
    parent=hypothesis.settings(),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
)
hypothesis.settings.load_profile("steady")


#: Seconds that a slow test may take, on a busy machine. For others it is ``faulthandler_timeout``.
SLOW_TEST_S = 3600

_stderr = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the last good policies of tests out of the user's own folder, and let programs be interrupted."""
    # The job of a shell in the background ignores interrupts, and so would all programs that tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[_stderr] = os.dup(2)  # tests have another one
    folder = tempfile.TemporaryDirectory(prefix="osprofiler-state-")
    config.add_cleanup(folder.cleanup)
    os.environ["XDG_STATE_HOME"] = folder.name


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need a server, so that ``-m "not server"`` leaves them out."""
    for item in items:
        if not SERVERS.keys().isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("server")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let a slow test run longer before the run ends with what each thread is at."""
    if item.get_closest_marker("slow"):
        faulthandler.dump_traceback_later(SLOW_TEST_S, exit=True, file=item.config.stash[_stderr])


def missing(reason: str) -> NoReturn:
    """End the test for want of something that the machine lacks: a failure in CI, else a skip."""
    if os.environ.get("CI", "").lower() in {"1", "true"} or os.environ.get("OSPROFILER_REQUIRE_SERVERS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def made(make: Callable[[], Path]) -> Path:
    """What *make* gives, an environment of :mod:`tests.environments`, however long the network takes for it."""
    faulthandler.cancel_dump_traceback_later()
    try:
        return make()
    except environments.NotMade as why:
        missing(str(why))


def _served(server: type[S], running: ExitStack) -> S:
    try:
        made = server()
    except Missing as lacking:
        missing(str(lacking))
    running.enter_context(made)
    return made


@contextmanager
def own(server: type[S]) -> Iterator[S]:
    """A server of the test's own, that it may stop."""
    with ExitStack() as running:
        yield _served(server, running)


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
def memcached() -> Iterator[Memcached]:
    """A memcached that all tests share: use keys of your own."""
    with ExitStack() as running:
        yield _served(Memcached, running)


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    """A cluster of three Redis that all tests share: tell traces apart by their ids, or ``flush()`` first."""
    with ExitStack() as running:
        yield _served(RedisCluster, running)


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


@pytest.fixture(scope="session")
def nx27017() -> Iterator[NX27017]:
    """An NX-27017 that all tests share: take ``fresh_name()`` for a database."""
    with ExitStack() as running:
        yield _served(NX27017, running)


# The search engines are large: each runs only as long as one module of tests.


@pytest.fixture(scope="module")
def elasticsearch() -> Iterator[Elasticsearch]:
    """An Elasticsearch that a module's tests share: take ``fresh_name()`` for an index."""
    with ExitStack() as running:
        yield _served(Elasticsearch, running)


@pytest.fixture(scope="module")
def elasticsearch8() -> Iterator[Elasticsearch8]:
    """An Elasticsearch 8 that a module's tests share: take ``fresh_name()`` for an index."""
    with ExitStack() as running:
        yield _served(Elasticsearch8, running)


@pytest.fixture(scope="module")
def opensearch() -> Iterator[OpenSearch]:
    """An OpenSearch that a module's tests share: take ``fresh_name()`` for an index."""
    with ExitStack() as running:
        yield _served(OpenSearch, running)


@pytest.fixture(scope="session")
def stock_python() -> Path:
    """The Python of a virtual environment with stock osprofiler 4.4.0 and its drivers' libraries, made once."""
    return made(stock.python)
