# SPDX-License-Identifier: Apache-2.0
"""The guarantees of the kits for drivers. They are the columns of a table; each test belongs to one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., None])

#: The guarantees, in the order of the table.
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
    """Decorate a test of the kits: it belongs to the guarantee *name*."""
    assert name in GUARANTEES, name

    def decorate(test: F) -> F:
        vars(test)["guarantee"] = name
        return test

    return decorate
