# SPDX-License-Identifier: Apache-2.0
"""The table of drivers and guarantees in the documentation, made by a run of the kit.

``python -m tests.conformance.driver_table doc/source/stores.rst`` runs the kit on every driver's real store and writes
the table. If a test fails, it writes nothing.
"""

from __future__ import annotations

import sys

import pytest

from osprofiler.testing import tables
from osprofiler.testing.drivers import GUARANTEES, DriverKit
from tests.conformance.old_mongo_kit import TestMongoJavaServer
from tests.conformance.test_drivers import TestMariaDB, TestPostgreSQL, TestSQLite
from tests.conformance.test_drivers_elasticsearch import TestElasticsearch, TestElasticsearch8, TestOpenSearchOverTLS
from tests.conformance.test_drivers_jaeger import TestJaeger, TestOTLP
from tests.conformance.test_drivers_loginsight import TestLogInsight
from tests.conformance.test_drivers_messaging import TestMessaging
from tests.conformance.test_drivers_mongodb import TestFerretDB
from tests.conformance.test_drivers_redis import TestRedis, TestRedisCluster, TestRedisOverTLS, TestRedisSentinel

#: The name in the marks on the page.
NAME = "tests.conformance.driver_table"

KITS: tuple[type[DriverKit], ...] = (
    TestJaeger,
    TestOTLP,
    TestSQLite,
    TestPostgreSQL,
    TestMariaDB,
    TestRedis,
    TestRedisOverTLS,
    TestRedisCluster,
    TestRedisSentinel,
    TestFerretDB,
    TestMongoJavaServer,
    TestElasticsearch,
    TestElasticsearch8,
    TestOpenSearchOverTLS,
    TestLogInsight,
    TestMessaging,
)


def table() -> str:
    """The table as reStructuredText, if all tests of the kit pass."""
    rows = ([kit.title, *(kit.cell(guarantee) for guarantee in GUARANTEES)] for kit in KITS)
    return tables.list_table([["store", *GUARANTEES], *rows])


def main(path: str) -> int:
    """Run the kit, and write the table into the page at *path*."""
    # This includes mongo-java-server: a test of MongoDB runs the kit on it, in another environment.
    modules = sorted({kit.__module__ for kit in KITS} - {TestMongoJavaServer.__module__})
    failed = pytest.main(["-q", *(f"{module.replace('.', '/')}.py" for module in modules)])
    if not failed:
        tables.put_between_marks(path, NAME, table())
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
