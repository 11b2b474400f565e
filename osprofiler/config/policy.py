# SPDX-License-Identifier: Apache-2.0
"""The rules of a policy: which entry counts for a service, and which entries never count."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from typing import Any


class Policy:
    """The entries of a policy file, from top to bottom: a pattern of services, and settings for these."""

    def __init__(self, entries: list[tuple[str, dict[str, Any]]] | None = None) -> None:
        self._entries = entries or []

    def of(self, service: str) -> dict[str, Any]:
        """The settings that it has for *service*, by the names of the settings in force."""
        chosen: dict[str, Any] = {}
        operations: tuple[tuple[str, str], ...] = ()
        for pattern, settings in self._entries:
            if fnmatch.fnmatchcase(service, pattern):
                operations += settings.get("operations", ())
                chosen = {**settings, **chosen}
        return {**chosen, "operations": operations} if operations else chosen

    def unused(self) -> list[str]:
        """A line for each setting and operation that can never count: an entry above says it for the same services."""
        lines: list[str] = []
        for number, (pattern, settings) in enumerate(self._entries):
            above = [other for other in self._entries[:number] if _covers(other[0], pattern)]
            for name, value in settings.items():
                if name == "operations":
                    before = [operation for _, other in above for operation in other.get(name, ())]
                    lines += _unused_operations(pattern, value, before)
                    continue
                by = next((other for other, settings_above in above if name in settings_above), None)
                if by is not None:
                    lines.append(f"{pattern!r}: {name} never counts: {by!r} above says it for the same services")
        return lines


def _unused_operations(
    pattern: str, operations: tuple[tuple[str, str], ...], above: list[tuple[str, str]]
) -> Iterator[str]:
    for operation, spec in operations:
        by = next((other for other, _ in above if _covers(other, operation)), None)
        if by is not None:
            yield f"{pattern!r}: operation {operation!r} never counts: {by!r} above fits the same operations"
        above = [*above, (operation, spec)]


def _covers(pattern: str, other: str) -> bool:
    """Whether *pattern* surely fits whatever *other*, a pattern too, fits."""
    if pattern == other:
        return True
    # With no other wildcard than the star, a pattern that fits another's text fits all that text stands for.
    return not set(pattern) & set("?[") and fnmatch.fnmatchcase(other, pattern)
