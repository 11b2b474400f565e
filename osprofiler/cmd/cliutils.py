# SPDX-License-Identifier: Apache-2.0
"""Decorators that declare the arguments and the examples of a command."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from osprofiler.cmd import argument_types

F = TypeVar("F", bound=Callable[..., Any])


def env(*args: str, **kwargs: str) -> str:
    """The value of the first named environment variable that is set and not empty; else *default*; else ""."""
    return next((value for name in args if (value := os.environ.get(name))), kwargs.get("default", ""))


def arg(*args: Any, **kwargs: Any) -> Callable[[F], F]:
    """Decorate a command's method with one argument; takes what ``ArgumentParser.add_argument`` takes."""

    def decorate(func: F) -> F:
        add_arg(func, *args, **kwargs)
        return func

    return decorate


def add_arg(func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Put one argument in front of the arguments of *func*: Python applies the lowest decorator first."""
    arguments = vars(func).setdefault("arguments", [])
    if (args, kwargs) not in arguments:
        arguments.insert(0, (args, kwargs))


def arguments(*parts: Callable[[Any], Any]) -> Callable[[F], F]:
    """Several arguments as one decorator: *parts* are results of :func:`arg` and of this function."""

    def decorate(func: F) -> F:
        for part in reversed(parts):
            func = part(func)
        return func

    return decorate


def examples(*commands: str) -> Callable[[F], F]:
    """Decorate a command's method with examples for its help."""

    def decorate(func: F) -> F:
        vars(func)["examples"] = commands
        return func

    return decorate


#: Arguments of several commands.
USE_JSON = arg("--json", dest="use_json", action="store_true", help="print JSON; times in microseconds")
USE_HTML = arg("--html", dest="use_html", action="store_true", help="print one HTML page that needs no network")
ROWS = arg(
    "--rows",
    type=argument_types.count,
    default=30,
    metavar="N",
    help="show at most N lines of each table (default: 30; --json shows all)",
)
OUT = arg("--out", dest="file_name", metavar="FILE", help="write into FILE instead of standard output")
