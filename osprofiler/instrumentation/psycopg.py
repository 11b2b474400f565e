# SPDX-License-Identifier: Apache-2.0
"""Tracing of psycopg 3: each statement, commit and rollback is a span, also of asyncio's and of older connections.

``Cursor.stream`` and ``copy`` are not traced: they last as long as the service reads or writes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.instrumentation import dbapi
from osprofiler.instrumentation.calls import Calls, awaited, blocking


def _in_transaction(connection: Any) -> bool:
    return not connection.closed and connection.info.transaction_status.name != "IDLE"


def _targets(kind: str, of: Callable[[Calls], Callable[[Method], Method]]) -> Iterable[Target]:
    """The methods to wrap in the classes whose names begin with *kind*; *of* makes their wrappers."""
    for cursor in ("Cursor", "ServerCursor"):
        for method in ("execute", "executemany"):
            yield Target("psycopg", f"{kind}{cursor}", method, of(dbapi.executing(_DRIVER)))
    for word in ("COMMIT", "ROLLBACK"):
        yield Target("psycopg", f"{kind}Connection", word.lower(), of(dbapi.ending(_DRIVER, word)))


_DRIVER = dbapi.Driver(functools.partial(dbapi.of_libpq, "psycopg"), _in_transaction)
_wrapping = Wrapping(*_targets("", blocking), *_targets("Async", awaited))

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
