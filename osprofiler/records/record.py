# SPDX-License-Identifier: Apache-2.0
"""The record: one start or stop message of a trace point, as every store holds it.

A record is osprofiler's dictionary: ``name`` (``<point>-start`` or ``<point>-stop``), ``base_id``, ``trace_id``,
``parent_id``, ``timestamp`` (UTC, microseconds), ``info``, and ``project`` and ``service`` if the process has them.
Newer fields are in ``info`` under one reserved key (``names.RESERVED``), which older readers ignore.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from osprofiler.records import fast_json

#: How deep the info of a record may nest, since the json package recurses. Our own writers nest far less.
MOST_DEEP = 100

_CONTAINERS = frozenset((dict, list))

_EPOCH = datetime.datetime(1970, 1, 1)
_MICROSECOND = datetime.timedelta(microseconds=1)

#: The first and the last moment of the calendar, in microseconds since the epoch.
FIRST_US = (datetime.datetime.min - _EPOCH) // _MICROSECOND
LAST_US = (datetime.datetime.max - _EPOCH) // _MICROSECOND


def timestamp(us: int) -> str:
    """The timestamp of a record for *us* microseconds since the epoch: ``2026-11-20T21:46:23.000123``, UTC.

    A time beyond the calendar, such as milliseconds taken for seconds, becomes the first or last moment of it.
    """
    try:
        at = _EPOCH + datetime.timedelta(microseconds=us)
    except OverflowError:
        at = datetime.datetime.max if us > 0 else datetime.datetime.min
    return at.isoformat(timespec="microseconds")


def microseconds(stamp: str) -> int:
    """The inverse of :func:`timestamp`; fewer decimals are accepted. Raises ValueError for any other text."""
    at = _moment(stamp)
    since = (at if at.tzinfo is None else at.replace(tzinfo=None)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _moment(stamp: str) -> datetime.datetime:
    """The moment of a timestamp. Raises ValueError."""
    try:
        return datetime.datetime.fromisoformat(stamp)
    except ValueError:  # Python 3.10 reads three decimals or six
        return datetime.datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%f")


class Unreadable(ValueError):
    """A value is not a record. The message says why, in a few words."""


def loads(text: object) -> dict[str, Any]:
    """The record in *text*, JSON as text or bytes. Raises Unreadable."""
    return checked(loads_json(text))


def loads_mark(text: object) -> dict[str, Any]:
    """As :func:`loads`, for a dictionary that needs only the keys ``MARK``."""
    return checked_mark(loads_json(text))


#: The keys that are needed to list a trace.
MARK = ("base_id", "timestamp")


def checked(value: object) -> dict[str, Any]:
    """*value* if it is a record. Raises Unreadable."""
    record = checked_mark(value)
    for key in ("trace_id", "name"):
        if not isinstance(record.get(key), str):
            raise _no_text(record, key)
    info = record.get("info")
    if info is not None and not isinstance(info, dict):
        raise Unreadable(f"its info is {_kind(info)}")
    if info and _is_deep(info):
        raise Unreadable(f"it is nested more than {MOST_DEEP} levels deep")
    return record


def checked_mark(value: object) -> dict[str, Any]:
    """*value* if it has the keys ``MARK`` of a record. Raises Unreadable."""
    if not isinstance(value, dict):
        raise Unreadable(f"it is {_kind(value)}, not a record")
    for key in MARK:
        if not isinstance(value.get(key), str):
            raise _no_text(value, key)
    try:
        _moment(value["timestamp"])
    except ValueError:
        raise Unreadable(f"its timestamp is not a time: {value['timestamp'][:40]!r}") from None
    return value


def _no_text(record: dict[str, Any], key: str) -> Unreadable:
    return Unreadable(f"its {key} is {_kind(record[key])}" if key in record else f"it has no {key}")


def _kind(value: object) -> str:
    return "null" if value is None else f"of the type {type(value).__name__}"


def loads_json(text: object) -> Any:
    """The value of *text*, JSON as text or bytes; an object of another type as it is. Raises Unreadable."""
    if not isinstance(text, (str, bytes)):
        return text
    try:
        return fast_json.loads(text.decode("utf-8") if isinstance(text, bytes) else text)
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8") from None
    except RecursionError:
        raise Unreadable(f"it is nested more than {MOST_DEEP} levels deep") from None
    except ValueError as fault:
        raise Unreadable(f"it is not JSON: {fault}") from None


def _is_deep(info: dict[str, Any]) -> bool:
    containers: list[Any] = [info]
    for container in containers:  # which grows
        for item in container.values() if type(container) is dict else container:
            if type(item) in _CONTAINERS:
                containers.append(item)
    if len(containers) <= MOST_DEEP:  # nearly always: then nobody has to look at the levels
        return False
    level: list[Any] = [info]
    for _ in range(MOST_DEEP):
        level = [
            item
            for container in level
            for item in (container.values() if type(container) is dict else container)
            if type(item) in _CONTAINERS
        ]
        if not level:
            return False
    return True


def split_name(name: str) -> tuple[str, str]:
    """The name of a record as (point name, ``start`` or ``stop``). Only the last ``-start`` or ``-stop`` is removed."""
    point, dash, phase = name.rpartition("-")
    return (point, phase) if dash and phase in ("start", "stop") else (name, "start")


def another_id(trace_id: str, count: int) -> str:
    """An id for the span number *count* of those with the id *trace_id*, so that two spans never become one."""
    return f"{trace_id}#{count}"


_NOTHING: Mapping[str, Any] = MappingProxyType({})


def as_mapping(value: object) -> Mapping[str, Any]:
    """*value*, a part of a record, if it is a mapping; otherwise an empty mapping."""
    # isinstance() with an abstract class costs a microsecond, and a trace may have hundreds of thousands of records.
    if type(value) is dict:
        return value
    return value if value is not None and isinstance(value, Mapping) else _NOTHING
