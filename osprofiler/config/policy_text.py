# SPDX-License-Identifier: Apache-2.0
"""The text of a policy. It sets how services and operations are sampled, and the switches of services, for a cloud.

::

    services:
      nova-compute:                     # the service's name in Jaeger and in reports; * ? [...] are wildcards
        operations:
          "rpc build_*": const:1        # an operation's name in Jaeger: a sampler
          "rpc *": probabilistic:0.01
      "nova-*":
        sampler: ratelimiting:2
        trace_requests: true
      "*":
        sampler: const:0

Entries are read from top to bottom. For each setting, the first entry counts that matches the service and has the
setting. For an operation, the first line counts that matches it; if no line matches, ``sampler`` counts.

The section ``rules`` comes before both: see :mod:`osprofiler.config.policy_rules`.
The section ``keys`` has keys with limits, for all services: see ``policy_keys``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from osprofiler.config import policy_keys, policy_rules
from osprofiler.config.kinds import Kind
from osprofiler.config.policy import Policy, ServiceEntry
from osprofiler.config.policy_nodes import Mistakes, loader, pairs, plain
from osprofiler.config.row import settings
from osprofiler.config.table import Settings

if TYPE_CHECKING:
    import yaml

#: A policy for a whole cloud has a page or two. A much longer file is probably not a policy, and a request waits while
#: the file is read.
MAX_CHARS = 1 << 18
#: The longest policy in bytes of UTF-8.
MAX_BYTES = 4 * MAX_CHARS


class PolicyError(ValueError):
    """The text is not a policy. ``mistakes`` has one line for each mistake, beginning with ``line N:``."""

    def __init__(self, mistakes: list[str]) -> None:
        more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
        super().__init__(f"{mistakes[0]}{more}")
        self.mistakes = mistakes


def load(path: str, table: type = Settings) -> Policy:
    """The policy in the file *path*. Raises PolicyError, OSError, or UnicodeDecodeError if the file is not text."""
    with open(path, "rb") as file:
        return from_bytes(file.read(MAX_BYTES + 1), table)


def from_bytes(content: bytes, table: type = Settings) -> Policy:
    """The policy in *content*. Raises PolicyError, and UnicodeDecodeError if it is not text in UTF-8."""
    if len(content) > MAX_BYTES or len(text := content.decode()) > MAX_CHARS:
        raise PolicyError([f"line 1: too long for a policy: more than {MAX_CHARS:,} characters"])
    return parse(text, table)


def parse(text: str, table: type = Settings) -> Policy:
    """The policy in *text*, with the settings of *table*. Raises PolicyError, which lists all mistakes."""
    import yaml

    try:
        root = yaml.compose(text, Loader=loader())
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        raise PolicyError([f"line {mark.line + 1 if mark else 1}: {problem or 'not YAML'}"]) from None
    except RecursionError:
        raise PolicyError(["line 1: nested too deeply"]) from None
    mistakes = Mistakes()
    sections: dict[str, Any] = {}
    for name, node in pairs(root, "the file", mistakes):
        read = _SECTIONS.get(name.value)
        if read is None:
            mistakes.add(name, f"unknown name {name.value!r}; known names: {', '.join(_SECTIONS)}")
        else:
            sections[name.value] = read(node, table, mistakes)
    if mistakes:
        raise PolicyError(mistakes)
    return Policy(**sections)


def _services(node: yaml.Node, table: type, mistakes: Mistakes) -> list[ServiceEntry]:
    """The entries of services, with the settings of *table*."""
    kinds = {name: row.kind for name, row in settings(table).items() if row.policy}
    return [
        (pattern.value, _entry(entry, pattern.value, kinds, mistakes))
        for pattern, entry in pairs(node, "services", mistakes)
    ]


def _entry(node: yaml.Node, service: str, kinds: dict[str, Kind[Any]], mistakes: Mistakes) -> dict[str, Any]:
    """The settings for one service."""
    entry: dict[str, Any] = {}
    for name, value in pairs(node, service, mistakes):
        kind = kinds.get(name.value)
        if kind is None:
            mistakes.add(name, f"unknown setting {name.value!r}; known settings: {', '.join(kinds)}")
        elif kind.values is not None:
            entry[name.value] = tuple(
                (str(pattern.value), _setting(setting, kind.values, repr(pattern.value), mistakes))
                for pattern, setting in pairs(value, name.value, mistakes)
            )
        else:
            entry[name.value] = _setting(value, kind, name.value, mistakes)
    return entry


def _setting(node: yaml.Node, kind: Kind[Any], name: str, mistakes: Mistakes) -> Any:
    """The value of one setting; None if *node* is a mistake."""
    assert kind.from_policy is not None
    try:
        return kind.from_policy(plain(node))
    except ValueError as error:
        mistakes.add(node, f"{name}: {error}")
        return None


#: The top level of a policy: the reader of each section. It gets the section's node, the table of settings, and the
#: list to which it adds mistakes. Its result is an argument of :class:`Policy` with the same name.
_SECTIONS: Mapping[str, Callable[[yaml.Node, type, Mistakes], Any]] = {
    "services": _services,
    "rules": policy_rules.read,
    "keys": policy_keys.read,
}
