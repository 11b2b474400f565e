# SPDX-License-Identifier: Apache-2.0
"""Tracing of psycopg 3: each statement, commit and rollback is a span, also of asyncio's and of older connections.

``Cursor.stream`` and ``copy`` are not traced: they last as long as the service reads or writes.
"""

from __future__ import annotations

import functools
from typing import Any

from osprofiler._runtime.wrapping import Target, Wrapping
from osprofiler.instrumentation import dbapi


def _in_transaction(connection: Any) -> bool:
    return not connection.closed and connection.info.transaction_status.name != "IDLE"


_DRIVER = dbapi.Driver(functools.partial(dbapi.of_libpq, "psycopg"), _in_transaction)
_wrapping = Wrapping(
    *(
        Target("psycopg", cursor, method, dbapi.executes(_DRIVER))
        for cursor in ("Cursor", "ServerCursor")
        for method in ("execute", "executemany")
    ),
    *(
        Target("psycopg", cursor, method, dbapi.executes_async(_DRIVER))
        for cursor in ("AsyncCursor", "AsyncServerCursor")
        for method in ("execute", "executemany")
    ),
    *(Target("psycopg", "Connection", word.lower(), dbapi.ends(_DRIVER, word)) for word in ("COMMIT", "ROLLBACK")),
    *(
        Target("psycopg", "AsyncConnection", word.lower(), dbapi.ends_async(_DRIVER, word))
        for word in ("COMMIT", "ROLLBACK")
    ),
)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
