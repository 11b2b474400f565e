# SPDX-License-Identifier: Apache-2.0
"""Tracing of sqlite3: each statement, commit and rollback is a span.

Its classes are made in C, so a connection gets a class of ours when it is made. Older connections are not traced.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from osprofiler._runtime import arguments, guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.handlers import sql
from osprofiler.instrumentation import dbapi
from osprofiler.instrumentation.calls import blocking

_FACTORY = 5, "factory"  # its place among the arguments of connect()

#: An attribute that we add to connections: the file.
_FILE = "_osprofiler_file"


def _database(connection: Any) -> sql.Database:
    return sql.Database("sqlite3", getattr(connection, _FILE, None), None, None, None)


def _in_transaction(connection: Any) -> bool:
    return bool(connection.in_transaction)


def _is_on() -> bool:
    return _switch.is_on()


_DRIVER = dbapi.Driver(_database, _in_transaction, _is_on)


def _connect(original: Method) -> Method:
    def connect(*args: Any, **kwargs: Any) -> Any:
        with guard.Harmless("sqlite3.connect"):
            base = arguments.given(args, kwargs, *_FACTORY) or _library().Connection
            args, kwargs = arguments.replaced(args, kwargs, *_FACTORY, dbapi.with_methods(base, *_CONNECTION))
        connection = original(*args, **kwargs)
        with guard.Harmless("sqlite3.connect"):
            file = args[0] if args else kwargs["database"]
            setattr(connection, _FILE, file.decode("utf-8", "replace") if isinstance(file, bytes) else str(file))
        return connection

    return connect


def _cursor(original: Method) -> Method:
    """Make cursors of our class."""

    def cursor(self: Any, /, factory: Any = None) -> Any:
        if not _wrapping.on:
            return original(self) if factory is None else original(self, factory)
        return original(self, dbapi.with_methods(_library().Cursor if factory is None else factory, *_CURSOR))

    return cursor


def _shortcut(name: str) -> Callable[[Method], Method]:
    """Do what a connection's own ``execute`` and the like do, with a cursor of our class."""

    def wrap(original: Method) -> Method:
        def execute(self: Any, /, *args: Any) -> Any:
            return getattr(self.cursor(), name)(*args) if _wrapping.on else original(self, *args)

        return execute

    return wrap


def _library() -> Any:
    return sys.modules["sqlite3"]


_EXECUTING = ("execute", "executemany", "executescript")
_CONNECTION = (
    ("cursor", _cursor),
    *((name, _shortcut(name)) for name in _EXECUTING),
    ("commit", blocking(dbapi.ending(_DRIVER, "COMMIT"))),
    ("rollback", blocking(dbapi.ending(_DRIVER, "ROLLBACK"))),
    # The end of a ``with`` block calls no method for it. The first argument after the connection is its error.
    ("__exit__", blocking(dbapi.ending(_DRIVER, lambda args: "COMMIT" if args[1] is None else "ROLLBACK"))),
)
_CURSOR = tuple((name, blocking(dbapi.executing(_DRIVER))) for name in _EXECUTING)

_wrapping = Wrapping(
    Target("sqlite3", "", "connect", _connect),
    Target("sqlite3.dbapi2", "", "connect", _connect),
)

_switch = dbapi.Switch(_wrapping)

instrument = _switch.install
uninstrument = _wrapping.uninstall
