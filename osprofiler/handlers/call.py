# SPDX-License-Identifier: Apache-2.0
"""A plain call, or a block of code: its trace point, the text of its arguments and result, and its error.

Every exception that the call raises is its error. This module does not know how a callable runs (at once, awaited, in
pieces): the wrappers in ``instrumentation`` do.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler.config import switches
from osprofiler.config.table import Settings
from osprofiler.context import current
from osprofiler.context.pieces import Pieces
from osprofiler.context.points import Point
from osprofiler.context.trace_context import SAMPLED
from osprofiler.context.values import argument_types, arguments, representation, type_text
from osprofiler.delivery.masking import by_name
from osprofiler.delivery.masking.names import MASK
from osprofiler.records import names
from osprofiler.tracer import global_tracer

B = TypeVar("B")

#: The longest text, in characters, of all positional arguments, of all keyword arguments, and of a result.
MAX_ARGUMENT_CHARS = 16_384

# Of our own generator: a service may have seeded Python's, to draw the same numbers again.
_draw = random.Random().random


class Definition(NamedTuple):
    """The place of a callable in a class. Its function may have another name, because a decorator hides it."""

    owner: type  # the class that defines it
    attribute: str
    takes_self: bool = True  # its first argument is the object or the class on which it is called

    @property
    def name(self) -> str:
        """The full name that a function has if the class defines it: module, class and attribute."""
        attribute, mangling = self.attribute, f"_{self.owner.__name__.lstrip('_')}"
        if attribute.startswith(f"{mangling}__"):
            attribute = attribute.removeprefix(mangling)
        return f"{_class_name(self.owner)}.{attribute}"

    def tags(self, args: tuple[Any, ...]) -> dict[str, Any] | None:
        """The tags of a call with *args*: the class on which it is called, if that is not the owner."""
        if not self.takes_self or not args:
            return None
        cls = args[0] if isinstance(args[0], type) else type(args[0])
        return None if cls is self.owner else {names.CLASS: _class_name(cls)}


class ModuleFunction(NamedTuple):
    """A callable as an attribute of a module, whatever the function behind it is called."""

    module: str
    attribute: str

    @property
    def name(self) -> str:
        """Its full name."""
        return f"{self.module}.{self.attribute}"

    def tags(self, args: tuple[Any, ...]) -> None:
        """A call of it needs no tags of its own."""


def open_block(here: Point, name: str, info: Mapping[str, Any] | None) -> Point | None:
    """Open a point for a block of code. None if nothing is recorded. Never raises."""
    if not here.origin.flags & SAMPLED:
        return None
    try:
        return global_tracer.get_tracer().open_point(here, name, info)
    except Exception as fault:
        guard.swallow("start", fault)
        return None


def close(point: Point, fault: BaseException | None = None, where: str = "stop") -> None:
    """Close *point*; *fault* is its error. Never raises: a fault of tracing is counted as ``fault.<where>``."""
    try:
        point.end(fault=fault)
    except Exception as own:
        guard.swallow(where, own)


class Closing:
    """``with Closing(point):`` is a block that runs at a trace point, which is closed at its end.

    An exception of the block is the error of the point; it reaches the caller. *point* is None if the block is not
    recorded.
    """

    __slots__ = ("_point", "error")

    def __init__(self, point: Point | None) -> None:
        self._point = point
        #: The block may set this to an error that it does not raise, such as that of one command of a pipeline.
        self.error: BaseException | None = None

    def __enter__(self) -> Closing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._point is not None:
            close(self._point, fault or self.error)


class Call:
    """Opens and closes the trace points of one decorated callable."""

    is_open = False  # each call opens a point: see instrumentation.bodies.Opening

    __slots__ = (
        "_base", "_definition", "_function_name", "_hide_args", "_hide_result", "_name", "_parameters", "_rate"
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        base: dict[str, Any],
        f: Callable[..., Any],
        definition: Definition | ModuleFunction | None,
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
        self._rate = 1.0

    def change(self, name: str, *, hide_args: bool, rate: float) -> None:
        """Have other points from now on; *rate* is the share of calls that become points: 0 (none) .. 1 (all)."""
        self._name = name
        self._hide_args = hide_args
        self._rate = rate
        self._base = {"rate": rate} if rate < 1.0 else {}

    def open(self, here: Point, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Point | None:
        """Open a point for one call. None if nothing is recorded."""
        if not here.origin.flags & SAMPLED:
            return None
        if self._rate < 1.0 and _draw() >= self._rate:
            return None
        try:
            settings = config.current()
            if self._name.startswith(settings.names_off):
                return None
            function: dict[str, Any] = {"name": self._function_name}
            if not self._hide_args and (detail := switches.arguments(here.origin, settings)) != "none":
                show = argument_types
                if detail == "full":
                    show, args = arguments, by_name.arguments(self._parameters, args, settings)
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
        """Call *f*, which makes a generator, and open a point for it.

        Returns the point, its pieces, and the generator. The point and its pieces are None if nothing is recorded.
        """
        body = f(*args, **kwargs)
        here = current.point.get()
        if here is None or (point := self.open(here, args, kwargs)) is None:
            return None, None, body
        current.point.set(here)
        return point, Pieces(point), body

    def done(self, point: Point | None, result: Any = None) -> None:
        """Close *point*, if it is not None, after the call has returned *result*."""
        if point is None:
            return
        info: dict[str, Any] | None = None
        try:
            try:
                if not self._hide_result:
                    settings = config.current()
                    detail = switches.arguments(point.origin, settings)
                    if detail != "none":
                        shown = self._result_text(result, settings) if detail == "full" else type_text(result)
                        info = {"function": {"result": shown}}
            finally:  # the repr of the result may raise SystemExit: the point must not stay current
                point.end(info)
        except Exception as fault:
            guard.swallow("stop", fault)

    def _result_text(self, result: Any, settings: Settings) -> str:
        """The text of *result*, masked if the function has the name of a secret."""
        if result is not None and by_name.is_secret(self._function_name.rpartition(".")[2], settings):
            return MASK
        return representation(result, MAX_ARGUMENT_CHARS)

    def failed(self, point: Point | None, fault: BaseException) -> None:
        """Close *point*, if it is not None, after the call has raised *fault*."""
        if point is not None:
            close(point, fault)


def callable_name(f: Any) -> str:
    """The full name of a callable: its module and qualified name. A callable object has the name of its class."""
    owner = f if hasattr(f, "__qualname__") else type(f)
    if inspect.ismethod(f):
        cls = f.__self__ if inspect.isclass(f.__self__) else type(f.__self__)
        return f"{_class_name(cls)}.{f.__name__}"
    module = getattr(owner, "__module__", None)
    return f"{module}.{owner.__qualname__}" if module and module != "builtins" else str(owner.__qualname__)


def _positional(f: Any) -> tuple[str, ...]:
    """The names of the positional parameters of *f*; empty if they are not known."""
    try:
        plain = inspect.unwrap(f)
        code = plain.__code__
    except Exception:  # a callable object, or a function written in C
        return ()
    parameters: tuple[str, ...] = code.co_varnames[: code.co_argcount]
    return parameters[1:] if inspect.ismethod(plain) else parameters


def _class_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
