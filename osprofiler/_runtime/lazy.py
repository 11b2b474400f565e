# SPDX-License-Identifier: Apache-2.0
"""Modules that are imported when somebody looks for them in their package."""

from __future__ import annotations

from collections.abc import Callable


def modules(package: str, *names: str) -> Callable[[str], object]:
    """A ``__getattr__`` for *package* that imports those of its modules that are in *names*."""

    def __getattr__(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        import importlib

        return importlib.import_module(f"{package}.{name}")

    return __getattr__
