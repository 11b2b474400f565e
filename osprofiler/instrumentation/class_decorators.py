# SPDX-License-Identifier: Apache-2.0
"""Make the methods of classes trace points: a decorator for one class, a metaclass for a hierarchy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from osprofiler.handlers.call import Definition
from osprofiler.instrumentation.decorators import Decorate, trace

T = TypeVar("T", bound=type)


class Traceable(NamedTuple):
    """A method to decorate."""

    attr: Any  # the attribute of the class or object: a function, a static or class method
    definition: Definition | None  # None: only the object has the method, its class does not


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

    The full name of a point is the class that defines the method, and the method's name in that class. Decorators
    around the method do not change it. If the decorated object is not a class, only this object's methods become trace
    points. Methods whose names begin with two underscores are never traced; those with one underscore only with
    *trace_private*. Raises ValueError, before it changes any method, if a method is traced already and
    *allow_multiple_trace* is off.
    """
    traces_kind: dict[type, bool] = {staticmethod: trace_static_methods, classmethod: trace_class_methods}
    decorate = trace(name, info=info, hide_args=hide_args, hide_result=hide_result)

    def decorator(cls: T) -> T:
        is_class = inspect.isclass(cls)
        bases = inspect.getmro(cls if is_class else type(cls))
        methods: dict[str, Traceable] = {}
        for attr_name, attr in inspect.getmembers(cls):
            if _is_traceable(attr_name, attr, trace_private):
                owner = next((base for base in bases if attr_name in vars(base)), None)
                raw = attr if owner is None else vars(owner)[attr_name]
                if not traces_kind.get(type(raw), True):
                    continue
                if owner is None:
                    methods[attr_name] = Traceable(attr, None)
                elif is_class:
                    methods[attr_name] = Traceable(raw, Definition(owner, attr_name))
                else:  # Python does not bind a function that is an attribute of the object itself
                    methods[attr_name] = Traceable(attr, Definition(bases[0], attr_name, takes_self=False))
        decorate_methods(cls, methods, decorate, allow_multiple_trace)
        return cls

    return decorator


class TracedMeta(type):
    """Metaclass: in each class of a hierarchy, the methods that the class itself defines become trace points.

    The class or a base class has an attribute ``__trace_args__``, a dictionary: the arguments of :func:`trace`
    (``name`` is required), and ``trace_private``. Raises TypeError without it.
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
    """Decorate *methods*, by name of attribute, and set them as attributes of *cls*.

    Raises ValueError, before it sets any, if a method is traced already and *allow_multiple* is off.
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
