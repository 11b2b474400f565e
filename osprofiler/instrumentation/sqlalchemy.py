# SPDX-License-Identifier: Apache-2.0
"""Tracing of SQLAlchemy: a span for each statement, commit, rollback, new connection, and wait for a connection.

This covers every engine of the process, also one that was made before, and ``AsyncEngine``, which uses an ``Engine``.
Statements of an engine with ``add_tracing`` keep the trace points that it makes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

from osprofiler._runtime import arguments, guard
from osprofiler._runtime.wrapping import Method, Target, When, Wrapping
from osprofiler.config import switches
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.handlers import sql
from osprofiler.instrumentation import sqlalchemy_engines as engines
from osprofiler.instrumentation.calls import Calls, blocking

#: The engine for which this flow of control takes a connection from a pool. A pool does not know its engine.
_connecting: ContextVar[Any] = ContextVar("osprofiler_sqlalchemy", default=None)


# Statements


def _open_statement(here: Point, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Point | None:
    """Open the point of a statement. The arguments are those of ``do_execute``."""
    given = partial(arguments.given, args, kwargs)
    return _statement(here, given(2, "statement"), given(3, "parameters"), given(4, "context"))


def _open_plain_statement(here: Point, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Point | None:
    """The same for ``do_execute_no_params``."""
    given = partial(arguments.given, args, kwargs)
    return _statement(here, given(2, "statement"), (), given(3, "context"))


def _statement(here: Point, statement: Any, parameters: Any, context: Any) -> Point | None:
    """Open the point of a statement; None if it has one, or if it is not of a connection of SQLAlchemy's."""
    connection = getattr(context, "root_connection", None)
    if connection is None or not switches.statements(here.origin) or engines.is_open(connection, context):
        return None
    return _open(here, connection, statement, parameters)


# Transactions


def _open_end(word: str, here: Point, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Point | None:
    """Open the point of the end of a transaction by *word*; None if there is nothing to end in the database."""
    (connection,) = args
    is_open = not (connection.closed or connection.invalidated or connection._is_autocommit_isolation())
    return _open(here, connection, word, None) if is_open and switches.statements(here.origin) else None


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
            with sql.Running(_waiting(here, self)):
                return original(self)
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


def _open_connection(here: Point, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Point | None:
    """Open the point of a connection that a pool makes, with what is sent before its first use."""
    engine = _connecting.get()
    return None if engine is None else sql.open_step(here, engines.name(engine), "CONNECT", engines.database(engine))


def _calls(open_point: Callable[..., Point | None]) -> Callable[[Method], Method]:
    """Make a span for each call of a method."""
    return blocking(Calls("sqlalchemy", open_point, sql.Running))


_execute = _calls(_open_statement)
_DIALECT = ("sqlalchemy.engine.default", "DefaultDialect")

#: The methods that are wrapped.
TARGETS = (
    Target(*_DIALECT, "do_execute", _execute),
    Target(*_DIALECT, "do_executemany", _execute),
    Target(*_DIALECT, "do_execute_no_params", _calls(_open_plain_statement)),
    # The dialects that have a method of their own, which does not call that of DefaultDialect.
    Target("sqlalchemy.dialects.postgresql.psycopg2", "PGDialect_psycopg2", "do_executemany", _execute),
    Target("sqlalchemy.dialects.mysql.mysqldb", "MySQLDialect_mysqldb", "do_executemany", _execute),
    Target("sqlalchemy.dialects.oracle.cx_oracle", "OracleDialect_cx_oracle", "do_executemany", _execute),
    Target("sqlalchemy.engine.base", "Connection", "_commit_impl", _calls(partial(_open_end, "COMMIT"))),
    Target("sqlalchemy.engine.base", "Connection", "_rollback_impl", _calls(partial(_open_end, "ROLLBACK"))),
    Target("sqlalchemy.engine.base", "Engine", "raw_connection", _take),
    Target("sqlalchemy.pool.base", "_ConnectionRecord", "_ConnectionRecord__connect", _calls(_open_connection)),
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
