# SPDX-License-Identifier: Apache-2.0
"""The sampler that applies the policy's rules. Where no rule matches, another sampler decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jaeger_client.sampler import Sampler

from osprofiler.config.rule_index import Asked, RuleIndex
from osprofiler.config.rules import Rule
from osprofiler.config.table import Settings
from osprofiler.context.identity import NOBODY, Identity
from osprofiler.context.undecided import Later, Verdict
from osprofiler.records import names
from osprofiler.tracer.sampling import sampler_for, sampler_of

_AS_ASKED: Verdict = (True, {})


class ByRule(Sampler):
    """Samples a request by the first rule that matches it, or by *others* if no rule does.

    Rules with a key are for the requests that ask for a trace with it; the other rules are for all other requests.
    """

    def __init__(self, rules: Sequence[Rule], others: Sampler, former: ByRule | None = None) -> None:
        """*former*: the sampler before. A rule that it has too goes on where it was, with its bucket of traces."""
        super().__init__()
        known: Mapping[object, Sampler] = {} if former is None else former._samplers
        self.others = others
        self._samplers: dict[object, Sampler] = {
            rule.identity: known.get(rule.identity) or sampler_for(rule.sample, "") for rule in rules
        }
        self._unasked = _Rules([rule for rule in rules if not rule.of_key], self._samplers)
        self._asked = _Rules([rule for rule in rules if rule.of_key], self._samplers)

    def is_sampled(self, trace_id: int, operation: str = "") -> tuple[bool, dict[str, Any]]:
        answer = self.decide(trace_id, operation, None)
        assert not isinstance(answer, Later)  # nothing else is known of it, now or later
        sampled, tags = answer
        return sampled, dict(tags)

    def close(self) -> None:
        self.others.close()

    def decide(self, trace_id: int, operation: str, asked: Asked | None) -> Verdict | Later:
        """Decide on a request that asks for no trace; *asked*: its properties, None: it only has an *operation*."""

        def by_others() -> Verdict:
            sampled, tags = self.others.is_sampled(trace_id, operation)
            return sampled, tags

        return self._unasked.decide(trace_id, operation, asked, (), by_others)

    def decide_asked(self, trace_id: int, operation: str, asked: Asked | None, keys: Sequence[str]) -> Verdict | Later:
        """Decide on a request that asks for a trace; *keys*: the id of its key, and its name if it has one."""
        return self._asked.decide(trace_id, operation, asked, keys, lambda: _AS_ASKED)


class _Rules:
    """Rules with their samplers."""

    def __init__(self, rules: Sequence[Rule], samplers: Mapping[object, Sampler]) -> None:
        self._index = RuleIndex(rules)
        self._samplers = [samplers[rule.identity] for rule in rules]
        self._reasons = [{names.RULE: rule.reason} for rule in rules]

    def decide(
        self,
        trace_id: int,
        operation: str,
        asked: Asked | None,
        keys: Sequence[str],
        otherwise: Callable[[], Verdict],
    ) -> Verdict | Later:
        """The decision of the first rule that matches; that of *otherwise* if none does."""
        index = self._index
        bits = index.possible(operation, asked, keys)
        if not bits:
            return otherwise()

        def by_identity(identity: Identity) -> Verdict:
            number = index.first(index.of_identity(bits, identity))
            if number is None:
                return otherwise()
            sampled, tags = self._samplers[number].is_sampled(trace_id, operation)
            return sampled, {**tags, **self._reasons[number]}

        if asked is None or not index.needs_identity(bits):
            return by_identity(NOBODY)
        identity = asked.identity
        return Later(lambda: asked.identity, by_identity) if identity is None else by_identity(identity)


def sampler_after(former: Sampler, before: Settings | None, after: Settings, service_name: str) -> Sampler:
    """The sampler for the settings *after*; *former* was the one for *before*, None: for no configuration.

    What has not changed goes on, since a new sampler starts with a full bucket.
    """
    rules = former if isinstance(former, ByRule) else None
    others = former if rules is None else rules.others
    if before is None or (after.sampler, after.operations) != (before.sampler, before.operations):
        others.close()
        others = sampler_of(after, service_name)
    return ByRule(after.rules, others, rules) if after.rules else others
