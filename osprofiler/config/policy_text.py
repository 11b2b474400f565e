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
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from osprofiler.config.kinds import Kind
from osprofiler.config.policy import Policy
from osprofiler.config.row import settings
from osprofiler.config.table import Settings

if TYPE_CHECKING:
    import yaml

#: A policy for a whole cloud has a page or two. A much longer file is probably not a policy, and a request waits while
#: the file is read.
MAX_CHARS = 1 << 18


class PolicyError(ValueError):
    """The text is not a policy. ``mistakes`` has one line for each mistake, beginning with ``line N:``."""

    def __init__(self, mistakes: list[str]) -> None:
        more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
        super().__init__(f"{mistakes[0]}{more}")
        self.mistakes = mistakes


def load(path: str, table: type = Settings) -> Policy:
    """The policy in the file *path*. Raises PolicyError, OSError, or UnicodeDecodeError if the file is not text."""
    with open(path, encoding="utf-8") as file:
        text = file.read(MAX_CHARS + 1)
    if len(text) > MAX_CHARS:
        raise PolicyError([f"line 1: too long for a policy: more than {MAX_CHARS:,} characters"])
    return parse(text, table)


def parse(text: str, table: type = Settings) -> Policy:
    """The policy in *text*, with the settings of *table*. Raises PolicyError, which lists all mistakes."""
    import yaml

    mistakes: list[str] = []
    try:
        # libyaml's loader needs a tenth of the time of the one in Python. PyYAML may be installed without libyaml.
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        raise PolicyError([f"line {mark.line + 1 if mark else 1}: {problem or 'not YAML'}"]) from None
    except RecursionError:
        raise PolicyError(["line 1: nested too deeply"]) from None
    kinds = {name: row.kind for name, row in settings(table).items() if row.policy}
    entries: list[tuple[str, dict[str, Any]]] = []
    for name, node in _pairs(root, "the file", mistakes):
        if name.value != "services":
            _add(mistakes, name, f"unknown name {name.value!r}; the only known name is services")
            continue
        for pattern, entry in _pairs(node, "services", mistakes):
            entries.append((pattern.value, _entry(entry, pattern.value, kinds, mistakes)))
    if mistakes:
        raise PolicyError(mistakes)
    return Policy(entries)


def _entry(node: yaml.Node, service: str, kinds: dict[str, Kind[Any]], mistakes: list[str]) -> dict[str, Any]:
    """The settings for one service."""
    entry: dict[str, Any] = {}
    for name, value in _pairs(node, service, mistakes):
        kind = kinds.get(name.value)
        if kind is None:
            _add(mistakes, name, f"unknown setting {name.value!r}; known settings: {', '.join(kinds)}")
        elif kind.values is not None:
            pairs = _pairs(value, name.value, mistakes)
            entry[name.value] = tuple(
                (str(pattern.value), _setting(setting, kind.values, repr(pattern.value), mistakes))
                for pattern, setting in pairs
            )
        else:
            entry[name.value] = _setting(value, kind, name.value, mistakes)
    return entry


def _setting(node: yaml.Node, kind: Kind[Any], name: str, mistakes: list[str]) -> Any:
    """The value of one setting; None if *node* is a mistake."""
    assert kind.from_policy is not None
    try:
        return kind.from_policy(_plain(node))
    except ValueError as error:
        _add(mistakes, node, f"{name}: {error}")
        return None


def _plain(node: yaml.Node) -> Any:
    """A bool, a text, or a list of these; None for a mapping."""
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return str(node.value).lower() in ("true", "yes", "on") if node.tag.endswith(":bool") else node.value
    return [_plain(item) for item in node.value] if isinstance(node, yaml.SequenceNode) else None


def _pairs(node: yaml.Node | None, where: str, mistakes: list[str]) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """The keys and values of a mapping. In YAML, an empty mapping may be written as nothing."""
    import yaml

    if node is None or (isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")):
        return
    if not isinstance(node, yaml.MappingNode):
        _add(mistakes, node, f"{where}: must be a mapping of names to values")
        return
    seen: set[str] = set()
    for name, value in node.value:
        if not isinstance(name, yaml.ScalarNode):
            _add(mistakes, name, f"{where}: a name must be text")
        elif name.value in seen:
            _add(mistakes, name, f"the name {name.value!r} occurs twice")
        else:
            seen.add(name.value)
            yield name, value


def _add(mistakes: list[str], node: yaml.Node, mistake: str) -> None:
    mistakes.append(f"line {node.start_mark.line + 1}: {mistake}")
