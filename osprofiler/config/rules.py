# SPDX-License-Identifier: Apache-2.0
"""A rule of the policy: the conditions on a request, and how it is sampled then."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterator, Sequence

from osprofiler.config.conditions import OF_HTTP, OF_IDENTITY, Condition, by_subject

_OF_HTTP = ", ".join(OF_HTTP)


@dataclasses.dataclass(frozen=True)
class Rule:
    """Requests for which all *conditions* hold are sampled by *sample*. Of several such rules, the first counts."""

    conditions: tuple[Condition, ...]
    sample: str  # the text of a sampler
    reason: str  # a tag of the first span of each trace that the rule begins
    until: datetime.datetime | None = None  # when it ends, with a time zone
    line: int = dataclasses.field(default=0, compare=False)  # of the policy

    def __str__(self) -> str:
        """One line for people."""
        conditions = "; ".join(map(str, self.conditions)) or "all requests"
        end = f", until {self.until:%Y-%m-%dT%H:%M%z}" if self.until else ""
        return f"{self.reason}: {self.sample} for {conditions}{end}"

    @property
    def of_identity(self) -> bool:
        """Whether it needs to know who sends a request."""
        return any(condition.name in OF_IDENTITY for condition in self.conditions)

    @property
    def of_key(self) -> bool:
        """Whether it is for the requests that a key asks to trace. Other rules are for those that nobody asks for."""
        return any(condition.name == "key" for condition in self.conditions)

    @property
    def contradicts_itself(self) -> bool:
        """Whether it asks of messages what only HTTP requests have."""
        by_name = {condition.name: condition for condition in self.conditions}
        operation = by_name.get("operation")
        is_of_rpc = operation is not None and all(pattern.startswith("rpc ") for pattern in operation.patterns)
        return is_of_rpc and not by_name.keys().isdisjoint(OF_HTTP)

    @property
    def identity(self) -> tuple[object, ...]:
        """What makes a rule of a changed policy the same rule: a limit of its rate goes on then."""
        return self.conditions, self.sample

    def has_ended(self, now: datetime.datetime) -> bool:
        """Whether it does not count any more at *now*."""
        return self.until is not None and now >= self.until

    def for_service(self, service: str) -> bool:
        """Whether it may count in *service*."""
        return all(condition.holds((service,)) for condition in self.conditions if condition.name == "service")

    def covers(self, other: Rule) -> bool:
        """Whether it surely counts for each request of *other*, as long as *other* does."""
        if self.of_key != other.of_key:
            return False
        if self.until is not None and (other.until is None or other.until > self.until):
            return False
        theirs = by_subject(other.conditions)
        return all(
            subject in theirs and condition.covers(theirs[subject])
            for subject, condition in by_subject(self.conditions).items()
        )


def without_effect(rules: Sequence[Rule], now: datetime.datetime) -> Iterator[str]:
    """A line for each of *rules* that never counts from *now* on."""
    in_force: list[Rule] = []
    for rule in rules:
        if rule.has_ended(now):
            yield f"line {rule.line}: rule {rule.reason!r} has ended"
            continue
        if rule.contradicts_itself:
            yield f"line {rule.line}: rule {rule.reason!r} has no effect: a message of RPC has none of {_OF_HTTP}"
            continue
        above = next((other for other in in_force if other.covers(rule)), None)
        if above is not None:
            yield (
                f"line {rule.line}: rule {rule.reason!r} has no effect: "
                f"rule {above.reason!r} in line {above.line} matches the same requests"
            )
        in_force.append(rule)
