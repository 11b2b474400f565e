# SPDX-License-Identifier: Apache-2.0
"""How a method of a command group says what arguments it takes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from osprofiler.cmd import quantities

F = TypeVar("F", bound=Callable[..., Any])


def env(*args: str, **kwargs: str) -> str:
    """The first environment variable of those named that is set and not empty, else *default*, else ""."""
    return next((value for name in args if (value := os.environ.get(name))), kwargs.get("default", ""))


def arg(*args: Any, **kwargs: Any) -> Callable[[F], F]:
    """Decorate a command's method with one argument, as ``ArgumentParser.add_argument`` takes it."""

    def decorate(func: F) -> F:
        add_arg(func, *args, **kwargs)
        return func

    return decorate


def add_arg(func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Give *func* one argument, before those it has: decorators are applied from the last to the first."""
    arguments = vars(func).setdefault("arguments", [])
    if (args, kwargs) not in arguments:
        arguments.insert(0, (args, kwargs))


def examples(*commands: str) -> Callable[[F], F]:
    """Decorate a command's method with examples for its help."""

    def decorate(func: F) -> F:
        vars(func)["examples"] = commands
        return func

    return decorate


#: Arguments of several commands.
USE_JSON = arg("--json", dest="use_json", action="store_true", help="as JSON; times in microseconds")
ROWS = arg(
    "--rows",
    type=quantities.count,
    default=30,
    metavar="N",
    help="how many lines to show of each table, 30 by default (--json has all)",
)
