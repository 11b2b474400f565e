# SPDX-License-Identifier: Apache-2.0
"""What the layers of drivers for SQL have in common: Python's DB-API 2 has one shape of cursors and connections.

A statement that SQLAlchemy sends by a driver is inside the point that SQLAlchemy's layer has opened, and has no other
one. So is what a driver sends for one call by another call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from osprofiler._runtime.wrapping import Method, When, Wrapping
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.context.values import text
from osprofiler.handlers import sql
from osprofiler.instrumentation.calls import Calls


class Driver(NamedTuple):
    """One driver: how it describes its connections."""

    database: Callable[[Any], sql.Database]  # of a connection; it may be closed
    in_transaction: Callable[[Any], bool]  # whether a commit or rollback of the connection sends anything
    is_on: Callable[[], bool] = lambda: True  # for classes of ours, which stay when the layer is turned off


class Switch:
    """Turns a layer on and off whose connections get a class of ours, which stays: it asks whether it traces now."""

    def __init__(self, wrapping: Wrapping) -> None:
        self._wrapping = wrapping
        self._when: When | None = None

    def install(self, when: When | None = None) -> None:
        """Give each new connection a class of ours. Calls for which *when* is false are not traced."""
        self._when = when
        self._wrapping.install()

    def is_on(self) -> bool:
        """Whether a call that is made now is traced."""
        return self._wrapping.on and (self._when is None or self._when())


def executing(driver: Driver) -> Calls:
    """The calls of a cursor's methods that send a statement."""
    return Calls("dbapi", functools.partial(_open_statement, driver), sql.Running, functools.partial(_here, driver))


def ending(driver: Driver, word: str | Callable[[tuple[Any, ...]], str]) -> Calls:
    """The calls of a connection's methods that end a transaction, if there is one to end.

    *word*: the statement, or a function that returns it for the arguments of a call.
    """
    return Calls("dbapi", functools.partial(_open_end, driver, word), sql.Running, functools.partial(_here, driver))


def _here(driver: Driver) -> Point | None:
    """The current point, if a statement that is sent now has a span."""
    point = current.sampled()
    return None if point is None or isinstance(point, sql.StatementPoint) or not driver.is_on() else point


def _open_statement(driver: Driver, above: Point, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Point:
    """Open the point of a statement: the first argument of the cursor's method, with its parameters, the second one."""
    cursor, statement, *parameters = (*args, *kwargs.values())
    if isinstance(statement, (bytes, bytearray)):
        shown = statement.decode("utf-8", "replace")
    elif hasattr(statement, "as_string"):  # psycopg's statements of parts
        shown = statement.as_string(cursor)
    else:
        shown = statement if isinstance(statement, str) else text(statement, sql.STATEMENT_CHARS)
    return _open(above, driver, cursor.connection, shown, parameters[0] if parameters else None)


def _open_end(
    driver: Driver,
    word: str | Callable[[tuple[Any, ...]], str],
    above: Point,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Point | None:
    if not driver.in_transaction(args[0]):
        return None
    return _open(above, driver, args[0], word if isinstance(word, str) else word(args), None)


def _open(above: Point, driver: Driver, connection: Any, statement: str, parameters: Any) -> Point:
    return sql.open_point(above, sql.POINT, sql.Statement(driver.database(connection), statement, parameters))


def of_libpq(library: str, connection: Any) -> sql.Database:
    """The database of a *connection* of psycopg or psycopg2, by the *library*'s name."""
    if connection.closed:  # then its info raises
        return sql.Database(library, None, None, None, None)
    info = connection.info
    return sql.Database(library, info.dbname, info.user, info.host, info.port)


# Drivers with classes made in C: methods of these cannot be replaced


def with_methods(base: Any, *methods: tuple[str, Callable[[Method], Method]]) -> Any:
    """A subclass of *base* with the same name, and with these methods wrapped.

    *base* itself if it is a function, which may make objects of any class.
    """
    return _subclass(base, methods) if isinstance(base, type) else base


@functools.lru_cache(maxsize=64)
def _subclass(base: type, methods: tuple[tuple[str, Callable[[Method], Method]], ...]) -> type:
    wrapped = {name: functools.wraps(getattr(base, name))(wrap(getattr(base, name))) for name, wrap in methods}
    return type(base.__name__, (base,), {"__module__": base.__module__, "__doc__": base.__doc__, **wrapped})
