# SPDX-License-Identifier: Apache-2.0
"""What the layers of drivers for SQL have in common: Python's DB-API 2 has one shape of cursors and connections.

A statement that SQLAlchemy sends by a driver is inside the point that SQLAlchemy's layer has opened, and has no other
one. So is what a driver sends for one call by another call.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, NamedTuple

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, When, Wrapping
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.context.values import text
from osprofiler.handlers import sql


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


class _Statement:
    """A block that runs a statement: its span."""

    __slots__ = ("_point",)

    def __init__(self, point: Point | None) -> None:
        self._point = point

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._point is not None:
            with guard.Harmless("dbapi.stop"):
                if fault is None:
                    sql.close(self._point, None)
                else:
                    sql.fail(self._point, fault)


def executes(driver: Driver) -> Callable[[Method], Method]:
    """Make a span for each call of a cursor's method that sends a statement."""

    def wrap(original: Method) -> Method:
        def execute(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            above = here(driver)
            if above is None:
                return original(self, *args, **kwargs)
            with _Statement(_opened(above, driver, self, args, kwargs)):
                return original(self, *args, **kwargs)

        return execute

    return wrap


def executes_async(driver: Driver) -> Callable[[Method], Method]:
    """The same for a coroutine method."""

    def wrap(original: Method) -> Method:
        async def execute(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            above = here(driver)
            if above is None:
                return await original(self, *args, **kwargs)
            with _Statement(_opened(above, driver, self, args, kwargs)):
                return await original(self, *args, **kwargs)

        return execute

    return wrap


def ends(driver: Driver, word: str) -> Callable[[Method], Method]:
    """Make a span for each call of a connection's method that ends a transaction with the statement *word*."""

    def wrap(original: Method) -> Method:
        def end(self: Any, /, *args: Any) -> Any:
            above = here(driver)
            if above is None:
                return original(self, *args)
            with ending(above, driver, self, word):
                return original(self, *args)

        return end

    return wrap


def ends_async(driver: Driver, word: str) -> Callable[[Method], Method]:
    """The same for a coroutine method."""

    def wrap(original: Callable[..., Awaitable[Any]]) -> Method:
        async def end(self: Any, /) -> Any:
            above = here(driver)
            if above is None:
                return await original(self)
            with ending(above, driver, self, word):
                return await original(self)

        return end

    return wrap


def ending(above: Point, driver: Driver, connection: Any, word: str) -> _Statement:
    """A block that ends a transaction, with a span if there is one to end."""
    point = None
    with guard.Harmless("dbapi.start"):
        if driver.in_transaction(connection):
            point = _open(above, driver, connection, word, None)
    return _Statement(point)


def here(driver: Driver) -> Point | None:
    """The current point, if a statement that is sent now has a span."""
    point = current.sampled()
    return None if point is None or isinstance(point, sql.StatementPoint) or not driver.is_on() else point


def _opened(above: Point, driver: Driver, cursor: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Point | None:
    """Open the point of a statement: the first argument, with its parameters, the second one."""
    with guard.Harmless("dbapi.start"):
        values = (*args, *kwargs.values())
        statement = values[0]
        if isinstance(statement, (bytes, bytearray)):
            shown = statement.decode("utf-8", "replace")
        elif hasattr(statement, "as_string"):  # psycopg's statements of parts
            shown = statement.as_string(cursor)
        else:
            shown = statement if isinstance(statement, str) else text(statement, sql.STATEMENT_CHARS)
        return _open(above, driver, cursor.connection, shown, values[1] if len(values) > 1 else None)
    return None


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
