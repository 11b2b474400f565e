# SPDX-License-Identifier: Apache-2.0
"""The settings in force: one immutable object, which each change of configuration or policy replaces as a whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from osprofiler.config.table import Settings

_current = Settings()

_looks: tuple[Callable[[], None], ...] = ()


def current() -> Settings:
    """The settings in force."""
    return _current


def fresh() -> Settings:
    """The settings for a unit of work that begins now: changes of the policy count."""
    if _looks:  # a loop over nothing costs more, and each request pays for it
        for look in _looks:
            look()
    return _current


def publish(**changes: Any) -> Settings:
    """Replace the settings in force by a copy with *changes*. Returns the copy."""
    global _current
    _current = dataclasses.replace(_current, **changes)
    return _current


def reset() -> None:
    """Go back to the defaults."""
    global _current, _looks
    _current, _looks = Settings(), ()


def watch(look: Callable[[], None]) -> None:
    """Call *look* before each unit of work. It publishes new settings if there are any. A second call does nothing."""
    global _looks
    if look not in _looks:
        _looks += (look,)


def is_watched(look: Callable[[], None]) -> bool:
    """Whether *look* is called before each unit of work."""
    return look in _looks


def unwatch(look: Callable[[], None]) -> None:
    """Undo :func:`watch`."""
    global _looks
    _looks = tuple(each for each in _looks if each != look)
