# SPDX-License-Identifier: Apache-2.0
"""Which rule of a policy counts for a request, and why, as far as the request is known."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection, Mapping, Sequence

from osprofiler.config.conditions import Condition
from osprofiler.config.rules import Rule

#: The known values of a request: by the name of the condition, and the name of the header in lower case. Those of
#: ``key`` are always known: empty if no key asks.
Known = Mapping[tuple[str, str], Collection[str]]


@dataclasses.dataclass(frozen=True)
class Step:
    """What one rule says about a request."""

    rule: Rule
    holding: tuple[Condition, ...]  # the conditions that hold
    failing: Condition | None = None  # the first one that does not
    missing: tuple[Condition, ...] = ()  # those about which nothing is known
    obstacle: str = ""  # another reason why the rule does not count

    @property
    def counts(self) -> bool:
        """Whether the rule surely matches the request."""
        return not (self.failing or self.missing or self.obstacle)

    @property
    def may_count(self) -> bool:
        """Whether the rule matches for some values of what is not known."""
        return not (self.failing or self.obstacle)


def explain(rules: Sequence[Rule], known: Known, now: datetime.datetime) -> list[Step]:
    """What each of *rules* says about a request with the values *known*, up to the first one that counts."""
    steps: list[Step] = []
    for rule in rules:
        steps.append(_step(rule, known, now))
        if steps[-1].counts:
            break
    return steps


def _step(rule: Rule, known: Known, now: datetime.datetime) -> Step:
    holding: list[Condition] = []
    missing: list[Condition] = []
    failing = None
    for condition in rule.conditions:
        values = known.get((condition.name, condition.header))
        if values is None:
            missing.append(condition)
        elif condition.holds(values):
            holding.append(condition)
        else:
            failing = failing or condition
    obstacle = ""
    if rule.has_ended(now):
        obstacle = f"it has ended at {rule.until:%Y-%m-%dT%H:%M%z}"
    elif known["key", ""] and not rule.of_key:
        obstacle = "it names no key, so it is for requests that no key asks for"
    return Step(rule, tuple(holding), failing, tuple(missing), obstacle)
