# SPDX-License-Identifier: Apache-2.0
"""What the programs that greenthreads run in ask of eventlet and of gevent, by the same names."""

import importlib
from collections.abc import Callable
from typing import Any


def patch(library: str, **parts: bool) -> None:
    """Have *library* replace the standard library, but for *parts* that are turned off."""
    if library == "eventlet":
        importlib.import_module("eventlet").monkey_patch(**parts)
    else:
        importlib.import_module("gevent.monkey").patch_all(**parts)


class Green:
    """A library of greenthreads."""

    def __init__(self, library: str) -> None:
        self.name = library
        self._library: Any = importlib.import_module(library)
        self.spawn: Callable[..., Any] = self._library.spawn
        self.sleep: Callable[[float], None] = self._library.sleep
        self.timeout: Callable[[float], Any] = self._library.Timeout

    def original(self, module: str, name: str) -> Any:
        """The item *name* of the standard library's *module* as it is without the library."""
        if self.name == "eventlet":
            return getattr(importlib.import_module("eventlet.patcher").original(module), name)
        return importlib.import_module("gevent.monkey").get_original(module, name)

    def put_original(self, module: str, name: str, item: Any) -> None:
        """Put *item* in the place of :meth:`original`'s."""
        if self.name == "eventlet":
            setattr(importlib.import_module("eventlet.patcher").original(module), name, item)
        else:
            importlib.import_module("gevent.monkey").saved.setdefault(module, {})[name] = item

    def has_hub(self) -> bool:
        """Whether this native thread has one."""
        if self.name == "eventlet":
            return hasattr(importlib.import_module("eventlet.hubs")._threadlocal, "hub")
        return importlib.import_module("gevent._hub_local").get_hub_if_exists() is not None
