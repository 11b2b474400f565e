# SPDX-License-Identifier: Apache-2.0
"""Tracing of SQLAlchemy: a span for each statement, commit, rollback, new connection, and wait for a connection.

This covers every engine of the process, also one that was made before, and ``AsyncEngine``, which uses an ``Engine``.
Statements of an engine with ``add_tracing`` keep the trace points that it makes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, When, Wrapping
from osprofiler.config import switches
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.handlers import sql
from osprofiler.instrumentation import sqlalchemy_engines as engines

#: The engine for which this flow of control takes a connection from a pool. A pool does not know its engine.
_connecting: ContextVar[Any] = ContextVar("osprofiler_sqlalchemy", default=None)


# Statements


def _execute(original: Method) -> Method:
    def do_execute(self: Any, /, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> Any:
        here = current.sampled()
        if here is None:
            return original(self, cursor, statement, parameters, context)
        point = _statement(here, context, statement, parameters)
        return _traced(point, original, self, cursor, statement, parameters, context)

    return do_execute


def _execute_no_params(original: Method) -> Method:
    def do_execute_no_params(self: Any, /, cursor: Any, statement: Any, context: Any = None) -> Any:
        here = current.sampled()
        if here is None:
            return original(self, cursor, statement, context)
        return _traced(_statement(here, context, statement, ()), original, self, cursor, statement, context)

    return do_execute_no_params


def _statement(here: Point, context: Any, statement: Any, parameters: Any) -> Point | None:
    """Open the point of a statement; None if it has one, or if it is not of a connection of SQLAlchemy's."""
    if context is None or not switches.statements(here.origin):
        return None
    with guard.Harmless("sqlalchemy.start"):
        connection = context.root_connection
        if engines.is_open(connection, context):
            return None
        return _open(here, connection, statement, parameters)
    return None


# Transactions


def _end(word: str) -> Callable[[Method], Method]:
    """Make a span for each call of a method that ends a transaction with the statement *word*."""

    def wrap(original: Method) -> Method:
        def end(self: Any, /) -> Any:
            here = current.sampled()
            if here is None:
                return original(self)
            return _traced(_ending(here, self, word), original, self)

        return end

    return wrap


def _ending(here: Point, connection: Any, word: str) -> Point | None:
    """Open the point of the end of a transaction; None if there is nothing to end in the database."""
    if not switches.statements(here.origin):
        return None
    with guard.Harmless("sqlalchemy.start"):
        if connection.closed or connection.invalidated or connection._is_autocommit_isolation():
            return None
        return _open(here, connection, word, None)
    return None


def _open(here: Point, connection: Any, statement: Any, parameters: Any) -> Point:
    described = engines.description(connection.engine, statement, parameters)
    return sql.open_point(here, engines.name(connection), described)


# Connections


def _take(original: Method) -> Method:
    """Make a span for a wait, if the pool has no connection to give and may not make another one."""

    def raw_connection(self: Any, /) -> Any:
        here = current.sampled()
        if here is None or not switches.statements(here.origin):
            return original(self)
        before = _connecting.get()
        _connecting.set(self)
        try:
            return _traced(_waiting(here, self), original, self)
        finally:
            _connecting.set(before)

    return raw_connection


def _waiting(here: Point, engine: Any) -> Point | None:
    with guard.Harmless("sqlalchemy.start"):
        pool = engine.pool
        most = getattr(pool, "_max_overflow", -1)  # only a QueuePool has it; -1: as many connections as are wanted
        if most > -1 and not pool.checkedin() and pool.overflow() >= most:
            return sql.open_step(here, engines.name(engine), "WAIT", engines.database(engine))
    return None


def _connect(original: Method) -> Method:
    """Make a span for each connection that a pool makes, with what is sent before its first use."""

    def connect(self: Any, /) -> Any:
        here = current.sampled()
        if here is None or (engine := _connecting.get()) is None:
            return original(self)
        point = None
        with guard.Harmless("sqlalchemy.start"):
            point = sql.open_step(here, engines.name(engine), "CONNECT", engines.database(engine))
        return _traced(point, original, self)

    return connect


def _traced(point: Point | None, original: Method, *args: Any) -> Any:
    """Call *original*, and close *point* with its error, if any: the error of the driver, not SQLAlchemy's own."""
    try:
        result = original(*args)
    except BaseException as fault:
        if point is not None:
            with guard.Harmless("sqlalchemy.stop"):
                sql.fail(point, getattr(fault, "orig", None) or fault)
        raise
    if point is not None:
        with guard.Harmless("sqlalchemy.stop"):
            sql.close(point, None)
    return result


_DIALECT = ("sqlalchemy.engine.default", "DefaultDialect")

#: The methods that are wrapped.
TARGETS = (
    Target(*_DIALECT, "do_execute", _execute),
    Target(*_DIALECT, "do_executemany", _execute),
    Target(*_DIALECT, "do_execute_no_params", _execute_no_params),
    # The dialects that have a method of their own, which does not call that of DefaultDialect.
    Target("sqlalchemy.dialects.postgresql.psycopg2", "PGDialect_psycopg2", "do_executemany", _execute),
    Target("sqlalchemy.dialects.mysql.mysqldb", "MySQLDialect_mysqldb", "do_executemany", _execute),
    Target("sqlalchemy.dialects.oracle.cx_oracle", "OracleDialect_cx_oracle", "do_executemany", _execute),
    Target("sqlalchemy.engine.base", "Connection", "_commit_impl", _end("COMMIT")),
    Target("sqlalchemy.engine.base", "Connection", "_rollback_impl", _end("ROLLBACK")),
    Target("sqlalchemy.engine.base", "Engine", "raw_connection", _take),
    Target("sqlalchemy.pool.base", "_ConnectionRecord", "_ConnectionRecord__connect", _connect),
)

_wrapping = Wrapping(*TARGETS)


def instrument(when: When | None = None) -> None:
    """Trace what SQLAlchemy sends, also if it is imported later; with *when*, only what it is true for.

    Without *when* this overrides an earlier ``disable``; a later one stops this layer too.
    """
    if when is None:
        switches.decide_statements(True)
    _wrapping.install(when)


def uninstrument() -> None:
    """Stop tracing what SQLAlchemy sends, except on engines with ``add_tracing``."""
    _wrapping.uninstall()
