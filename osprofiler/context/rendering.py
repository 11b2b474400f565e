# SPDX-License-Identifier: Apache-2.0
"""The ``repr`` of values, bounded while it is made.

This module writes Python's own containers itself, item by item, until the limit is reached. It does the same for
namedtuples and dataclasses with a generated ``repr``. For any other object it calls the object's own ``repr``. The cost
of that one call cannot be bounded, but the depth in containers and the total time of all calls are.
"""

from __future__ import annotations

import array
import collections
import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from osprofiler._runtime import clocks

#: Containers nested deeper than this are shown as "...", and objects at this depth by their type.
MAX_DEPTH = 8
#: The time for all calls of objects' own ``repr`` in one text, in nanoseconds. Later objects are shown by their type.
FOREIGN_NS = 100_000_000

_ATOMS = frozenset((bool, int, float, complex, type(None)))
_BUILT_IN = frozenset((list, tuple, dict))
_FEW, _FEW_LEVELS = 16, 3
_NO_REPR: Any = object.__repr__

#: How a container is written: the text before its items, the items, the text after them, and, if the items are pairs,
#: the text between the two members of a pair.
_Shape: TypeAlias = tuple[str, Iterable[Any], str, str]


def shown(value: object, limit: int) -> str:
    """``repr(value)``. A text longer than *limit* characters ends soon after the limit.

    If the ``repr`` of an object raises, the text names the error in its place.
    """
    writer = _Writer(limit)
    writer.write(value, 0)
    return "".join(writer.parts)


def is_written(kind: type) -> bool:
    """Whether this module writes instances of *kind* itself, and does not call their ``repr``."""
    return kind.__repr__ in _LEAVES or _shape_of(kind) is not None


def is_small(value: Any, limit: int) -> bool:
    """Whether plain ``repr(value)`` is safe: no code of the application runs, and it is not much above *limit*."""
    return type(value).__repr__ is _NO_REPR or _are_small((value,), limit, _FEW_LEVELS)


def _are_small(items: Iterable[Any], limit: int, levels: int) -> bool:
    for item in items:
        kind = type(item)
        if kind in _ATOMS:
            continue
        if kind is str or kind is bytes:
            small = len(item) <= limit
        else:
            small = kind in _BUILT_IN and len(item) <= _FEW and levels > 0 and _are_small(item, limit, levels - 1)
            if small and kind is dict:
                small = _are_small(item.values(), limit, levels - 1)
        if not small:
            return False
    return True


def type_name(kind: type) -> str:
    """A type's full name: module and qualified name, without a module for built-in ones."""
    try:
        return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    except Exception:  # a metaclass of the application may compute both names
        return "<type without a name>"


def unprintable(value: object, fault: Exception) -> str:
    """The text for a value whose ``str`` or ``repr`` raised *fault*."""
    return f"<unprintable {type(value).__name__}: {type(fault).__name__}>"


class _Writer:
    """Writes one text: the parts so far, and the characters and the time that are left."""

    __slots__ = ("_left", "_left_ns", "_open", "parts")

    def __init__(self, limit: int) -> None:
        self.parts: list[str] = []
        self._left = limit
        self._left_ns = FOREIGN_NS
        self._open: set[int] = set()  # the containers that are being written

    def write(self, value: object, depth: int) -> None:
        """Write *value*, which lies inside *depth* containers."""
        kind = type(value)
        try:
            if kind in _ATOMS:
                self._put(repr(value))
            elif (leaf := _LEAVES.get(kind.__repr__)) is not None:
                self._put(leaf(value, max(self._left, 0) + 1))
            elif (shape := _shape_of(kind)) is None:
                self._put(self._own(value, depth))
            elif depth >= MAX_DEPTH or id(value) in self._open:
                begin, _, end, _ = shape(value)
                self._put(f"{begin}...{end.lstrip(',')}")
            else:
                self._open.add(id(value))
                try:
                    self._items(*shape(value), depth + 1)
                finally:
                    self._open.discard(id(value))
        except Exception as fault:  # another thread changed the value meanwhile, or its class is hostile
            self._put(unprintable(value, fault))

    def _put(self, part: str) -> None:
        self.parts.append(part)
        self._left -= len(part)

    def _items(self, begin: str, items: Iterable[Any], end: str, joint: str, depth: int) -> None:
        self._put(begin)
        between = ""
        for item in items:
            if self._left < 0:
                return
            self._put(between)
            if joint == "=":
                self._put(item[0])
            elif joint:
                self.write(item[0], depth)
            self._put(joint)
            self.write(item[1] if joint else item, depth)
            between = ", "
        self._put(end)

    def _own(self, value: object, depth: int) -> str:
        """The object's own ``repr``, cut."""
        if depth >= MAX_DEPTH or self._left_ns <= 0:
            return f"<{type_name(type(value))}>"
        begin = clocks.tick_ns()
        try:
            return str.__getitem__(repr(value), slice(max(self._left, 0) + 1))
        finally:
            self._left_ns -= clocks.tick_ns() - begin


def _shape_of(kind: type) -> Callable[[Any], _Shape] | None:
    """The function that describes instances of *kind*; None for a type with a ``repr`` of its own."""
    how = kind.__repr__
    shape = _SHAPES.get(how)
    if shape is None and (code := getattr(how, "__code__", None)) is not None:
        if code is _NAMEDTUPLE:
            return _named
        if code is _DATACLASS and how.__wrapped__.__code__.co_filename == "<string>":  # type: ignore[attr-defined]
            return _dataclass
    return shape


def _set(value: Any) -> _Shape:
    name = type(value).__name__
    if not value:
        return f"{name}(", (), ")", ""
    return ("{", value, "}", "") if type(value) is set else (f"{name}({{", value, "})", "")


def _listed(value: Any) -> _Shape:
    return f"{type(value).__name__}([", value, "])", ""


def _named(value: Any) -> _Shape:
    return f"{type(value).__name__}(", zip(value._fields, tuple.__iter__(value), strict=False), ")", "="


def _dataclass(value: Any) -> _Shape:
    names = (field.name for field in dataclasses.fields(value) if field.repr)
    return f"{type(value).__qualname__}(", ((name, getattr(value, name)) for name in names), ")", "="


def _sliced(value: Any, room: int) -> str:
    return repr(value[:room])


def _memory(value: memoryview, room: int) -> str:
    return f"<memory of {value[:room].tobytes()!r}>" if value.ndim == 1 else repr(value)


# By the function that makes the repr, so that a subclass which inherits it is written like its base class.
_LEAVES: dict[Any, Callable[[Any, int], str]] = {
    str.__repr__: lambda value, room: str.__repr__(str.__getitem__(value, slice(room))),
    bytes.__repr__: _sliced,
    bytearray.__repr__: _sliced,
    array.array.__repr__: _sliced,
    memoryview.__repr__: _memory,
}
_SHAPES: dict[Any, Callable[[Any], _Shape]] = {
    list.__repr__: lambda value: ("[", list.__iter__(value), "]", ""),
    tuple.__repr__: lambda value: ("(", tuple.__iter__(value), ",)" if tuple.__len__(value) == 1 else ")", ""),
    dict.__repr__: lambda value: ("{", dict.items(value), "}", ": "),
    set.__repr__: _set,
    frozenset.__repr__: _set,
    collections.deque.__repr__: _listed,
    collections.OrderedDict.__repr__: lambda value: (f"{type(value).__name__}({{", value.items(), "})", ": "),
    collections.defaultdict.__repr__: lambda value: (f"{type(value).__name__}({{", dict.items(value), "})", ": "),
    type({}.keys()).__repr__: _listed,
    type({}.values()).__repr__: _listed,
    type({}.items()).__repr__: _listed,
    BaseException.__repr__: lambda value: (f"{type(value).__name__}(", value.args, ")", ""),
}


@dataclasses.dataclass
class _Sample:
    pass


# The code objects of generated reprs. All namedtuples share one. All dataclasses share one, around a generated one.
_NAMEDTUPLE = collections.namedtuple("_NAMEDTUPLE", ()).__repr__.__code__
_DATACLASS = _Sample.__repr__.__code__
