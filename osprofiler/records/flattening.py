# SPDX-License-Identifier: Apache-2.0
"""The ``info`` of records as span tags, and back.

Nested keys are joined with dots, and leaves keep their types. A value that a tag cannot hold (None, a list, an empty
dictionary) is JSON under a key that ends in ``~``. Dots, tildes and backslashes in keys are escaped with a backslash.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from typing import Any

_CACHED_NAMES = 4096  # of tags, each of which many spans have

_ESCAPED = re.compile(r"\\(.?)", re.S)

_LEAVES = frozenset((str, bool, int, float))


def flatten(info: Mapping[str, Any], prefix: str) -> list[tuple[str, str | int | float | bool]]:
    """*info* as span tags, each key under *prefix*."""
    tags: list[tuple[str, str | int | float | bool]] = []
    for key, value in info.items():
        path = tag_name(prefix, key)
        kind = type(value)
        if kind in _LEAVES:
            tags.append((path, value))
        elif kind is dict and value:
            tags += flatten(value, path)
        elif value is None:
            tags.append((f"{path}~", "null"))
        else:
            tags.append((f"{path}~", json.dumps(value, default=str)))
    return tags


@functools.lru_cache(_CACHED_NAMES)
def tag_name(prefix: str, key: str) -> str:
    """The name of the tag for *key* under *prefix*."""
    return f"{prefix}.{key if key.isidentifier() else _escape(key)}"


def unflatten(tags: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The inverse of :func:`flatten`. Tags without the prefix, and tags that it cannot have made, are ignored."""
    result: dict[str, Any] = {}
    begin = f"{prefix}."
    for key, value in tags.items():
        if not key.startswith(begin):
            continue
        path, leaf, is_json = _place(key[len(begin) :])
        at: Any = result
        try:
            if is_json:
                value = json.loads(value)
            for part in path:
                at = at.setdefault(part, {})
            at[leaf] = value
        except (TypeError, ValueError, AttributeError, RecursionError):  # another tracer's tag of the same prefix
            continue
    return result


@functools.lru_cache(_CACHED_NAMES)
def _place(path: str) -> tuple[tuple[str, ...], str, bool]:
    """The keys above a leaf, its own key, and whether its value is JSON."""
    *parts, leaf = _parts(path)
    is_json = _is_json(leaf)
    return tuple(map(_unescape, parts)), _unescape(leaf[:-1] if is_json else leaf), is_json


def _escape(key: str) -> str:
    return key.replace("\\", "\\\\").replace(".", "\\.").replace("~", "\\~")


def _is_json(leaf: str) -> bool:
    """Whether *leaf*, still escaped, ends in a tilde that is not part of the key."""
    body = leaf[:-1]
    return leaf.endswith("~") and (len(body) - len(body.rstrip("\\"))) % 2 == 0


def _parts(path: str) -> list[str]:
    """Split *path* at the dots that are not escaped. The parts stay escaped."""
    parts = [""]
    escaped = False
    for char in path:
        if char == "." and not escaped:
            parts.append("")
            continue
        parts[-1] += char
        escaped = char == "\\" and not escaped
    return parts


def _unescape(part: str) -> str:
    return _ESCAPED.sub(r"\1", part)
