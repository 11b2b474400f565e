# SPDX-License-Identifier: Apache-2.0
"""Tracing of SQLAlchemy: each statement that an engine executes is a trace point.

The point of a statement is kept with its connection and its execution context. So an error that comes before the
statement was begun, or after it was done, closes nobody else's point, and one statement inside another (an event
listener's, say) has a point of its own.
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
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.handlers import sql

#: How many rows a trace point shows at most, where rows are asked for.
RESULT_ROWS = 100

_MARK = "_osprofiler_traced"
_OPEN = "_osprofiler_open"

_DISABLED = False


def disable() -> None:
    """Stop tracing statements, also of engines that were instrumented before."""
    global _DISABLED
    _DISABLED = True


def enable() -> None:
    """Trace the statements of the engines that are instrumented (the state at start)."""
    global _DISABLED
    _DISABLED = False


def add_tracing(sqlalchemy: Any, engine: Any, name: str, hide_result: bool = True) -> None:
    """Instrument *engine* (an ``Engine`` or ``AsyncEngine``); a second call for the same one changes nothing.

    *sqlalchemy* is the module, *name* that of the trace points. Without *hide_result* a point shows the first rows
    that its statement returned; the application still gets all of them. Does nothing while tracing of statements is
    disabled, but by the configuration or the policy: these may turn it on again.
    """
    if _DISABLED and config.current().trace_sqlalchemy is not False:
        return
    with guard.Harmless("sqlalchemy.add_tracing"):
        engine = getattr(engine, "sync_engine", engine)
        if _MARK in vars(engine):
            return
        listen = sqlalchemy.event.listen
        listen(engine, "before_cursor_execute", _before_cursor_execute(name))
        listen(engine, "after_cursor_execute", _after_cursor_execute(hide_result=hide_result))
        listen(engine, "handle_error", handle_error)
        setattr(engine, _MARK, True)
        _wrapping.install()


@contextlib.contextmanager
def wrap_session(sqlalchemy: Any, sess: Any) -> Iterator[Any]:
    """Enter the session *sess*, with every engine that it uses instrumented under the name ``db``.

    Its own engine is so at once, and those that ``binds`` or its ``get_bind`` choose when it begins to use them.
    """
    with sess as session:
        bind = getattr(session, "bind", None)
        if bind is not None:
            add_tracing(sqlalchemy, getattr(bind, "engine", bind), "db")

        def begun(session: Any, transaction: Any, connection: Any) -> None:
            add_tracing(sqlalchemy, connection.engine, "db")

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


def _before_cursor_execute(name: str) -> Callable[..., None]:
    """A listener that opens a statement's point."""

    def handler(conn: Any, cursor: Any, statement: Any, params: Any, context: Any, executemany: Any) -> None:
        here = current.point.get()
        if here is None or _DISABLED or not here.origin.sampled:
            return
        with guard.Harmless("sqlalchemy.start"):
            points = vars(conn).setdefault(_OPEN, [])
            if context is not None and points and points[-1][0] is context:
                return  # by the same listener of an engine that this one is a view of, with other options
            points.append((context, sql.open_point(here, name, _described(conn, statement, params))))

    return handler


def _after_cursor_execute(hide_result: bool = True) -> Callable[..., None]:
    """A listener that closes a statement's point."""

    def handler(conn: Any, cursor: Any, statement: Any, params: Any, context: Any, executemany: Any) -> None:
        if not getattr(conn, _OPEN, None):
            return
        rows = None
        if not hide_result and _can_peek(cursor, context):
            # The database's own errors on fetching are the application's, as they would be one line later.
            rows = cursor.fetchmany(RESULT_ROWS)
            context.cursor_fetch_strategy = _strategy()(cursor, context.execution_options, initial_buffer=deque(rows))
        with guard.Harmless("sqlalchemy.stop"):
            point = _take(conn, context)
            if point is None:
                return
            shown = None if rows is None else sql.shown_rows(rows)
            sql.close(point, None if hide_result else {"result": shown, "rowcount": cursor.rowcount})

    return handler


def handle_error(exception_context: Any) -> None:
    """A listener that closes the point of a statement that failed, as an error, if it has one that is open."""
    with guard.Harmless("sqlalchemy.error"):
        of = exception_context
        _fail(of.connection, of.execution_context, of.original_exception)


def _handle(handle: Method) -> Method:
    """SQLAlchemy does not report each error to listeners.

    Another listener may raise before ours. And ``skip_user_error_events`` leaves out all: SQLAlchemy's own dialect for
    MySQL sets it to find out whether there is a table.
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
    """Close the point of the statement that is executed in *context*, as an error, if it has one that is open."""
    point = _take(conn, context)
    if point is not None:
        sql.fail(point, fault)


def _take(conn: Any, context: Any) -> Point | None:
    """The open point of the statement that is executed in *context*; from now on it has none."""
    if conn is None:  # there is no connection: making one has failed
        return None
    points: list[tuple[Any, Point]] = vars(conn).get(_OPEN, [])
    for i in range(len(points) - 1, -1, -1):
        if points[i][0] is context:
            point = points[i][1]
            del points[i:]  # what is above failed in a way that no listener was told of
            return point
    return None


def _described(conn: Any, statement: Any, params: Any) -> sql.Statement:
    url = conn.engine.url
    return sql.Statement("sqlalchemy", str(statement), params, url.database, url.username, url.host, url.port)


@functools.cache
def _strategy() -> Any:
    from sqlalchemy.engine.cursor import BufferedRowCursorFetchStrategy

    return BufferedRowCursorFetchStrategy


def _can_peek(cursor: Any, context: Any) -> bool:
    """Whether rows can be read ahead and still reach the application: those of a plain query, not streamed."""
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
