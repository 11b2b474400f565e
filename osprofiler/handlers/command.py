# SPDX-License-Identifier: Apache-2.0
"""A command for a database or a cache that has no SQL: its client span.

This module knows no library. An adapter describes the command (:class:`Command`). A description contains no values:
they have no names, so nobody can tell which of them are secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from osprofiler import config
from osprofiler.config import switches
from osprofiler.context import current
from osprofiler.context.faults import MAX_MESSAGE_CHARS
from osprofiler.context.points import Point
from osprofiler.context.values import MAX_NAME_CHARS, clean
from osprofiler.tracer import global_tracer

#: The longest text of a statement, in characters.
STATEMENT_CHARS = 4096

#: A statement shows at most this number of arguments, or of keys, of a command.
MAX_ARGUMENTS = 16

#: A statement has this in the place of a value.
VALUE = "?"


class Command(NamedTuple):
    """One command, or several that are sent together, as their span shows them. Fields that are None are left out."""

    system: str  # the kind of database: the trace point's name, and the tag ``db.type``
    verb: str  # the name of the command, with low cardinality; the operation is "SYSTEM VERB"
    component: str  # the tag ``component``
    statement: str | None  # without values
    instance: str | None = None  # the tag ``db.instance``
    host: str | None = None
    port: int | None = None
    tags: Mapping[str, Any] = {}  # more tags, which only this library has


def open_point(here: Point, command: Command) -> Point:
    """Open the point of *command*: a client span under *here*, which must be sampled."""
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


def shows_keys() -> bool:
    """Whether statements show keys and channels: only if trace points also show the arguments of functions."""
    here, settings = current.point.get(), config.current()
    return (settings.trace_arguments if here is None else switches.arguments(here.origin, settings)) == "full"


def text(value: Any) -> str:
    """A word of a command, which may be text, bytes or a number, as text."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        value = bytes(value[: MAX_NAME_CHARS + 1]).decode("utf-8", "replace")
    return clean(str(value), MAX_NAME_CHARS)


def more(count: int, limit: int) -> tuple[str, ...]:
    """What a statement shows in the place of those words, of *count* words, that are above *limit*."""
    return (f"...({count - limit} more)",) if count > limit else ()


def fail(point: Point, kind: str, message: str) -> None:
    """Close the point of a command that failed, if the library reports no exception, but its *kind* and *message*."""
    point.end({"etype": kind, "message": clean(message, MAX_MESSAGE_CHARS)})
