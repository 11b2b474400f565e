# SPDX-License-Identifier: Apache-2.0
"""Which attributes of classes and modules a :class:`PointSpec` asks for. Nothing is called or imported to know that."""

from __future__ import annotations

import dis
import fnmatch
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import wrapt

from osprofiler.config.conditions import WILDCARDS
from osprofiler.config.point_spec import PUBLIC, PointSpec

# What a function uses that only says that a subclass must have it.
_REFUSALS = frozenset(("NotImplementedError", "_"))

# The longest code, in bytes, that can be one to return a constant; and its instructions.
_SHORT = 8
_RETURNS = frozenset(("RESUME", "LOAD_CONST", "LOAD_SMALL_INT", "RETURN_CONST", "RETURN_VALUE"))


class Target(NamedTuple):
    """One attribute that is to be trace points."""

    owner: type | ModuleType  # named by the point; a method may be inherited
    attribute: str


def of(spec: PointSpec, module: ModuleType) -> Iterator[Target]:
    """The targets of *spec* in its *module*, which has been imported; with those in subclasses, wherever they are."""
    owner = owner_of(spec, module)
    if isinstance(owner, ModuleType):
        yield from _of_module(owner, spec.attribute)
    elif owner is not None:
        yield from _of_class(owner, spec.attribute)
        for cls in subclasses(owner) if spec.subclasses else ():
            yield from _of_subclass(cls, spec.attribute)


def owner_of(spec: PointSpec, module: ModuleType) -> type | ModuleType | None:
    """The class of *module*, or *module* itself, whose attribute *spec* names; None if there is no such class."""
    owner: Any = module
    for name in spec.classes:
        owner = vars(owner).get(name)
        if not isinstance(owner, type):
            return None
    return owner  # type: ignore[no-any-return]


def subclasses(cls: type) -> list[type]:
    """All subclasses of *cls*, without itself, each once."""
    tree: dict[type, None] = {}
    to_do = [cls]
    while to_do:
        below: list[type] = type.__subclasses__(to_do.pop())
        to_do += [each for each in below if each not in tree]
        tree.update(dict.fromkeys(below))
    return list(tree)


def function_of(value: Any) -> Any:
    """The function behind the *value* of an attribute that calls one; None for any other value.

    That is a function itself, one with a decorator that wrapt made, a static or class method, or a property.
    """
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    elif type(value) is property:
        value = value.fget
    if type(value) is FunctionType:
        return value
    # Asked by its type: many an object says that it is something else, and may run code to find out.
    if issubclass(type(value), wrapt.FunctionWrapper) and type(value.__wrapped__) is FunctionType:
        return value
    return None


def _of_module(module: ModuleType, attribute: str) -> Iterator[Target]:
    values = vars(module)
    if not _is_pattern(attribute):
        yield from _of_value(module, attribute, values.get(attribute))
        return
    for name, value in list(values.items()):
        is_callable = isinstance(value, type) or (function_of(value) is not None and type(value) is not property)
        if is_callable and _fits(name, attribute) and value.__module__ == module.__name__:
            yield from _of_value(module, name, value)


def _of_class(cls: type, attribute: str) -> Iterator[Target]:
    if _is_pattern(attribute):
        yield from (each for each in _fitting(cls, attribute) if not _is_idle(vars(cls)[each.attribute]))
        return
    for each in cls.__mro__:
        if attribute in vars(each):
            yield from _of_value(cls, attribute, vars(each)[attribute])
            return


def _of_subclass(cls: type, attribute: str) -> Iterator[Target]:
    if _is_pattern(attribute):
        yield from _fitting(cls, attribute)
    elif attribute in vars(cls):
        yield from _of_value(cls, attribute, vars(cls)[attribute])


def _fitting(cls: type, pattern: str) -> Iterator[Target]:
    """The methods that *cls* defines and that fit *pattern*, without those that only a subclass can have."""
    for name, value in list(vars(cls).items()):
        function = None if type(value) is property else function_of(value)
        if function is not None and _fits(name, pattern) and not _is_refusal(function):
            yield Target(cls, name)


def _of_value(owner: type | ModuleType, attribute: str, value: Any) -> Iterator[Target]:
    if isinstance(value, type):
        yield from _of_class(value, PUBLIC)
    elif function_of(value) is not None:
        yield Target(owner, attribute)


def _is_pattern(attribute: str) -> bool:
    return not WILDCARDS.isdisjoint(attribute)


def _fits(name: str, pattern: str) -> bool:
    if name.startswith("_") and (name.startswith("__") or not pattern.startswith("_")):
        return False
    return fnmatch.fnmatchcase(name, pattern)


def _is_refusal(function: Any) -> bool:
    """Whether *function* only says that a subclass must have it."""
    if getattr(function, "__isabstractmethod__", False):
        return True
    names = function.__code__.co_names
    return "NotImplementedError" in names and _REFUSALS.issuperset(names)


def _is_idle(value: Any) -> bool:
    """Whether the function behind *value* only returns a constant, as a hook for subclasses does."""
    code = function_of(value).__code__
    return len(code.co_code) <= _SHORT and _RETURNS.issuperset(each.opname for each in dis.get_instructions(code))
