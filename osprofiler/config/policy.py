# SPDX-License-Identifier: Apache-2.0
"""The policy: which services and operations are sampled how, and what is switched on where, in one file for a cloud.

::

    services:
      nova-compute:                     # a service as Jaeger and the reports name it; * ? [...] as in file names
        operations:
          "rpc build_*": const:1        # what Jaeger's drop-down shows: the spec of a sampler
          "rpc *": probabilistic:0.01
      "nova-*":
        sampler: ratelimiting:2
        trace_requests: true
      "*":
        sampler: const:0

Entries are read from top to bottom. For each setting the first entry counts that fits the service and says it; an
operation goes by the first line that fits it, else by ``sampler``.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from osprofiler.config import sampler_spec

if TYPE_CHECKING:
    import yaml

#: Formats in which requests can carry a trace.
FORMATS = ("osprofiler", "jaeger", "w3c", "b3")

#: What trace points may keep of a function's arguments.
ARGUMENTS = ("full", "types", "none")

#: A policy for a whole cloud is a page or two; what is much longer is some other file. Some request waits
#: for its reading.
MAX_CHARS = 1 << 18


class PolicyError(ValueError):
    """The text is no policy; ``mistakes`` has a line for each, beginning with ``line N:``."""

    def __init__(self, mistakes: list[str]) -> None:
        more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
        super().__init__(f"{mistakes[0]}{more}")
        self.mistakes = mistakes


class Policy:
    """What a policy file says; the empty one says nothing."""

    def __init__(self, entries: list[tuple[str, dict[str, Any]]] | None = None) -> None:
        self._entries = entries or []

    def of(self, service: str) -> dict[str, Any]:
        """What it says to *service*, by the names of the settings in force."""
        said: dict[str, Any] = {}
        operations: tuple[tuple[str, str], ...] = ()
        for pattern, settings in self._entries:
            if fnmatch.fnmatchcase(service, pattern):
                operations += settings.get("operations", ())
                said = {**settings, **said}
        return {**said, "operations": operations} if operations else said

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
                by = next((other for other, said in above if name in said), None)
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


def load(path: str) -> Policy:
    """The policy in the file *path*. Raises PolicyError, OSError, and UnicodeDecodeError for what is no text."""
    with open(path, encoding="utf-8") as file:
        text = file.read(MAX_CHARS + 1)
    if len(text) > MAX_CHARS:
        raise PolicyError([f"line 1: too long for a policy: more than {MAX_CHARS:,} characters"])
    return parse(text)


def parse(text: str) -> Policy:
    """The policy that *text* holds. Raises PolicyError with all its mistakes."""
    import yaml

    mistakes: list[str] = []
    try:
        # libyaml's loader takes a tenth of the time of the one in Python, which is there wherever PyYAML is.
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as fault:
        mark, problem = getattr(fault, "problem_mark", None), getattr(fault, "problem", None)
        raise PolicyError([f"line {mark.line + 1 if mark else 1}: {problem or 'not YAML'}"]) from None
    except RecursionError:
        raise PolicyError(["line 1: nested too deeply"]) from None
    entries: list[tuple[str, dict[str, Any]]] = []
    for name, node in _pairs(root, "the file", mistakes):
        if name.value != "services":
            _add(mistakes, name, f"{name.value!r} is not known here; only services: is")
            continue
        for pattern, settings in _pairs(node, "services", mistakes):
            entries.append((pattern.value, _settings(settings, pattern.value, mistakes)))
    if mistakes:
        raise PolicyError(mistakes)
    return Policy(entries)


def _settings(node: yaml.Node, service: str, mistakes: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in _pairs(node, service, mistakes):
        read = _READERS.get(name.value)
        if read is None:
            _add(mistakes, name, f"{name.value!r} is not known here; known are {', '.join(_READERS)}")
            continue
        try:
            found[name.value] = read(value)
        except PolicyError as fault:
            mistakes += fault.mistakes
        except ValueError as fault:
            _add(mistakes, value, f"{name.value}: {fault}")
    return found


def _pairs(node: yaml.Node | None, where: str, mistakes: list[str]) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """The keys and values of a mapping; an empty one is written as nothing at all."""
    import yaml

    if node is None or (isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")):
        return
    if not isinstance(node, yaml.MappingNode):
        _add(mistakes, node, f"{where}: names with values are wanted")
        return
    seen: set[str] = set()
    for name, value in node.value:
        if not isinstance(name, yaml.ScalarNode):
            _add(mistakes, name, f"{where}: a name is wanted")
        elif name.value in seen:
            _add(mistakes, name, f"{name.value!r} comes twice")
        else:
            seen.add(name.value)
            yield name, value


def _add(mistakes: list[str], node: yaml.Node, what: str) -> None:
    mistakes.append(f"line {node.start_mark.line + 1}: {what}")


def _switch(node: yaml.Node) -> bool:
    if node.tag.endswith(":bool"):
        return str(node.value).lower() in ("true", "yes", "on")
    raise ValueError("true or false is wanted")


def _arguments(node: yaml.Node) -> str:
    if node.value not in ARGUMENTS:
        raise ValueError(f"one of these is wanted: {', '.join(ARGUMENTS)}")
    return str(node.value)


def _sampler(node: yaml.Node) -> str:
    text = node.value.strip() if isinstance(node.value, str) else ""
    if not text:
        raise ValueError("a sampler is wanted, such as const:0, probabilistic:0.01 or ratelimiting:2")
    sampler_spec.parse(text)
    return text


def _operations(node: yaml.Node) -> tuple[tuple[str, str], ...]:
    mistakes: list[str] = []
    found = []
    for pattern, spec in _pairs(node, "operations", mistakes):
        try:
            found.append((str(pattern.value), _sampler(spec)))
        except ValueError as fault:
            _add(mistakes, spec, f"{pattern.value!r}: {fault}")
    if mistakes:
        raise PolicyError(mistakes)
    return tuple(found)


def _formats(node: yaml.Node) -> tuple[str, ...]:
    import yaml

    names = [each.value for each in node.value] if isinstance(node, yaml.SequenceNode) else [node.value]
    if not names or any(name not in FORMATS for name in names):
        raise ValueError(f"a list of these is wanted: {', '.join(FORMATS)}")
    return tuple(names)


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "sampler": _sampler,
    "operations": _operations,
    "enabled": _switch,
    "trace_requests": _switch,
    "trace_sqlalchemy": _switch,
    "trace_arguments": _arguments,
    "mask_secrets": _switch,
    "trust_incoming": _switch,
    "rpc_plain_peers": _switch,
    "propagation": _formats,
}
