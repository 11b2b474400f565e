# SPDX-License-Identifier: Apache-2.0
"""Turn application values into bounded, immutable text and numbers, at once and in the caller.

An object rendered later would show later state, and a queue that holds application objects keeps them alive. The
result consists only of ``dict``, ``list``, ``str``, ``int``, ``float``, ``bool`` and ``None``. It is valid UTF-8 and
JSON, has no NUL (PostgreSQL refuses it), and fits a budget of characters.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Mapping
from typing import Any

from osprofiler.context import rendering
from osprofiler.context.rendering import MAX_DEPTH

#: Characters kept of a name: an operation's, a tag's, a key's.
MAX_NAME_CHARS = 256

_CUT = "...(cut)"
_PLAIN = frozenset((bool, type(None)))
_NUMBERS = _PLAIN | {int, float}
# The __str__ of types whose str() is their repr().
_AS_REPR = frozenset((object.__str__, bytes.__str__, bytearray.__str__))
#: The fixed cost of an item, a tag or a log in addition to its text, in characters: its part of a dictionary, and a
#: number or the head of a string.
ITEM_CHARS = 64
#: The fixed cost of a container inside another one, or of a log, in addition to its items, in characters.
CONTAINER_CHARS = 192
#: Names that are known to be valid, each with the cost in characters of an item with that name, without its value.
#: Services use the same few names again and again.
usual: dict[str, int] = {}
_MOST_USUAL = 2048
_FEW = 64


def text(value: object, limit: int) -> str:
    """``str(value)``, at most *limit* characters. If ``__str__`` raises, a text that names the type and the error.

    Containers and the arguments of an exception are written until the limit is reached (see :mod:`rendering`).
    """
    try:
        kind = type(value)
        if kind is str:
            return clean(value, limit)  # type: ignore[arg-type]
        how = kind.__str__
        if how is BaseException.__str__:
            args = value.args  # type: ignore[attr-defined]
            return "" if not args else text(args[0] if len(args) == 1 else args, limit)
        if how in _AS_REPR and rendering.is_written(kind):
            return representation(value, limit)
        # __str__ may return an instance of a subclass of str that overrides its methods.
        return clean(str.__str__(str(value)), limit)
    except Exception as fault:
        return clean(rendering.unprintable(value, fault), MAX_NAME_CHARS)


def label(value: object) -> str:
    """*value* as a name: text of at most :data:`MAX_NAME_CHARS`."""
    if type(value) is str:
        if value in usual:
            return value
        if len(value) <= MAX_NAME_CHARS and value.isascii() and "\0" not in value:
            if len(usual) >= _MOST_USUAL:
                usual.clear()  # the usual names come back soon; many unusual names must not keep them out
            usual[value] = len(value) + ITEM_CHARS
            return value
    return text(value, MAX_NAME_CHARS)


def representation(value: object, limit: int) -> str:
    """``repr(value)``, bounded like :func:`text`."""
    try:
        return clean(rendering.shown(value, limit), limit)
    except Exception as fault:
        return clean(rendering.unprintable(value, fault), MAX_NAME_CHARS)


def arguments(values: tuple[Any, ...] | dict[str, Any], limit: int) -> str:
    """The text of a call's positional or keyword arguments, as Python shows them, bounded like :func:`text`.

    If one argument cannot be shown, the others still are.
    """
    if not values:
        return repr(values)
    try:
        if len(values) <= _FEW:
            for item in values.values() if type(values) is dict else values:
                if type(item) not in _NUMBERS and not rendering.is_small(item, limit):
                    break
            else:
                return clean(repr(values), limit)
    except Exception:
        pass  # render them one by one, so that only the wrong one is replaced
    return representation(values, limit)


def argument_types(values: tuple[Any, ...] | dict[str, Any], limit: int) -> str:
    """The same as :func:`arguments`, but each argument is shown by its type: no code of the application runs."""
    if isinstance(values, dict):
        named = ", ".join(f"{key!r}: {type_text(item)}" for key, item in itertools.islice(values.items(), limit))
        return clean(f"{{{named}}}", limit)
    types = ", ".join(map(type_text, itertools.islice(values, limit)))
    return clean(f"({types},)" if len(values) == 1 else f"({types})", limit)


def type_text(value: object) -> str:
    """The name of *value*'s type."""
    return label(rendering.type_name(type(value)))


def clean(value: str, limit: int) -> str:
    """*value* without NUL and lone surrogates, cut to *limit* characters. A text that was cut says so at its end."""
    if len(value) > limit:
        value = value[: max(limit - len(_CUT), 0)] + _CUT
    if not value.isascii():
        value = value.encode("utf-8", "replace").decode("utf-8")
    if "\0" in value:
        value = value.replace("\0", "\ufffd")
    return value


def frozen(value: Any, room: int) -> tuple[Any, int]:
    """A bounded immutable copy of *value*, and how many of *room* characters it uses."""
    # Most values are short ASCII text or a boolean: a few comparisons and two scans are cheaper than a Budget.
    kind = type(value)
    if kind is str and len(value) < room and value.isascii() and "\0" not in value:
        return value, len(value)
    if kind in _PLAIN:
        return value, 0
    budget = Budget(room)
    return budget.freeze(value), room - budget.left


def frozen_info(info: Any, room: int) -> tuple[dict[str, Any], int]:
    """A bounded copy of an ``info`` mapping, and how many of *room* characters it uses."""
    return plain_copy(info, room) or bounded_copy(info, room)


def bounded_copy(info: Any, room: int) -> tuple[dict[str, Any], int]:
    """:func:`frozen_info` for a mapping of which :func:`plain_copy` makes no copy."""
    budget = Budget(room)
    return budget.freeze_info(info), room - budget.left


def plain_copy(info: Any, room: int, depth: int = 0) -> tuple[dict[str, Any], int] | None:
    """A copy of a small mapping with usual names and plain values, and how many of *room* characters it uses.

    None for any other one. Nearly every info, and the tags of handlers, are so: these are only checked, not copied one
    by one. The copy is checked, since another thread may change the original meanwhile. A mapping in it is copied in
    the same way; *info* lies inside *depth* others.
    """
    if type(info) is not dict or len(info) > _FEW:
        return None
    copy = info.copy()
    chars = 0
    known = usual.get
    for key, value in copy.items():
        name_chars = known(key) if type(key) is str else None
        if name_chars is None:
            return None
        chars += name_chars
        kind = type(value)
        if kind is str:
            if not value.isascii() or "\0" in value:
                return None
            chars += len(value)
        elif kind is int:
            if value.bit_length() > 63:
                return None
        elif kind is dict and depth < MAX_DEPTH:
            inner = plain_copy(value, room - chars - CONTAINER_CHARS, depth + 1)
            if inner is None:
                return None
            copy[key] = inner[0]
            chars += inner[1] + CONTAINER_CHARS
        elif kind not in _PLAIN and not (kind is float and math.isfinite(value)):
            return None
    return (copy, chars) if chars < room else None


class Budget:
    """The characters that one span may still use. A value costs its text; an item has a fixed cost as well."""

    __slots__ = ("left",)

    def __init__(self, chars: int) -> None:
        self.left = chars

    def freeze(self, value: Any, depth: int = 0) -> Any:
        """A bounded immutable copy of *value* (see the docstring of the module)."""
        kind = type(value)
        if kind is str:
            # Most values are short ASCII text: one comparison and two scans are cheaper than a call.
            if len(value) < self.left and value.isascii() and "\0" not in value:
                self.left -= len(value)
                return value
            return self._text(value)
        if (
            kind in _PLAIN
            or (kind is int and -(1 << 63) <= value < 1 << 63)
            or (kind is float and math.isfinite(value))
        ):
            return value
        try:
            if kind is dict and depth < MAX_DEPTH:
                return self._dict(value, depth + 1)
            return self._other(value, depth)
        except Exception as fault:  # another thread changed the value meanwhile, or its class is hostile
            return self._text(rendering.unprintable(value, fault))

    def freeze_info(self, info: Any) -> dict[str, Any]:
        """A bounded copy of an ``info`` mapping; ``{"unreadable": <error>}`` if it cannot be read."""
        try:
            return self._dict(info, 0)
        except Exception as fault:
            return {"unreadable": type(fault).__name__}

    def _other(self, value: Any, depth: int) -> Any:
        """Copy a value that :meth:`freeze` does not handle. A member of an enumeration becomes its number or string."""
        if isinstance(value, str):
            return self._text(str.__str__(value))
        if isinstance(value, int):
            number = int.__int__(value)
            return self._text(number) if type(value) is int else self.freeze(number, depth)
        if isinstance(value, float):
            real = float.__float__(value)
            return self.freeze(real, depth) if math.isfinite(real) else self._text(real)
        if isinstance(value, (bytes, bytearray)):
            return self._bytes(value)
        if isinstance(value, dict):
            return self._dict(value, depth + 1) if depth < MAX_DEPTH else self._text(value)
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._list(value, depth + 1) if depth < MAX_DEPTH else self._text(value)
        return self._buffer(value, depth)

    def _buffer(self, value: Any, depth: int) -> Any:
        """Copy a value that supports the buffer protocol as its bytes or numbers; any other value as its text.

        Examples: memoryview, array, mmap, ctypes' arrays, numpy's arrays and scalars.
        """
        try:
            with memoryview(value) as view:
                dimensions, item_bytes = view.ndim, view.itemsize
                number = None if dimensions else view.tolist()
            if not dimensions:
                return self.freeze(number, depth)
            if dimensions == 1 and item_bytes == 1:
                return self._bytes(value)
            if depth < MAX_DEPTH:
                return self._list(value, depth + 1)
        except Exception:
            pass  # no buffer protocol, or a buffer whose items Python cannot read
        return self._text(value)

    def _bytes(self, value: Any) -> str:
        return self._text(bytes(value[: max(self.left, 0) + 1]).decode("utf-8", "replace"))

    def _text(self, value: object) -> str:
        result = text(value, max(self.left, len(_CUT)))
        # A character outside ASCII takes two to four bytes, on the wire and in the queue.
        self.left -= len(result) if result.isascii() else len(result.encode())
        return result

    def _dict(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        if depth:
            self.left -= CONTAINER_CHARS
        for key, item in value.items():
            left = self.left
            if left <= 0:
                result[_CUT] = f"{len(value) - len(result)} keys"
                break
            name = key if type(key) is str and key in usual else label(key)
            left -= len(name) + ITEM_CHARS
            # The first check of freeze(), without the call: the caller of each trace point pays for this loop.
            if type(item) is str and len(item) < left and item.isascii() and "\0" not in item:
                self.left = left - len(item)
                result[name] = item
            else:
                self.left = left
                result[name] = self.freeze(item, depth)
        return result

    def _list(self, value: Collection[Any], depth: int) -> list[Any]:
        result: list[Any] = []
        self.left -= CONTAINER_CHARS
        for item in value:
            if self.left <= 0:
                result.append(f"{_CUT} {len(value) - len(result)} items")
                break
            self.left -= ITEM_CHARS
            result.append(self.freeze(item, depth))
        return result
