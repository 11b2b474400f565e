# SPDX-License-Identifier: Apache-2.0
"""A plain call, or a block: its trace point, what is kept of its arguments and result, and its error.

How a callable runs (at once, awaited, in pieces) is not known here: the wrappers in ``instrumentation`` see to that.
What the call raises is its error, whatever it is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler.context import current
from osprofiler.context.pieces import Pieces
from osprofiler.context.points import Point
from osprofiler.context.trace_context import SAMPLED
from osprofiler.context.values import argument_types, arguments, representation, type_text
from osprofiler.delivery import masking
from osprofiler.tracer import global_tracer

B = TypeVar("B")

#: Characters kept of the text of all positional, or all keyword, arguments, and of a result.
MAX_ARGUMENT_CHARS = 16_384

#: Tag of a method's point where another class than the one that defines the method runs it: that class's full name.
CLASS_TAG = "osprofiler.class"


class Definition(NamedTuple):
    """A callable as an attribute of a class, whatever the function behind it is called: a decorator may hide that."""

    owner: type  # the class that defines it
    attribute: str
    takes_self: bool = True  # its first argument is the object, or the class, that runs it

    @property
    def name(self) -> str:
        """Its full name, as a function that is defined in the class has it."""
        attribute, mangling = self.attribute, f"_{self.owner.__name__.lstrip('_')}"
        if attribute.startswith(f"{mangling}__"):
            attribute = attribute.removeprefix(mangling)
        return f"{_class_name(self.owner)}.{attribute}"

    def tags(self, args: tuple[Any, ...]) -> dict[str, Any] | None:
        """The tags of a call with *args*."""
        if not self.takes_self or not args:
            return None
        runs = args[0] if isinstance(args[0], type) else type(args[0])
        return None if runs is self.owner else {CLASS_TAG: _class_name(runs)}


def open_block(here: Point, name: str, info: Mapping[str, Any] | None) -> Point | None:
    """A point for a block of code; None where nothing is recorded. Never raises."""
    if not here.origin.flags & SAMPLED:
        return None
    try:
        return global_tracer.get_tracer().open_point(here, name, info)
    except Exception as fault:
        guard.swallow("start", fault)
        return None


def close(point: Point, fault: BaseException | None) -> None:
    """Close the point of a block or call, which *fault* has ended. Never raises."""
    try:
        point.end(fault=fault)
    except Exception as own:
        guard.swallow("stop", own)


class Call:
    """Opens and closes the trace points of one decorated callable."""

    is_open = False

    __slots__ = ("_base", "_definition", "_function_name", "_hide_args", "_hide_result", "_name", "_parameters")

    def __init__(
        self,
        name: str,
        base: dict[str, Any],
        f: Callable[..., Any],
        definition: Definition | None,
        hide_args: bool,
        hide_result: bool,
    ) -> None:
        self._name = name
        self._base = base
        self._definition = definition
        self._function_name = callable_name(f) if definition is None else definition.name
        self._hide_args = hide_args
        self._hide_result = hide_result
        self._parameters = _positional(f)

    def open(self, here: Point, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Point | None:
        """A point for one call, or None where nothing is recorded."""
        if not here.origin.flags & SAMPLED:
            return None
        try:
            function: dict[str, Any] = {"name": self._function_name}
            if not self._hide_args and (kept := config.current().trace_arguments) != "none":
                show = argument_types
                if kept == "full":
                    show, args = arguments, masking.arguments(self._parameters, args)
                function["args"] = show(args, MAX_ARGUMENT_CHARS)
                function["kwargs"] = show(kwargs, MAX_ARGUMENT_CHARS)
            return global_tracer.get_tracer().open_point(
                here,
                self._name,
                {**self._base, "function": function},
                operation=self._function_name,
                tags=None if self._definition is None else self._definition.tags(args),
            )
        except Exception as fault:
            guard.swallow("start", fault)
            return None

    def begin(
        self, f: Callable[..., B], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Point | None, Pieces | None, B]:
        """A point for what *f* makes, its pieces, and what *f* makes; None, None where nothing is recorded."""
        body = f(*args, **kwargs)
        here = current.point.get()
        if here is None or (point := self.open(here, args, kwargs)) is None:
            return None, None, body
        current.point.set(here)
        return point, Pieces(point), body

    def done(self, point: Point | None, result: Any = None) -> None:
        """Close the point, if there is one, of a call that returned."""
        if point is None:
            return
        info: dict[str, Any] | None = None
        try:
            try:
                if not self._hide_result and (kept := config.current().trace_arguments) != "none":
                    shown = self._shown(result) if kept == "full" else type_text(result)
                    info = {"function": {"result": shown}}
            finally:  # also where the result's own repr exits: the point must not stay current
                point.end(info)
        except Exception as fault:
            guard.swallow("stop", fault)

    def _shown(self, result: Any) -> str:
        """The text of *result*; that of a function that is called like a secret is one."""
        if result is not None and masking.is_secret(self._function_name.rpartition(".")[2]):
            return masking.MASK
        return representation(result, MAX_ARGUMENT_CHARS)

    def failed(self, point: Point | None, fault: BaseException) -> None:
        """Close the point, if there is one, of a call that raised *fault*."""
        if point is not None:
            close(point, fault)


def callable_name(f: Any) -> str:
    """A callable's full name: module and qualified name; of a callable object, its class's."""
    owner = f if hasattr(f, "__qualname__") else type(f)
    if inspect.ismethod(f):
        cls = f.__self__ if inspect.isclass(f.__self__) else type(f.__self__)
        return f"{_class_name(cls)}.{f.__name__}"
    module = getattr(owner, "__module__", None)
    return f"{module}.{owner.__qualname__}" if module and module != "builtins" else str(owner.__qualname__)


def _positional(f: Any) -> tuple[str, ...]:
    """The names of *f*'s parameters that may be given by position; none where it does not tell."""
    try:
        plain = inspect.unwrap(f)
        code = plain.__code__
    except Exception:  # a callable object, one in C
        return ()
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount]
    return names[1:] if inspect.ismethod(plain) else names


def _class_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
