# SPDX-License-Identifier: Apache-2.0
"""Import modules of a package at their first use."""

from __future__ import annotations

from collections.abc import Callable


def modules(package: str, *names: str) -> Callable[[str], object]:
    """Return a ``__getattr__`` for *package* that imports its modules *names* at their first use."""

    def __getattr__(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        import importlib

        return importlib.import_module(f"{package}.{name}")

    return __getattr__
