# SPDX-License-Identifier: Apache-2.0
"""Wrap functions and methods of other libraries, now or when their module is imported, and restore them later.

This imports no library. Another package may wrap the same method after us. Then an uninstall leaves our wrapper in
place, so that the other wrapper stays. Our wrapper passes every call through, and the next install uses it again.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import wrapt

from osprofiler._runtime import guard

Method = Callable[..., Any]
#: Whether the replacement counts for the call that is made now.
When = Callable[[], bool]


class Target(NamedTuple):
    """One function to wrap: its place, and the function that makes the replacement from the original.

    It may be a property: then its getter is wrapped.
    """

    module: str
    owner: str  # its class, or "" for a function of the module; a method that the class inherits is not wrapped
    name: str
    wrap: Callable[[Method], Method]


def own_class(module: ModuleType, name: str) -> type | None:
    """The class *name* that *module* defines; None if the module only has an alias of another module's class.

    A library may replace the class by a subclass, as gevent does with ``threading.Thread``. Then this is the original.
    """
    current_class = getattr(module, name, None)
    classes = current_class.__mro__ if isinstance(current_class, type) else ()
    return next((each for each in classes if (each.__module__, each.__name__) == (module.__name__, name)), None)


class Wrapping:
    """A set of functions that are wrapped, and restored, together."""

    def __init__(self, *targets: Target) -> None:
        self.on = False
        self._when: When | None = None
        self._targets = targets
        self._hooked = False
        self._placed: dict[Target, tuple[Any, Method, Method]] = {}

    def install(self, when: When | None = None) -> None:
        """Wrap. Calls for which *when* is false go to the originals, until another call of this method."""
        self._when = when
        self.on = True
        if not self._hooked:
            self._hooked = True  # an import hook cannot be removed, so it is set once and checks ``on``
            for target in self._targets:
                wrapt.register_post_import_hook(functools.partial(self._imported, target), target.module)
            return
        for target in self._targets:
            if (module := sys.modules.get(target.module)) is not None:
                self._imported(target, module)

    def uninstall(self) -> None:
        """Restore the originals."""
        self.on = False
        for target, (owner, original, replacement) in list(self._placed.items()):
            if vars(owner).get(target.name) is replacement:
                setattr(owner, target.name, original)
                del self._placed[target]

    def _imported(self, target: Target, module: ModuleType) -> None:
        if not self.on or target in self._placed:
            return
        with guard.Harmless("wrapping"):
            owner: Any = own_class(module, target.owner) if target.owner else module
            original = vars(owner).get(target.name) if owner is not None else None
            if original is not None:
                replacement = self._replacement(target, original)
                setattr(owner, target.name, replacement)
                self._placed[target] = owner, original, replacement

    def _replacement(self, target: Target, original: Any) -> Any:
        if isinstance(original, property):
            return original.getter(self._replacement(target, original.fget))
        return self._switched(original, functools.wraps(original)(target.wrap(original)))

    def _switched(self, original: Method, replacement: Method) -> Method:
        @functools.wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:
            if self.on and (self._when is None or self._when()):
                return replacement(*args, **kwargs)
            return original(*args, **kwargs)

        return method
