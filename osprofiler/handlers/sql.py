# SPDX-License-Identifier: Apache-2.0
"""A statement that a database executes: its client span, how much of it is kept, and how its error is shown.

No library is known here. An adapter describes the statement (:class:`Statement`) and says how it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from osprofiler.context.points import Point
from osprofiler.context.values import Budget, clean, text
from osprofiler.tracer import global_tracer

#: How much of a statement, of its parameters and of its rows a trace point keeps, in characters.
STATEMENT_CHARS = 65536
PARAMS_CHARS = 16384
RESULT_CHARS = 16384


class Statement(NamedTuple):
    """One statement, as its span shows it. Of the database, what is None is left out."""

    component: str  # the tag ``component``
    text: str
    parameters: Any
    database: str | None
    user: str | None
    host: str | None
    port: int | None


def open_point(here: Point, name: str, statement: Statement) -> Point:
    """Open the point called *name* of a statement, as a client span under *here*, which is sampled."""
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
    """Close the point of a statement that was executed; *result* is what to show of it."""
    point.end(None if result is None else {"db": result})


def fail(point: Point, fault: BaseException) -> None:
    """Close the point of a statement that failed; whatever the database raised is an error."""
    cause = fault.__cause__
    shown = {
        "original_exception": text(fault, STATEMENT_CHARS),
        "chained_exception": "" if cause is None else text(cause, STATEMENT_CHARS),
    }
    point.end({"db": shown}, fault)


def shown_rows(rows: Any) -> str:
    """The first rows of a result as text."""
    return text([tuple(row) for row in rows], RESULT_CHARS)
