# SPDX-License-Identifier: Apache-2.0
"""One argument of a call of a library's function. A caller gives it by its place or by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Args = tuple[Any, ...]


def given(args: Args, kwargs: Mapping[str, Any], place: int, name: str) -> Any:
    """The argument number *place*, or else the one called *name*; None if there is neither."""
    return args[place] if len(args) > place else kwargs.get(name)


def replaced(args: Args, kwargs: Mapping[str, Any], place: int, name: str, value: Any) -> tuple[Args, dict[str, Any]]:
    """The arguments with *value* in the place of that one."""
    if len(args) > place:
        return (*args[:place], value, *args[place + 1 :]), dict(kwargs)
    return args, {**kwargs, name: value}
