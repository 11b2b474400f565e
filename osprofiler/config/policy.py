# SPDX-License-Identifier: Apache-2.0
"""The rules of a policy: which entries apply to a service, and which entries have no effect."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

#: A pattern of services, and their settings.
ServiceEntry: TypeAlias = tuple[str, dict[str, Any]]


class Policy:
    """A policy file: its sections, and what they set for a service."""

    def __init__(self, services: Sequence[ServiceEntry] = ()) -> None:
        """*services*: the entries from top to bottom."""
        self._services = services

    def of(self, service: str) -> dict[str, Any]:
        """The settings for *service*, by name."""
        chosen: dict[str, Any] = {}
        operations: tuple[tuple[str, str], ...] = ()
        for pattern, settings in self._services:
            if fnmatch.fnmatchcase(service, pattern):
                operations += settings.get("operations", ())
                chosen = {**settings, **chosen}
        return {**chosen, "operations": operations} if operations else chosen

    def unused(self) -> list[str]:
        """One line for each setting and operation without effect: an entry above sets it for the same services."""
        lines: list[str] = []
        for number, (pattern, settings) in enumerate(self._services):
            above = [other for other in self._services[:number] if _covers(other[0], pattern)]
            for name, value in settings.items():
                if name == "operations":
                    before = [operation for _, other in above for operation in other.get(name, ())]
                    lines += _unused_operations(pattern, value, before)
                    continue
                by = next((other for other, settings_above in above if name in settings_above), None)
                if by is not None:
                    lines.append(f"{pattern!r}: {name} has no effect: {by!r} above sets it for the same services")
        return lines


def _unused_operations(
    pattern: str, operations: tuple[tuple[str, str], ...], above: list[tuple[str, str]]
) -> Iterator[str]:
    for operation, spec in operations:
        by = next((other for other, _ in above if _covers(other, operation)), None)
        if by is not None:
            yield f"{pattern!r}: operation {operation!r} has no effect: {by!r} above matches the same operations"
        above = [*above, (operation, spec)]


def _covers(pattern: str, other: str) -> bool:
    """Whether *pattern* surely matches every name that the pattern *other* matches."""
    if pattern == other:
        return True
    # If a pattern has only stars and matches the text of another pattern, it matches all names of that pattern too.
    return not set(pattern) & set("?[") and fnmatch.fnmatchcase(other, pattern)
