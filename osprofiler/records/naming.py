# SPDX-License-Identifier: Apache-2.0
"""Operation names: what a trace point is called in Jaeger's drop-down, from its name and start info."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The keys of info that say more than the name; nearly all trace points have none of them.
_SHAPES = frozenset(("request", "requests", "db", "function"))


def operation(name: str, info: Mapping[str, Any] | None) -> str:
    """A name of low cardinality: ``wsgi GET``, ``db SELECT``, ``http POST``, a function's own name, or *name*.

    Reads the shapes of ``info`` that osprofiler's own trace points use (``request``, ``db``, ``requests``,
    ``function``); anything else keeps the trace point's name.
    """
    if not info or _SHAPES.isdisjoint(info):
        return name
    for key in ("request", "requests"):
        part = info.get(key)
        if isinstance(part, Mapping) and isinstance(part.get("method"), str):
            return f"{name} {part['method']}"
    part = info.get("db")
    if isinstance(part, Mapping):
        verb = statement_verb(part.get("statement"))
        return f"{name} {verb}" if verb else name
    part = info.get("function")
    if isinstance(part, Mapping) and isinstance(part.get("name"), str):
        return str(part["name"])
    return name


def statement_verb(statement: object) -> str:
    """The first word of an SQL statement in capitals, or "" where it is not a plain word."""
    if not isinstance(statement, str):
        return ""
    word = statement.lstrip(" \t\r\n(")[:32].split(None, 1)[:1]
    return word[0].upper() if word and word[0].isalpha() else ""
