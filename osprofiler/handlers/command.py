# SPDX-License-Identifier: Apache-2.0
"""A command to a database or a cache that has no SQL: its client span, and what is kept of the command.

No library is known here. An adapter describes the command (:class:`Command`). Values never get this far: they have no
names that would tell which of them are secrets, so the statement of a command shows only what it works on.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple

from osprofiler._runtime import guard
from osprofiler.context import current
from osprofiler.context.faults import MAX_MESSAGE_CHARS
from osprofiler.context.points import Point
from osprofiler.context.trace_context import SAMPLED
from osprofiler.context.values import clean
from osprofiler.tracer import global_tracer

#: How much of a statement a span keeps, in characters.
STATEMENT_CHARS = 4096

#: What stands for a value in a statement.
VALUE = "?"


class Command(NamedTuple):
    """One command, or several that are sent together, as their span shows them. What is None is left out."""

    system: str  # the database: the trace point's name, the first word of its operation, the tag ``db.type``
    verb: str  # the command's name, of low cardinality
    component: str  # the tag ``component``
    statement: str | None  # without values
    instance: str | None = None  # the tag ``db.instance``
    host: str | None = None
    port: int | None = None
    tags: Mapping[str, Any] = {}  # further ones, that only this library knows


def sampled_point() -> Point | None:
    """The current point, if a command that is sent here is recorded."""
    here = current.point.get()
    return here if here is not None and here.origin.flags & SAMPLED else None


def open_point(here: Point, command: Command) -> Point:
    """Open the point of *command*, as a client span under *here*, which is sampled."""
    tags = {
        "span.kind": "client",
        "component": command.component,
        "db.type": command.system,
        "db.instance": command.instance,
        "db.statement": command.statement and clean(command.statement, STATEMENT_CHARS),
        "peer.hostname": command.host,
        "peer.port": command.port,
        **command.tags,
    }
    return global_tracer.get_tracer().open_point(
        here,
        command.system,
        operation=f"{command.system} {command.verb}",
        tags={name: value for name, value in tags.items() if value is not None},
    )


def fail(point: Point, kind: str, message: str) -> None:
    """Close the point of a command that failed, where the library gives no exception but its *kind* and *message*."""
    point.end({"etype": kind, "message": clean(message, MAX_MESSAGE_CHARS)})


class Sending:
    """``with Sending(point):`` sends a command and waits for its answer; the point ends with the block.

    Whatever the block raises is the command's error, and passes. *point* is None where nothing is recorded.
    """

    __slots__ = ("_point", "refused")

    def __init__(self, point: Point | None) -> None:
        self._point = point
        #: The error of a command that failed without raising, such as one of several that were sent together.
        self.refused: BaseException | None = None

    def __enter__(self) -> Sending:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._point is not None:
            with guard.Harmless("command.stop"):
                self._point.end(fault=fault or self.refused)
