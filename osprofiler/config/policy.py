# SPDX-License-Identifier: Apache-2.0
"""The rules of a policy: which entries apply to a service, and which entries have no effect."""

from __future__ import annotations

import datetime
import fnmatch
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from osprofiler.config.conditions import covers_text
from osprofiler.config.limited_key import LimitedKey
from osprofiler.config.rules import Rule, without_effect

#: A pattern of services, and their settings.
ServiceEntry: TypeAlias = tuple[str, dict[str, Any]]


class Policy:
    """A policy file: its sections, and what they set for a service."""

    def __init__(
        self, services: Sequence[ServiceEntry] = (), rules: Sequence[Rule] = (), keys: Sequence[LimitedKey] = ()
    ) -> None:
        """*services*: the entries from top to bottom. *rules*: those of all services, from top to bottom.

        *keys*: the keys with limits, for all services.
        """
        self._services = services
        self._rules = rules
        self._keys = tuple(keys)

    def of(self, service: str) -> dict[str, Any]:
        """The settings for *service*, by name."""
        chosen: dict[str, Any] = {}
        operations: tuple[tuple[str, str], ...] = ()
        for pattern, settings in self._services:
            if fnmatch.fnmatchcase(service, pattern):
                operations += settings.get("operations", ())
                chosen = {**settings, **chosen}
        if operations:
            chosen = {**chosen, "operations": operations}
        if self._keys:
            chosen = {**chosen, "limited_keys": self._keys}
        rules = tuple(rule for rule in self._rules if rule.for_service(service))
        return {**chosen, "rules": rules} if rules else chosen

    def unused(self) -> list[str]:
        """One line for each rule, setting and operation without effect: one above counts for all of it.

        Also one for each key that has ended.
        """
        now = datetime.datetime.now(datetime.timezone.utc)
        lines = list(without_effect(self._rules, now))
        lines += [f"the key {key.name} has ended" for key in self._keys if key.until_s <= now.timestamp()]
        for number, (pattern, settings) in enumerate(self._services):
            above = [other for other in self._services[:number] if covers_text(other[0], pattern)]
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
        by = next((other for other, _ in above if covers_text(other, operation)), None)
        if by is not None:
            yield f"{pattern!r}: operation {operation!r} has no effect: {by!r} above matches the same operations"
        above = [*above, (operation, spec)]
