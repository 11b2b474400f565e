# SPDX-License-Identifier: Apache-2.0
"""Operation names: a trace point's name in Jaeger's drop-down, made of its name and start info."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: The keys of info that change the name. Nearly all trace points have none of them.
_SHAPES = frozenset(("request", "requests", "db", "function"))


def operation(name: str, info: Mapping[str, Any] | None) -> str:
    """A name with few values: ``wsgi GET``, ``db SELECT``, ``http POST``, the name of a function, or *name*.

    The trace points of osprofiler have one of the keys ``request``, ``requests``, ``db`` and ``function`` in *info*.
    Without these keys the operation is *name*.
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
    """The first word of an SQL statement in capitals, or "" if it is not a plain word."""
    if not isinstance(statement, str):
        return ""
    word = statement.lstrip(" \t\r\n(")[:32].split(None, 1)[:1]
    return word[0].upper() if word and word[0].isalpha() else ""
