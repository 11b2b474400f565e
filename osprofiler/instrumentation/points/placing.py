# SPDX-License-Identifier: Apache-2.0
"""Puts trace points into classes and modules of a service, and takes them out again while it runs.

The points in force are a list. What it asks for is compared with what is in place: when the list changes, when a module
that it names is imported, and, for subclasses, when a unit of work begins after more modules were imported. A function
that is traced already stays as it is. A function that is not a point any more is the original again.
"""

from __future__ import annotations

import _thread
import logging
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

import wrapt

from osprofiler import config
from osprofiler._runtime import forks, guard
from osprofiler.config.point_spec import PointSpec
from osprofiler.handlers.call import Call, Definition, ModuleFunction
from osprofiler.instrumentation.decorators import is_traced, point
from osprofiler.instrumentation.points import targets
from osprofiler.instrumentation.points.targets import Target

LOG = logging.getLogger(__name__)

_INHERITED: Any = object()


class _Placed(NamedTuple):
    """What is, or was, in the place of one function."""

    original: Any  # the attribute's value before; _INHERITED: the class itself had none
    replacement: Any
    call: Call


class Placing:
    """The points in force, and those in place."""

    def __init__(self) -> None:
        self._specs: tuple[PointSpec, ...] = ()
        self._placed: dict[Target, _Placed] = {}
        self._hooked: set[str] = set()  # an import hook cannot be removed, so there is one a module
        self._imported: set[str] = set()  # of the modules with a hook: not those that are being imported now
        self._reported: set[PointSpec] = set()
        self._modules = 0
        self.start_over()

    def start_over(self) -> None:
        """Have a new lock, in a forked child: a thread of the parent may hold the old one."""
        self._lock = _thread.RLock()  # native, also if eventlet has patched threading: the policy's reader may be so

    def follow(self, specs: tuple[PointSpec, ...]) -> None:
        """Have the points that *specs* ask for, and no others; of two for one function the last counts."""
        with self._lock:
            if specs == self._specs:
                return
            self._specs = specs
            to_hook = {spec.module for spec in specs} - self._hooked
            self._hooked |= to_hook
            self._imported |= to_hook & sys.modules.keys()
            self._compare()
        for name in to_hook - self._imported:  # outside of the lock: wrapt has one too, and takes that first
            wrapt.register_post_import_hook(self._after_import, name)
        (config.watch if any(spec.subclasses for spec in specs) else config.unwatch)(self.look)

    def look(self) -> None:
        """Have the points of subclasses, if modules have been imported since the last look."""
        if len(sys.modules) != self._modules:
            with guard.Harmless("points"), self._lock:
                self._compare()

    def _after_import(self, module: ModuleType) -> None:
        with guard.Harmless("points"), self._lock:
            self._imported.add(module.__name__)
            self._compare()

    def _compare(self) -> None:
        """Make what is in place equal to what is wanted."""
        self._modules = len(sys.modules)
        wanted = self._wanted()
        for target in self._placed.keys() - wanted.keys():
            self._restore(target)
        for target, spec in wanted.items():
            with guard.Harmless("points"):
                self._place(target, spec)

    def _wanted(self) -> dict[Target, PointSpec]:
        wanted: dict[Target, PointSpec] = {}
        for spec in self._specs:
            module = sys.modules.get(spec.module)
            if module is None or spec.module not in self._imported:
                continue
            asked_for = list(targets.of(spec, module))
            wanted.update(dict.fromkeys(asked_for, spec))
            if not (asked_for or (spec.subclasses and targets.owner_of(spec, module))) and spec not in self._reported:
                self._reported.add(spec)
                LOG.warning("[profiler] points: there is nothing to trace at %s", spec.target)
        return {target: spec for target, spec in wanted.items() if spec.rate}

    def _place(self, target: Target, spec: PointSpec) -> None:
        owner, attribute = target
        value = vars(owner).get(attribute, _INHERITED)
        placed = self._placed.get(target)
        if placed is None or not (value is placed.original or _is_traced(value)):
            original = self._original(target)
            if _is_traced(original):
                return
            placed = self._placed[target] = _Placed(value, *_replacement(target, original))
        placed.call.change(spec.name, hide_args=spec.hide_args, rate=spec.rate)
        if value is placed.original:
            setattr(owner, attribute, placed.replacement)

    def _restore(self, target: Target) -> None:
        placed = self._placed[target]
        # Another module may have the replacement too, or have put its own on top.
        placed.call.change("", hide_args=True, rate=0.0)
        if vars(target.owner).get(target.attribute) is placed.replacement:
            if placed.original is _INHERITED:
                delattr(target.owner, target.attribute)
            else:
                setattr(target.owner, target.attribute, placed.original)

    def _original(self, target: Target) -> Any:
        """The attribute's value, or the one that its class inherits, without our points."""
        owner, attribute = target
        for each in owner.__mro__ if isinstance(owner, type) else (owner,):
            value = vars(each).get(attribute, _INHERITED)
            placed = self._placed.get(Target(each, attribute))
            if placed is not None and value is placed.replacement:
                value = placed.original
            if value is not _INHERITED:
                return value
        raise AttributeError(attribute)


def _is_traced(value: Any) -> bool:
    return is_traced(targets.function_of(value))


def _replacement(target: Target, original: Any) -> tuple[Any, Call]:
    """What stands in the place of *original*, and the points that it opens."""
    owner, attribute = target
    function: Callable[..., Any] = targets.function_of(original)
    definition: Definition | ModuleFunction
    if isinstance(owner, ModuleType):
        definition = ModuleFunction(owner.__name__, attribute)
    else:
        definition = Definition(owner, attribute, takes_self=not isinstance(original, staticmethod))
        if type(function) is not FunctionType and definition.takes_self:
            function = _bound_at_each_call(function)
    call = Call("", {}, function, definition, hide_args=True, hide_result=True)
    wrapper: Any = point(function, call)
    if isinstance(original, (staticmethod, classmethod)):
        return type(original)(wrapper), call
    if isinstance(original, property):
        return property(wrapper, original.fset, original.fdel, original.__doc__), call
    return wrapper, call


def _bound_at_each_call(method: Any) -> Callable[..., Any]:
    """A function in the place of a *method* with a decorator of wrapt, which asks what it is bound to."""

    def call(instance: Any, /, *args: Any, **kwargs: Any) -> Any:
        return method.__get__(instance, type(instance))(*args, **kwargs)

    return call


placing = Placing()

forks.in_child(placing.start_over)
