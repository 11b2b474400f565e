# SPDX-License-Identifier: Apache-2.0
"""Classes whose methods are trace points: a decorator for one class, a metaclass for a hierarchy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from osprofiler.handlers.call import Definition
from osprofiler.instrumentation.decorators import Decorate, trace

T = TypeVar("T", bound=type)


class Traceable(NamedTuple):
    """A method that is to be trace points."""

    attr: Any  # as the class, or the object, has it
    definition: Definition | None  # None: an object has it, and its class knows nothing of it


def trace_cls(
    name: str,
    info: Mapping[str, Any] | None = None,
    hide_args: bool = False,
    hide_result: bool = True,
    trace_private: bool = False,
    allow_multiple_trace: bool = True,
    trace_class_methods: bool = False,
    trace_static_methods: bool = False,
) -> Callable[[T], T]:
    """Make every method of the decorated class, inherited ones included, a trace point called *name*.

    Each point is named by the class that defines the method and the method's name there, whatever decorators are around
    it. Given an object that is no class, it does so for that object alone. Names that begin with two underscores are
    never traced, those with one only with *trace_private*. Raises ValueError, before any method is touched, if one is
    traced already and *allow_multiple_trace* is off.
    """
    wanted: dict[type, bool] = {staticmethod: trace_static_methods, classmethod: trace_class_methods}
    decorate = trace(name, info=info, hide_args=hide_args, hide_result=hide_result)

    def decorator(cls: T) -> T:
        is_class = inspect.isclass(cls)
        bases = inspect.getmro(cls if is_class else type(cls))
        methods: dict[str, Traceable] = {}
        for attr_name, attr in inspect.getmembers(cls):
            if _is_traceable(attr_name, attr, trace_private):
                owner = next((base for base in bases if attr_name in vars(base)), None)
                raw = attr if owner is None else vars(owner)[attr_name]
                if not wanted.get(type(raw), True):
                    continue
                if owner is None:
                    methods[attr_name] = Traceable(attr, None)
                elif is_class:
                    methods[attr_name] = Traceable(raw, Definition(owner, attr_name))
                else:  # what is set on an object is never bound to it
                    methods[attr_name] = Traceable(attr, Definition(bases[0], attr_name, takes_self=False))
        decorate_methods(cls, methods, decorate, allow_multiple_trace)
        return cls

    return decorator


class TracedMeta(type):
    """Metaclass that traces the methods that each class of a hierarchy defines itself.

    The class, or one above it, has ``__trace_args__``: the arguments of :func:`trace`, with ``name`` at least, and
    ``trace_private``. Raises TypeError where it has not.
    """

    def __init__(cls, cls_name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> None:
        super().__init__(cls_name, bases, attrs)
        arguments = dict(getattr(cls, "__trace_args__", {}))
        trace_private = arguments.pop("trace_private", False)
        allow_multiple_trace = arguments.pop("allow_multiple_trace", True)
        if "name" not in arguments:
            raise TypeError(
                f"class {cls_name} needs an attribute __trace_args__, a dictionary with at least the key 'name', "
                "e.g. __trace_args__ = {'name': 'rpc'}"
            )
        methods = {
            key: Traceable(value, Definition(cls, key))
            for key, value in attrs.items()
            if _is_traceable(key, value, trace_private)
        }
        decorate_methods(cls, methods, trace(**arguments), allow_multiple_trace)


def _is_traceable(name: str, attr: Any, private: bool) -> bool:
    if not (inspect.ismethod(attr) or inspect.isfunction(attr)):
        return False
    return not name.startswith("__") and (private or not name.startswith("_"))


def decorate_methods(cls: Any, methods: Mapping[str, Traceable], decorate: Decorate, allow_multiple: bool) -> None:
    """Put *methods*, by their attributes' names, in their places in *cls*, decorated by *decorate*.

    Raises ValueError, before any is put there, if one is traced already and *allow_multiple* is off.
    """
    if not allow_multiple:
        for name, (attr, _) in methods.items():
            times = getattr(attr, "__traced__", 0)
            if times:
                raise ValueError(
                    f"attribute '{name}' of {getattr(cls, '__qualname__', cls)} is traced already ({times} times), "
                    "and multiple tracing is off"
                )
    for name, (attr, definition) in methods.items():
        setattr(cls, name, decorate(attr, definition))
