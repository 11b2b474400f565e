# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on mongo-java-server. ``test_drivers_mongodb`` runs it in an environment with an old pymongo."""

import datetime
import functools
import os
import uuid
from typing import ClassVar

import pymongo
import pytest

from osprofiler.drivers.base import Driver
from osprofiler.drivers.mongodb import MongoDB
from osprofiler.testing.drivers import Connect, DriverKit, Plant, guarantee
from osprofiler.testing.records import two_spans, wrong_records


def plant_documents(driver: MongoDB) -> int:
    """Put documents that are not records into the collection. Returns their number."""
    documents = [*wrong_records(), {"x": 1}, {"base_id": 5}]
    driver.db.profiler.insert_many(documents)
    driver.db.profiler_error.insert_one({"base_id": 6})
    return len(documents) + 1


class TestMongoJavaServer(DriverKit):
    title: ClassVar[str] = "MongoDB (mongo-java-server)"
    driver_class: ClassVar[type[Driver]] = MongoDB
    takes_garbage: ClassVar[bool] = True

    @pytest.fixture
    def plant(self, driver: MongoDB) -> Plant:
        return functools.partial(plant_documents, driver)

    @pytest.fixture
    def connect(self) -> Connect:
        return functools.partial(MongoDB, os.environ["MONGO_URL"], db_name=f"osp-{uuid.uuid4().hex}")

    @classmethod
    def cell(cls, name: str) -> str:
        return "by MongoDB's index" if name == "expiry" else super().cell(name)

    @guarantee("expiry")
    def test_old_traces_are_forgotten_or_that_is_refused(self) -> None:  # type: ignore[override]
        """Check the server's TTL index. MongoDB removes expired documents once a minute; this server never does."""
        driver = MongoDB(f"{os.environ['MONGO_URL']}/?ttl=2", db_name=f"osp-{uuid.uuid4().hex}")
        driver.write(two_spans())
        expiries = [
            (index["key"], index["expireAfterSeconds"])
            for index in driver.db.profiler.index_information().values()
            if "expireAfterSeconds" in index
        ]
        assert expiries == [([("stored_at", 1)], 2)]
        assert all(isinstance(each["stored_at"], datetime.datetime) for each in driver.db.profiler.find())


def test_the_client_is_an_old_one() -> None:
    assert pymongo.version_tuple < (4, 7)
