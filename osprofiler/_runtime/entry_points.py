# SPDX-License-Identifier: Apache-2.0
"""What other distributions add to this one, by entry points: asked only for a name that is not built in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: An entry point's name is the scheme of connection strings, its value a subclass of ``drivers.base.Driver``.
DRIVERS = "osprofiler.drivers"
#: An entry point's name is the format's, its value an object with ``encode`` and ``decode``: ``propagation.formats``.
PROPAGATORS = "osprofiler.propagators"
#: An entry point's name is what ``[profiler] instrument`` takes, its value a module with ``instrument`` and
#: ``uninstrument``.
INSTRUMENTATIONS = "osprofiler.instrumentations"


def _points(group: str) -> Iterable[Any]:
    import importlib.metadata  # 20 ms that only a name which is not built in costs

    return importlib.metadata.entry_points(group=group)


def names(group: str) -> list[str]:
    """The names that are registered in *group*, sorted."""
    return sorted({point.name for point in _points(group)})


def find(group: str, name: str) -> Any:
    """The entry point that is registered as *name* in *group*, or None."""
    return next((point for point in _points(group) if point.name == name), None)


def load(group: str, name: str) -> Any:
    """What is registered as *name* in *group*, or None; raises what its import raises."""
    point = find(group, name)
    return None if point is None else point.load()
