# SPDX-License-Identifier: Apache-2.0
"""The section ``rules`` of a policy: which requests are traced unasked, and how many of them.

::

    rules:
      - reason: ticket 4711, alice waits for her servers   # the tag sampling.rule of the traces
        user: alice
        path: /v2.1/servers/{id}/**
        sample: const:1
        until: 2026-12-24T12:00Z                           # the rule ends by itself
      - reason: health checks
        path: [/healthcheck, /]                            # one of these
        sample: const:0
      - reason: builds on the new nodes
        service: nova-compute
        operation: rpc build_*
        header: {X-Debug: "yes"}
        sample: probabilistic:0.1

All conditions of a rule must hold (:mod:`osprofiler.config.conditions` lists them). The first rule that matches a
request counts. If none does, ``sampler`` and ``operations`` of the service count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from osprofiler.config import conditions, sampler_spec
from osprofiler.config.conditions import Condition
from osprofiler.config.policy_nodes import Mistakes, is_nothing, items, line, moment, pairs, plain
from osprofiler.config.rules import Rule

if TYPE_CHECKING:
    import yaml

_SAMPLERS = ("const", "probabilistic", "ratelimiting")
_NAMES = ("reason", *conditions.KINDS, "sample", "until")
_MAX_REASON_CHARS = 200


def read(node: yaml.Node, table: type, mistakes: Mistakes) -> list[Rule]:
    """The rules in *node*, from top to bottom."""
    return [_rule(item, mistakes) for item in items(node, "rules", mistakes)]


def _rule(node: yaml.Node, mistakes: Mistakes) -> Rule:
    wanted: list[Condition] = []
    sample, reason, until = "", "", None
    names = {name.value: (name, value) for name, value in pairs(node, "a rule", mistakes)}
    for text, (name, value) in names.items():
        try:
            if text == "header":
                for header, patterns in pairs(value, "header", mistakes):
                    wanted.append(_condition(text, patterns, str(header.value).lower()))
            elif text in conditions.KINDS:
                wanted.append(_condition(text, value))
            elif text == "sample":
                sample = _sampler(_text(value))
            elif text == "reason":
                reason = _text(value)[:_MAX_REASON_CHARS]
            elif text == "until":
                until = moment(_text(value))
            else:
                mistakes.add(name, f"unknown name {text!r} in a rule; known names: {', '.join(_NAMES)}")
        except ValueError as error:
            mistakes.add(value, f"{text}: {error}")
    for needed in ("reason", "sample"):
        if needed not in names:
            mistakes.add(node, f"a rule without {needed}")
    return Rule(tuple(sorted(wanted)), sample, reason, until, line(node))


def _condition(name: str, node: yaml.Node, header: str = "") -> Condition:
    """The condition *name* with the patterns in *node*. Raises ValueError."""
    patterns = plain(node) if _is_list(node) else [_text(node)]
    if not patterns or not all(isinstance(pattern, str) and pattern for pattern in patterns):
        raise ValueError("must be text or a list of texts")
    of_kind = conditions.KINDS[name].read
    return Condition(name, tuple(of_kind(pattern) for pattern in patterns), header)


def _is_list(node: yaml.Node) -> bool:
    return isinstance(node.value, list) and plain(node) is not None


def _text(node: yaml.Node) -> str:
    """The text of *node*; also of one that YAML takes for a number, a switch or a time. Raises ValueError."""
    if is_nothing(node) or not isinstance(node.value, str) or not node.value:
        raise ValueError("must be text")
    return node.value


def _sampler(text: str) -> str:
    if sampler_spec.parse(text).kind not in _SAMPLERS or not text:
        raise ValueError("must be one of const:0, const:1, probabilistic:RATE, ratelimiting:PER_SECOND")
    return text
