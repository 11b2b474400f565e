# SPDX-License-Identifier: Apache-2.0
"""The nodes of YAML, of a policy above all: plain values, mappings, and mistakes with their lines."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml


class Mistakes(list[str]):
    """One line for each mistake in a text, beginning with ``line N:``."""

    def add(self, node: yaml.Node, mistake: str) -> None:
        """Add *mistake*, which is at *node*."""
        self.append(f"line {line(node)}: {mistake}")


def loader() -> Any:
    """The class that loads YAML: libyaml's, in a tenth of the time, if PyYAML was installed with it."""
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def line(node: yaml.Node) -> int:
    """The line of *node* in its text, from 1."""
    return int(node.start_mark.line) + 1


def plain(node: yaml.Node) -> Any:
    """A bool, a text, or a list of these; None for a mapping."""
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return str(node.value).lower() in ("true", "yes", "on") if node.tag.endswith(":bool") else node.value
    return [plain(item) for item in node.value] if isinstance(node, yaml.SequenceNode) else None


def listed(value: Any) -> list[Any]:
    """A plain *value* as a list: a single one may be written without brackets."""
    return value if isinstance(value, list) else [value]


def moment(value: Any) -> datetime.datetime:
    """The time in a plain *value*. Raises ValueError if it is none, or has no zone."""
    text = value.strip() if isinstance(value, str) else ""
    try:  # before Python 3.11, fromisoformat does not know the letter Z
        at = datetime.datetime.fromisoformat(f"{text[:-1]}+00:00" if text.endswith(("Z", "z")) else text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError(f"{value!r} is not a time with its zone, such as 2026-12-24T12:00Z")
    return at


def is_nothing(node: yaml.Node | None) -> bool:
    """Whether *node* is written as nothing, as an empty mapping or list may be."""
    import yaml

    return node is None or (isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null"))


def pairs(node: yaml.Node | None, where: str, mistakes: Mistakes) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """The keys and values of the mapping *node*. *where*: its name in *mistakes*."""
    import yaml

    if node is None or is_nothing(node):
        return
    if not isinstance(node, yaml.MappingNode):
        mistakes.add(node, f"{where}: must be a mapping of names to values")
        return
    seen: set[str] = set()
    for name, value in node.value:
        if not isinstance(name, yaml.ScalarNode):
            mistakes.add(name, f"{where}: a name must be text")
        elif name.value in seen:
            mistakes.add(name, f"the name {name.value!r} occurs twice")
        else:
            seen.add(name.value)
            yield name, value


def items(node: yaml.Node | None, where: str, mistakes: Mistakes) -> Iterator[yaml.Node]:
    """The items of the list *node*. *where*: its name in *mistakes*."""
    import yaml

    if node is None or is_nothing(node):
        return
    if not isinstance(node, yaml.SequenceNode):
        mistakes.add(node, f"{where}: must be a list")
        return
    yield from node.value
