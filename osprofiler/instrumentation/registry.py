# SPDX-License-Identifier: Apache-2.0
"""Execution models and libraries that ``[profiler] instrument`` turns on by name.

The module of a name is imported when the name is first used. It does not import the library: it wraps the library when
the service imports it.
"""

from __future__ import annotations

import functools
import importlib
import threading
from typing import Any

from osprofiler._runtime import entry_points, guard
from osprofiler.config import Settings
from osprofiler.context import current
from osprofiler.instrumentation import layers
from osprofiler.instrumentation.layers import State

_LIBRARIES = "osprofiler.instrumentation."
_MODELS = "osprofiler.concurrency."

#: For each name, the modules that implement it: each has functions ``instrument`` and ``uninstrument``.
_MODULES: dict[str, tuple[str, ...]] = {
    "asyncio": (_MODELS + "asyncio",),
    "eventlet": (_MODELS + "eventlet",),
    "futures": (_MODELS + "futures",),
    "futurist": (_MODELS + "futurist",),
    "gevent": (_MODELS + "gevent",),
    "logging": (_LIBRARIES + "logging",),
    "messaging": (_LIBRARIES + "messaging",),
    "multiprocessing": (_MODELS + "multiprocessing",),
    # openstacksdk uses pools of concurrent.futures or futurist. keystoneauth has no threads of its own.
    "openstacksdk": (_MODELS + "futures", _MODELS + "futurist"),
    "oslo_concurrency": (_MODELS + "subprocess", _MODELS + "oslo_concurrency"),
    "oslo_service": (_MODELS + "oslo_service",),
    "subprocess": (_MODELS + "subprocess",),
    "threading": (_MODELS + "threading",),
    **{library: (_LIBRARIES + library,) for library in layers.SWITCHES},
}

_on: set[str] = set()
_on_request: set[str] = set()  # the layers that only traces which ask for them have
_registered: dict[str, Any] = {}  # the modules of other packages that have been used, by name
_lock = threading.Lock()


def known() -> list[str]:
    """The names that :func:`instrument` takes, without those that other packages register."""
    return sorted(_MODULES)


def is_known(name: str) -> bool:
    """Whether :func:`instrument` takes *name*, also one that another package registers."""
    return name in _MODULES or entry_points.find(entry_points.INSTRUMENTATIONS, name) is not None


def instrument(*names: str) -> None:
    """Instrument each of *names* that is not instrumented yet.

    Raises ValueError for an unknown name, before it instruments anything.
    """
    _check(names)
    with _lock:
        for name in names:
            for module in _modules(name):
                module.instrument()
            _on.add(name)
            _on_request.discard(name)


def uninstrument(*names: str) -> None:
    """Undo :func:`instrument` for each of *names*, or for all names if none is given.

    A module stays on while another name that is in force needs it. Raises ValueError for an unknown name.
    """
    _check(names)
    with _lock:
        ended = (_on | _on_request) & set(names or _on | _on_request)
        _on.difference_update(ended)
        _on_request.difference_update(ended)
        still_needed = [module for name in _on | _on_request for module in _modules(name)]
        for name in ended:
            for module in _modules(name):
                if module not in still_needed:
                    module.uninstrument()


def follow(before: Settings, after: Settings) -> None:
    """Turn layers on and off by their switches, where the settings change from *before* to *after*.

    A switch that does not change leaves its layer as code has decided. Never raises.
    """
    for library, then, now in layers.changed(before, after):
        with guard.Harmless(f"layer.{library}"):
            if now is State.ON:
                instrument(library)
            elif then is not State.ON and library in _on:
                pass  # code has turned it on
            elif now is State.OFF:
                uninstrument(library)
            else:
                _instrument_on_request(library)


def _instrument_on_request(library: str) -> None:
    """Instrument *library* for the traces that ask for its layer."""
    with _lock:
        for module in _modules(library):
            module.instrument(functools.partial(current.asks, layers.asked_as(library)))
        _on.discard(library)
        _on_request.add(library)


def in_force() -> list[str]:
    """The names that are instrumented now, for all traces."""
    return sorted(_on)


def on_request() -> list[str]:
    """The layers that are instrumented now for the traces that ask for them."""
    return sorted(_on_request)


def _check(names: tuple[str, ...]) -> None:
    for name in names:
        if name not in _MODULES and not _modules(name):
            raise ValueError(f"unknown name {name!r}; known names: {', '.join(known())}")


def _modules(name: str) -> list[Any]:
    """The modules of *name*: our own, or else the module that another package registers. Empty for an unknown name."""
    if name in _MODULES:
        return [importlib.import_module(module) for module in _MODULES[name]]
    if name not in _registered:
        module = entry_points.load(entry_points.INSTRUMENTATIONS, name)
        if module is None:
            return []
        _registered[name] = module
    return [_registered[name]]
