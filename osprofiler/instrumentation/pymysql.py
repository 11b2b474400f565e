# SPDX-License-Identifier: Apache-2.0
"""Tracing of PyMySQL: each statement, commit and rollback is a span, also of older connections."""

from __future__ import annotations

from typing import Any

from osprofiler._runtime.wrapping import Target, Wrapping
from osprofiler.handlers import sql
from osprofiler.instrumentation import dbapi
from osprofiler.instrumentation.calls import blocking

_IN_TRANSACTION = 1  # MySQL's SERVER_STATUS_IN_TRANS, a flag of each answer


def _database(connection: Any) -> sql.Database:
    name = connection.db
    name = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    return sql.Database("pymysql", name, connection.user, connection.host, connection.port)


def _in_transaction(connection: Any) -> bool:
    return bool(connection.open and connection.server_status & _IN_TRANSACTION)


_DRIVER = dbapi.Driver(_database, _in_transaction)
_CURSOR = "pymysql.cursors", "Cursor"
_CONNECTION = "pymysql.connections", "Connection"
_wrapping = Wrapping(
    Target(*_CURSOR, "execute", blocking(dbapi.executing(_DRIVER))),
    Target(*_CURSOR, "executemany", blocking(dbapi.executing(_DRIVER))),
    Target(*_CONNECTION, "commit", blocking(dbapi.ending(_DRIVER, "COMMIT"))),
    Target(*_CONNECTION, "rollback", blocking(dbapi.ending(_DRIVER, "ROLLBACK"))),
)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
