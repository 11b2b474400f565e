# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on MongoDB's protocol: FerretDB with today's client, mongo-java-server with an old one."""

import functools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from osprofiler.drivers.base import Driver, StoreError
from osprofiler.drivers.mongodb import MongoDB
from osprofiler.testing.drivers import WRONG_PASSWORD, Connect, OwnServer, Plant, Refuse, ServerKit, guarantee
from osprofiler.testing.records import record, two_spans
from tests import servers
from tests.conformance.old_mongo_kit import plant_documents
from tests.conftest import own

REPOSITORY = Path(__file__).resolve().parents[2]


class TestFerretDB(ServerKit):
    title: ClassVar[str] = "MongoDB (FerretDB)"
    driver_class: ClassVar[type[Driver]] = MongoDB
    refuses: ClassVar[bool] = True
    takes_garbage: ClassVar[bool] = True

    @pytest.fixture
    def plant(self, driver: MongoDB) -> Plant:
        return functools.partial(plant_documents, driver)

    @pytest.fixture
    def refuse(self, driver: MongoDB) -> Refuse:
        """The collection refuses a second record with the same name in a trace point."""

        def refused() -> list[dict[str, Any]]:
            driver.db.profiler.create_index([("trace_id", 1), ("name", 1)], unique=True)
            return [*two_spans(), record(1, "start", 7)]

        return refused

    @pytest.fixture
    def connect(self, ferretdb: servers.FerretDB) -> Connect:
        return functools.partial(MongoDB, ferretdb.url, db_name=ferretdb.fresh_name())

    @guarantee("expiry")
    def test_old_traces_are_forgotten_or_that_is_refused(self, ferretdb: servers.FerretDB) -> None:  # type: ignore[override]
        """In MongoDB traces expire: see the other stand-in. This one refuses ``ttl``."""
        with pytest.raises(StoreError, match="expireAfterSeconds"):
            MongoDB(f"{ferretdb.url}?ttl=2", db_name=ferretdb.fresh_name()).write(two_spans())

    @pytest.fixture
    def own_server(self) -> Iterator[OwnServer]:
        with own(servers.FerretDB) as server:
            url = f"{server.url}?serverSelectionTimeoutMS=500"
            yield OwnServer(functools.partial(MongoDB, url), server.stop, server.start)

    @pytest.fixture
    def denied(self, ferretdb: servers.FerretDB) -> Driver:
        return MongoDB(ferretdb.url.replace(":of-mongo@", f":{WRONG_PASSWORD}@"))

    @pytest.fixture
    def absent(self) -> Driver:
        place = f"mongodb://osp:{WRONG_PASSWORD}@127.0.0.1:{servers.free_port()}/"
        return MongoDB(f"{place}?serverSelectionTimeoutMS=200")


def test_the_kit_with_an_old_client(mongo_java: servers.MongoJava, stock_python: Path) -> None:
    """In the environment with pymongo 4.6: a new pymongo refuses this server.

    It has what the kit needs, not all that this suite's conftest does.
    """
    command = [str(stock_python), "-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider"]
    command.append("tests/conformance/old_mongo_kit.py")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
        cwd=REPOSITORY,
        env={**clean, "PYTHONPATH": str(REPOSITORY), "MONGO_URL": mongo_java.url},
    )
    assert done.returncode == 0, done.stdout[-5000:]
