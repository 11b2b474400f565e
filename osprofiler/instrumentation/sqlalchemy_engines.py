# SPDX-License-Identifier: Apache-2.0
"""Tracing of chosen engines of SQLAlchemy, as in osprofiler 4: each statement of theirs is a trace point.

The point of a statement is stored with its connection and its execution context. So an error before or after the
statement does not close another point, and a statement inside another one (in an event listener) has its own point.
"""

from __future__ import annotations

import contextlib
import functools
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.config import switches
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.handlers import sql

#: The number of rows that a trace point shows at most, with ``hide_result=False``.
RESULT_ROWS = 100

_MARK = "_osprofiler_traced"
_NAME = "_osprofiler_name"
_OPEN = "_osprofiler_open"


def disable() -> None:
    """Stop tracing statements, also of engines that are instrumented already."""
    switches.decide_statements(False)


def enable() -> None:
    """Trace the statements of the engines that are instrumented (the default)."""
    switches.decide_statements(True)


def add_tracing(sqlalchemy: Any, engine: Any, name: str, hide_result: bool = True) -> None:
    """Instrument *engine* (an ``Engine`` or ``AsyncEngine``). A second call for the same engine does nothing.

    *sqlalchemy* is the module, *name* the name of the trace points. Without *hide_result* a point shows the first rows
    of the result; the application still gets all rows. Does nothing after :func:`disable`. If only the configuration or
    the policy disables statements, the engine is instrumented: these may enable them later.
    """
    if not switches.engines(config.current()):
        return
    with guard.Harmless("sqlalchemy.add_tracing"):
        engine = getattr(engine, "sync_engine", engine)
        if _MARK in vars(engine):
            return
        listen = sqlalchemy.event.listen
        listen(engine, "before_cursor_execute", _before_cursor_execute(name))
        after = _after_cursor_execute(hide_result=hide_result)
        vars(after)[_NAME] = name
        listen(engine, "after_cursor_execute", after)
        listen(engine, "handle_error", handle_error)
        setattr(engine, _MARK, True)
        _wrapping.install()


@contextlib.contextmanager
def wrap_session(sqlalchemy: Any, sess: Any) -> Iterator[Any]:
    """Enter the session *sess*, and instrument every engine that it uses under the name ``db``.

    Its own engine is instrumented at once, an engine of ``binds`` or ``get_bind`` when the session first uses it.
    """
    with sess as session:
        bind = getattr(session, "bind", None)
        if bind is not None:
            add_tracing(sqlalchemy, getattr(bind, "engine", bind), sql.POINT)

        def begun(session: Any, transaction: Any, connection: Any) -> None:
            add_tracing(sqlalchemy, connection.engine, sql.POINT)

        listening = False
        with guard.Harmless("sqlalchemy.wrap_session"):
            sqlalchemy.event.listen(session, "after_begin", begun)
            listening = True
        try:
            yield session
        finally:
            if listening:
                with guard.Harmless("sqlalchemy.wrap_session"):
                    sqlalchemy.event.remove(session, "after_begin", begun)


def name(target: Any) -> str:
    """The name that :func:`add_tracing` was given for the engine or connection *target*, or ``db``.

    An engine's listeners are also those of its connections, and of its views with other options.
    """
    for listener in target.dispatch.after_cursor_execute:
        if (given := getattr(listener, _NAME, None)) is not None:
            return str(given)
    return sql.POINT


def is_open(connection: Any, context: Any) -> bool:
    """Whether the statement with the execution context *context* has a point already."""
    points = vars(connection).get(_OPEN)
    return bool(points) and points[-1][0] is context


def database(engine: Any) -> sql.Database:
    """The database of *engine*."""
    url = engine.url
    return sql.Database("sqlalchemy", url.database, url.username, url.host, url.port)


def description(engine: Any, statement: Any, params: Any) -> sql.Statement:
    """A statement for the database of *engine*."""
    return sql.Statement(database(engine), str(statement), params)


def _before_cursor_execute(name: str) -> Callable[..., None]:
    """Make the listener that opens the point of a statement."""

    def handler(conn: Any, cursor: Any, statement: Any, params: Any, context: Any, executemany: Any) -> None:
        here = current.sampled()
        if here is None or not switches.statements(here.origin):
            return
        with guard.Harmless("sqlalchemy.start"):
            points = vars(conn).setdefault(_OPEN, [])
            if context is not None and points and points[-1][0] is context:
                return  # opened already: the engine is a view of another one, with other options and the same listener
            points.append((context, sql.open_point(here, name, description(conn.engine, statement, params))))

    return handler


def _after_cursor_execute(hide_result: bool = True) -> Callable[..., None]:
    """Make the listener that closes the point of a statement."""

    def handler(conn: Any, cursor: Any, statement: Any, params: Any, context: Any, executemany: Any) -> None:
        if not getattr(conn, _OPEN, None):
            return
        rows = None
        if not hide_result and _can_peek(cursor, context):
            # Not guarded: the application would get an error of this fetch one line later.
            rows = cursor.fetchmany(RESULT_ROWS)
            context.cursor_fetch_strategy = _strategy()(cursor, context.execution_options, initial_buffer=deque(rows))
        with guard.Harmless("sqlalchemy.stop"):
            point = _take(conn, context)
            if point is None:
                return
            rows_text = None if rows is None else sql.shown_rows(rows)
            sql.close(point, None if hide_result else {"result": rows_text, "rowcount": cursor.rowcount})

    return handler


def handle_error(exception_context: Any) -> None:
    """A listener: close the point of a statement that has failed, if it is open."""
    with guard.Harmless("sqlalchemy.error"):
        context = exception_context
        _fail(context.connection, context.execution_context, context.original_exception)


def _handle(handle: Method) -> Method:
    """Close the point also for errors that SQLAlchemy does not report to our listener.

    Another listener may raise before ours. With ``skip_user_error_events`` no listener is called: the dialect for MySQL
    sets it while it checks whether a table exists.
    """

    def run(
        self: Any,
        /,
        e: BaseException,
        statement: Any,
        parameters: Any,
        cursor: Any,
        context: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        with guard.Harmless("sqlalchemy.error"):
            _fail(self, context, e)
        return handle(self, e, statement, parameters, cursor, context, *args, **kwargs)

    return run


_wrapping = Wrapping(Target("sqlalchemy.engine.base", "Connection", "_handle_dbapi_exception", _handle))


def _fail(conn: Any, context: Any, fault: BaseException) -> None:
    """Close the point of the statement with the execution context *context* as an error, if it is open."""
    point = _take(conn, context)
    if point is not None:
        sql.fail(point, fault)


def _take(conn: Any, context: Any) -> Point | None:
    """Remove and return the open point of the statement with the execution context *context*."""
    if conn is None:  # the error is that no connection could be made
        return None
    points: list[tuple[Any, Point]] = vars(conn).get(_OPEN, [])
    for i in range(len(points) - 1, -1, -1):
        if points[i][0] is context:
            point = points[i][1]
            del points[i:]  # the statements above it failed, and no listener was called
            return point
    return None


@functools.cache
def _strategy() -> Any:
    from sqlalchemy.engine.cursor import BufferedRowCursorFetchStrategy

    return BufferedRowCursorFetchStrategy


def _can_peek(cursor: Any, context: Any) -> bool:
    """Whether rows read ahead still reach the application: true for a plain query whose result is not streamed."""
    with guard.Harmless("sqlalchemy.peek"):
        from sqlalchemy.engine.cursor import _DEFAULT_FETCH

        return (
            cursor.description is not None
            and context is not None
            and context.cursor_fetch_strategy is _DEFAULT_FETCH
            and not (context.isinsert or context.isupdate or context.isdelete or context._is_server_side)
            and _strategy() is not None
        )
    return False
