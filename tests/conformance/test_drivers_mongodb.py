# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on MongoDB's protocol: FerretDB with today's client, mongo-java-server with an old one."""

import functools
import os
import subprocess
from pathlib import Path

import pytest

from osprofiler.drivers.mongodb import MongoDB
from osprofiler.testing.drivers import Connect, DriverKit
from tests import servers

REPOSITORY = Path(__file__).resolve().parents[2]


class TestFerretDB(DriverKit):
    @pytest.fixture
    def connect(self, ferretdb: servers.FerretDB) -> Connect:
        return functools.partial(MongoDB, ferretdb.url, db_name=ferretdb.fresh_name())


def test_the_kit_with_an_old_client(mongo_java: servers.MongoJava, stock_python: Path) -> None:
    """In the environment that has pymongo 4.6; today's refuses this server."""
    command = [str(stock_python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/conformance/old_mongo_kit.py"]
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
