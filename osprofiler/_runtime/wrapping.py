# SPDX-License-Identifier: Apache-2.0
"""Wrap functions and methods of other people's modules, now or when the module is imported, and put them back.

Nothing is imported for it. Whoever wraps the same method after us is not undone by our going: then our layer stays
where it is, lets every call through, and is used again by the next install.
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


class Target(NamedTuple):
    """One function: where it is, and what makes its replacement from it."""

    module: str
    owner: str  # its class, "" for a function of the module itself; inherited methods are not looked at
    name: str
    wrap: Callable[[Method], Method]


def own_class(module: ModuleType, name: str) -> type | None:
    """The class *name* that is *module*'s own; None where it has but the alias of another module's.

    A library may have put a subclass in its place, as gevent does with ``threading.Thread``: then the class below that.
    """
    placed = getattr(module, name, None)
    classes = placed.__mro__ if isinstance(placed, type) else ()
    return next((each for each in classes if (each.__module__, each.__name__) == (module.__name__, name)), None)


class Wrapping:
    """A set of functions that are wrapped, and put back, together."""

    def __init__(self, *targets: Target) -> None:
        self.on = False
        self._targets = targets
        self._hooked = False
        self._placed: dict[Target, tuple[Any, Method, Method]] = {}

    def install(self) -> None:
        """Wrap; a second call does nothing."""
        self.on = True
        if not self._hooked:
            self._hooked = True  # import hooks cannot be taken back, so they are set once and look at ``on``
            for target in self._targets:
                wrapt.register_post_import_hook(functools.partial(self._imported, target), target.module)
            return
        for target in self._targets:
            if (module := sys.modules.get(target.module)) is not None:
                self._imported(target, module)

    def uninstall(self) -> None:
        """Put the originals back."""
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
                replacement = self._switched(original, functools.wraps(original)(target.wrap(original)))
                setattr(owner, target.name, replacement)
                self._placed[target] = owner, original, replacement

    def _switched(self, original: Method, replacement: Method) -> Method:
        @functools.wraps(original)
        def method(*args: Any, **kwargs: Any) -> Any:
            return replacement(*args, **kwargs) if self.on else original(*args, **kwargs)

        return method
