# SPDX-License-Identifier: Apache-2.0
"""A statement for a database: its client span, how much text of it the span keeps, and how its error is shown.

This module knows no library. An adapter describes the statement (:class:`Statement`) and reports its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from osprofiler.context.points import Point
from osprofiler.context.values import Budget, clean, text
from osprofiler.tracer import global_tracer

#: The longest text, in characters, of a statement, of its parameters and of its rows in a trace point.
STATEMENT_CHARS = 65536
PARAMS_CHARS = 16384
RESULT_CHARS = 16384


class Statement(NamedTuple):
    """One statement, as its span shows it. Fields of the database that are None are left out."""

    component: str  # the tag ``component``
    text: str
    parameters: Any
    database: str | None
    user: str | None
    host: str | None
    port: int | None


def open_point(here: Point, name: str, statement: Statement) -> Point:
    """Open a point called *name* for a statement: a client span under *here*, which must be sampled."""
    tags = {
        "span.kind": "client",
        "component": statement.component,
        "db.type": "sql",
        "db.instance": statement.database,
        "db.user": statement.user,
        "peer.hostname": statement.host,
        "peer.port": statement.port,
    }
    info = {
        "statement": clean(statement.text, STATEMENT_CHARS),
        "params": Budget(PARAMS_CHARS).freeze(statement.parameters),
    }
    return global_tracer.get_tracer().open_point(
        here, name, {"db": info}, tags={key: value for key, value in tags.items() if value is not None}
    )


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


def shown_rows(rows: Any) -> str:
    """*rows*, the first rows of a result, as text."""
    return text([tuple(row) for row in rows], RESULT_CHARS)
