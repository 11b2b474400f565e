# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on mongo-java-server; run by ``test_drivers_mongodb`` with an interpreter that has an old pymongo."""

import functools
import os
import uuid

import pymongo
import pytest

from osprofiler.drivers.mongodb import MongoDB
from osprofiler.testing.drivers import Connect, DriverKit


class TestMongoJavaServer(DriverKit):
    @pytest.fixture
    def connect(self) -> Connect:
        return functools.partial(MongoDB, os.environ["MONGO_URL"], db_name=f"osp-{uuid.uuid4().hex}")


def test_the_client_is_an_old_one() -> None:
    assert pymongo.version_tuple < (4, 7)
