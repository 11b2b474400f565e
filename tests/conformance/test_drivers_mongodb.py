# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on MongoDB's protocol: FerretDB, and mongo-java-server."""

import functools

import pytest

from osprofiler.drivers.mongodb import MongoDB
from osprofiler.testing.drivers import Connect, DriverKit
from tests import servers


class TestFerretDB(DriverKit):
    @pytest.fixture
    def connect(self, ferretdb: servers.FerretDB) -> Connect:
        return functools.partial(MongoDB, ferretdb.url, db_name=ferretdb.fresh_name())


class TestMongoJavaServer(DriverKit):
    @pytest.fixture
    def connect(self, mongo_java: servers.MongoJava) -> Connect:
        return functools.partial(MongoDB, mongo_java.url, db_name=mongo_java.fresh_name())
