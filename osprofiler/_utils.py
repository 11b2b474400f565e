# SPDX-License-Identifier: Apache-2.0
"""Small helpers under the names that service code and third-party drivers of osprofiler 4 import."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Generator
from typing import TypeVar

from osprofiler.propagation.packing import (
    binary_decode as binary_decode,
)
from osprofiler.propagation.packing import (
    binary_encode as binary_encode,
)
from osprofiler.propagation.packing import (
    generate_hmac as generate_hmac,
)
from osprofiler.propagation.packing import (
    signed_pack as signed_pack,
)
from osprofiler.propagation.packing import (
    signed_unpack as signed_unpack,
)
from osprofiler.propagation.packing import (
    split as split,
)
from osprofiler.records import ids

C = TypeVar("C")

_MASK_64 = (1 << 64) - 1


def itersubclasses(cls: type[C], _seen: set[type] | None = None) -> Generator[type[C], None, None]:
    """Every subclass of *cls* once, depth first."""
    seen = set() if _seen is None else _seen
    for subclass in type.__subclasses__(cls):
        if subclass not in seen:
            seen.add(subclass)
            yield subclass
            yield from itersubclasses(subclass, seen)


def import_modules_from_package(package: str) -> None:
    """Import every module of the package with this full name, and of the packages in it."""
    path = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(path, prefix=f"{package}."):
        importlib.import_module(module.name)


def shorten_id(span_id: str | int) -> int:
    """The 64-bit span id of a trace point's id; any text has one, and always the same."""
    return span_id & _MASK_64 if isinstance(span_id, int) else ids.span_id_of(span_id)


def uuid_to_int128(span_uuid: str | int) -> int:
    """The 128-bit trace id of a base_id; any text has one, and always the same."""
    return span_uuid if isinstance(span_uuid, int) else ids.trace_id_of(span_uuid)
