# SPDX-License-Identifier: Apache-2.0
"""The record: one start or stop message of a trace point, as every store holds it, and its form as span tags.

A record is osprofiler's dictionary: ``name`` (``<point>-start`` or ``<point>-stop``), ``base_id``, ``trace_id``,
``parent_id``, ``timestamp`` (UTC, microseconds), ``info``, and ``project`` and ``service`` where the process has them.
What two such records cannot say stands in ``info`` under one reserved key, which older readers pass over.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Any

#: The key of ``info`` for what older readers do not know. In a start record: ``operation``, ``parent``
#: (``child_of`` or ``follows_from``; absent under a virtual root), ``pid``. In a stop record: ``tags``, ``logs``
#: ([microseconds since the epoch, fields] each) and ``links`` ([type, base_id, trace_id of the point] each).
RESERVED = "osprofiler"

#: Tags of spans of which one record was stored: where only whole spans are known, these say which one is missing.
UNFINISHED, START_LOST = "osprofiler.unfinished", "osprofiler.start_lost"

_LEAVES = frozenset((str, bool, int, float))

_EPOCH = datetime.datetime(1970, 1, 1)
_MICROSECOND = datetime.timedelta(microseconds=1)


def timestamp(us: int) -> str:
    """Microseconds since the epoch as records have it: ``2026-11-20T21:46:23.000123``, UTC.

    What no calendar shows (a start that was given in milliseconds, say) is its first or last moment.
    """
    try:
        at = _EPOCH + datetime.timedelta(microseconds=us)
    except OverflowError:
        at = datetime.datetime.max if us > 0 else datetime.datetime.min
    return at.isoformat(timespec="microseconds")


def microseconds(stamp: str) -> int:
    """The inverse of :func:`timestamp`, also with fewer decimals. Raises ValueError for anything else."""
    try:
        at = datetime.datetime.fromisoformat(stamp)
    except ValueError:  # Python 3.10 reads three decimals or six
        at = datetime.datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%f")
    return ((at if at.tzinfo is None else at.replace(tzinfo=None)) - _EPOCH) // _MICROSECOND


def split_name(name: str) -> tuple[str, str]:
    """A record's name as (point name, ``start`` or ``stop``); only the last ``-start`` or ``-stop`` is cut."""
    point, dash, phase = name.rpartition("-")
    return (point, phase) if dash and phase in ("start", "stop") else (name, "start")


def flatten(info: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str | int | float | bool]]:
    """``info`` as span tags, reversibly: nested keys are joined with dots, leaves keep their types.

    What a tag cannot hold (None, lists, empty dictionaries) is JSON under a key that ends in ``~``. Dots, tildes and
    backslashes in keys are escaped with a backslash.
    """
    for key, value in info.items():
        path = tag_name(prefix, key)
        kind = type(value)
        if kind in _LEAVES:
            yield path, value
        elif kind is dict and value:
            yield from flatten(value, path)
        elif value is None:
            yield f"{path}~", "null"
        else:
            yield f"{path}~", json.dumps(value, default=str)


def tag_name(prefix: str, key: str) -> str:
    """The name of the tag for *key* under *prefix*."""
    return f"{prefix}.{key if key.isidentifier() else _escape(key)}"


def unflatten(tags: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The inverse of :func:`flatten`; tags without the prefix, and those that it cannot have made, are passed over."""
    result: dict[str, Any] = {}
    for key, value in tags.items():
        if not key.startswith(prefix + "."):
            continue
        *path, leaf = _parts(key[len(prefix) + 1 :])
        at: Any = result
        try:
            if _is_json(leaf):
                leaf, value = leaf[:-1], json.loads(value)
            for part in path:
                at = at.setdefault(_unescape(part), {})
            at[_unescape(leaf)] = value
        except (TypeError, ValueError, AttributeError):  # another tracer's tag of the same prefix
            continue
    return result


def _escape(key: str) -> str:
    return key.replace("\\", "\\\\").replace(".", "\\.").replace("~", "\\~")


def _is_json(leaf: str) -> bool:
    """Whether *leaf*, still escaped, ends in a tilde that is a mark and not part of the key."""
    body = leaf[:-1]
    return leaf.endswith("~") and (len(body) - len(body.rstrip("\\"))) % 2 == 0


def _parts(path: str) -> list[str]:
    """Cut at the dots that are not escaped; the parts stay escaped."""
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
    result, escaped = "", False
    for char in part:
        if char == "\\" and not escaped:
            escaped = True
            continue
        result += char
        escaped = False
    return result
