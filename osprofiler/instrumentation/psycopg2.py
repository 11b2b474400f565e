# SPDX-License-Identifier: Apache-2.0
"""Tracing of psycopg 2: each statement, commit and rollback is a span.

Its classes are made in C, so a connection gets a class of ours when it is made. Older connections are not traced.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

from osprofiler._runtime import arguments, guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.instrumentation import dbapi
from osprofiler.instrumentation.calls import blocking

_FACTORY = 1  # the place of connection_factory among the arguments of connect(), and of cursor_factory among cursor()'s


def _in_transaction(connection: Any) -> bool:
    return not connection.closed and bool(connection.info.transaction_status)  # 0: idle


def _is_on() -> bool:
    return _switch.is_on()


_DRIVER = dbapi.Driver(functools.partial(dbapi.of_libpq, "psycopg2"), _in_transaction, _is_on)


def _connect(original: Method) -> Method:
    def connect(*args: Any, **kwargs: Any) -> Any:
        with guard.Harmless("psycopg2.connect"):
            name = "connection_factory"
            base = arguments.given(args, kwargs, _FACTORY, name) or sys.modules["psycopg2.extensions"].connection
            args, kwargs = arguments.replaced(args, kwargs, _FACTORY, name, dbapi.with_methods(base, *_CONNECTION))
        return original(*args, **kwargs)

    return connect


def _cursor(original: Method) -> Method:
    def cursor(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if _wrapping.on:
            with guard.Harmless("psycopg2.cursor"):
                name = "cursor_factory"
                base = arguments.given(args, kwargs, _FACTORY, name) or self.cursor_factory
                base = base or sys.modules["psycopg2.extensions"].cursor
                args, kwargs = arguments.replaced(args, kwargs, _FACTORY, name, dbapi.with_methods(base, *_CURSOR))
        return original(self, *args, **kwargs)

    return cursor


_CONNECTION = (
    ("cursor", _cursor),
    ("commit", blocking(dbapi.ending(_DRIVER, "COMMIT"))),
    ("rollback", blocking(dbapi.ending(_DRIVER, "ROLLBACK"))),
)
_CURSOR = tuple((name, blocking(dbapi.executing(_DRIVER))) for name in ("execute", "executemany"))


_wrapping = Wrapping(Target("psycopg2", "", "connect", _connect))

_switch = dbapi.Switch(_wrapping)

instrument = _switch.install
uninstrument = _wrapping.uninstall
