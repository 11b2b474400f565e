# SPDX-License-Identifier: Apache-2.0
"""Small functions at the paths from which services, and drivers of other packages, import them in osprofiler 4."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Generator
from typing import TypeVar

from osprofiler.propagation.packing import (
    binary_decode,
    binary_encode,
    generate_hmac,
    signed_pack,
    signed_unpack,
    split,
)
from osprofiler.records import ids

__all__ = [
    "binary_decode",
    "binary_encode",
    "generate_hmac",
    "import_modules_from_package",
    "itersubclasses",
    "shorten_id",
    "signed_pack",
    "signed_unpack",
    "split",
    "uuid_to_int128",
]

C = TypeVar("C")

_MASK_64 = (1 << 64) - 1


def itersubclasses(cls: type[C], _seen: set[type] | None = None) -> Generator[type[C], None, None]:
    """Every direct and indirect subclass of *cls*, each once, depth first."""
    seen = set() if _seen is None else _seen
    for subclass in type.__subclasses__(cls):
        if subclass not in seen:
            seen.add(subclass)
            yield subclass
            yield from itersubclasses(subclass, seen)


def import_modules_from_package(package: str) -> None:
    """Import all modules of *package* (a full name) and of its subpackages."""
    path = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(path, prefix=f"{package}."):
        importlib.import_module(module.name)


def shorten_id(span_id: str | int) -> int:
    """The 64-bit span id of a trace point's id. The same text always has the same id, also if it is not a UUID."""
    return span_id & _MASK_64 if isinstance(span_id, int) else ids.span_id_of(span_id)


def uuid_to_int128(span_uuid: str | int) -> int:
    """The 128-bit trace id of a base_id. The same text always has the same id, also if it is not a UUID."""
    return span_uuid if isinstance(span_uuid, int) else ids.trace_id_of(span_uuid)
