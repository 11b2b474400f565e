# SPDX-License-Identifier: Apache-2.0
"""What the kits for drivers guarantee: the columns of a table, and the mark of a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., None])

#: What the kits look at, in the order of a table; every test is of one of them.
GUARANTEES = (
    "abilities",
    "write",
    "read",
    "read again, read another",
    "list",
    "errors",
    "filters",
    "delete",
    "expiry",
    "unicode",
    "garbage",
    "1 MB info",
    "10,000 spans",
    "writers at once",
    "fork",
    "restart of the server",
    "wrong password",
    "no server",
)


def guarantee(name: str) -> Callable[[F], F]:
    """Decorate a test of the kits: it is of the guarantee *name*."""
    assert name in GUARANTEES, name

    def decorate(test: F) -> F:
        vars(test)["guarantee"] = name
        return test

    return decorate
