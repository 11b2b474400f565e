# SPDX-License-Identifier: Apache-2.0
"""The settings in force: one immutable object, which each change of configuration or policy replaces as a whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from osprofiler.config.table import Settings

_current = Settings()

_look: Callable[[], None] | None = None


def current() -> Settings:
    """The settings in force."""
    return _current


def fresh() -> Settings:
    """The settings for a unit of work that begins now: changes of the policy file count."""
    if _look is not None:
        _look()
    return _current


def publish(**changes: Any) -> Settings:
    """Replace the settings in force by a copy with *changes*. Returns the copy."""
    global _current
    _current = dataclasses.replace(_current, **changes)
    return _current


def reset() -> None:
    """Go back to the defaults."""
    global _current
    _current = Settings()
    watch(None)


def watch(look: Callable[[], None] | None) -> None:
    """Call *look* before each unit of work. It publishes new settings if there are any. None: call nothing."""
    global _look
    _look = look
