# SPDX-License-Identifier: Apache-2.0
"""A statement for a database: its client span, how much text of it the span keeps, and how its error is shown.

This module knows no library. An adapter describes the statement (:class:`Statement`) and reports its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple

from osprofiler._runtime import guard
from osprofiler.context.points import Point
from osprofiler.context.values import Budget, clean, text
from osprofiler.handlers.call import Closing
from osprofiler.tracer import global_tracer

#: The name of trace points, where the service gives none.
POINT = "db"

#: The longest text, in characters, of a statement, of its parameters and of its rows in a trace point.
STATEMENT_CHARS = 65536
PARAMS_CHARS = 16384
RESULT_CHARS = 16384


class StatementPoint(Point):
    """The point of a statement or a step: what the library sends for it by a driver is inside, and no span."""

    __slots__ = ()


class Database(NamedTuple):
    """The database of a span. Fields that are None are left out."""

    component: str  # the tag ``component``
    instance: str | None
    user: str | None
    host: str | None
    port: int | None

    def tags(self) -> dict[str, Any]:
        """The standard tags of a span."""
        tags = {
            "span.kind": "client",
            "component": self.component,
            "db.type": "sql",
            "db.instance": self.instance,
            "db.user": self.user,
            "peer.hostname": self.host,
            "peer.port": self.port,
        }
        return {key: value for key, value in tags.items() if value is not None}


class Statement(NamedTuple):
    """One statement, as its span shows it."""

    database: Database
    text: str
    parameters: Any


def open_point(here: Point, name: str, statement: Statement) -> Point:
    """Open a point called *name* for a statement: a client span under *here*, which must be sampled."""
    info = {
        "statement": clean(statement.text, STATEMENT_CHARS),
        "params": Budget(PARAMS_CHARS).freeze(statement.parameters),
    }
    tracer = global_tracer.get_tracer()
    return tracer.open_point(here, name, {"db": info}, StatementPoint, tags=statement.database.tags())


def open_step(here: Point, name: str, step: str, database: Database) -> Point:
    """Open a point called *name* for a *step* that is not a statement, such as ``CONNECT``. See :func:`open_point`."""
    tracer = global_tracer.get_tracer()
    return tracer.open_point(here, name, kind=StatementPoint, operation=f"{name} {step}", tags=database.tags())


def close(point: Point, result: Mapping[str, Any] | None) -> None:
    """Close the point of a statement that the database has executed; *result*: details for the span, or None."""
    point.end(None if result is None else {"db": result})


def fail(point: Point, fault: BaseException) -> None:
    """Close the point of a statement that failed with *fault*. Every exception of the database is an error."""
    cause = fault.__cause__
    shown = {
        "original_exception": text(fault, STATEMENT_CHARS),
        "chained_exception": "" if cause is None else text(cause, STATEMENT_CHARS),
    }
    point.end({"db": shown}, fault)


class Running(Closing):
    """A block that runs a statement. Its error is that of the driver: SQLAlchemy's own errors have it as ``orig``."""

    __slots__ = ()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if fault is None or self._point is None:
            super().__exit__(kind, fault, trace)
            return
        with guard.Harmless("stop"):
            fail(self._point, getattr(fault, "orig", None) or fault)


def shown_rows(rows: Any) -> str:
    """*rows*, the first rows of a result, as text."""
    return text([tuple(row) for row in rows], RESULT_CHARS)
