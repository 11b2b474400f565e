# SPDX-License-Identifier: Apache-2.0
"""Find the first of many rules that matches a request. A thousand rules take about the time of one.

Each rule is one bit, the first rule the lowest. For each condition that any rule has, an index returns the bits of the
rules whose patterns match a value. Together with the rules that do not have the condition, these are still possible.
The lowest bit that is left for all conditions is the rule that counts.
"""

from __future__ import annotations

import datetime
import fnmatch
import functools
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from osprofiler._runtime import clocks
from osprofiler.config import conditions
from osprofiler.config.conditions import WILDCARDS
from osprofiler.config.rules import Rule
from osprofiler.context.identity import Identity

#: How many values of each condition keep their result. Clients can make up new ones.
_MAX_VALUES = 2048
_NEVER_NS = 1 << 63

Find = Callable[[str], int]


class Asked(Protocol):
    """What rules ask about a request. None or empty: the request has no such thing."""

    @property
    def method(self) -> str | None: ...

    @property
    def path(self) -> str | None: ...

    @property
    def fields(self) -> Mapping[str, str]: ...

    @property
    def peer(self) -> str | None: ...

    @property
    def identity(self) -> Identity | None:
        """Who asks; None: not known yet."""


class RuleIndex:
    """The rules of one service, from first to last."""

    def __init__(self, rules: Sequence[Rule], clock_ns: Callable[[], int] = clocks.wall_ns) -> None:
        """*clock_ns*: nanoseconds since the epoch."""
        self.rules = rules
        self._clock_ns = clock_ns
        self._all = (1 << len(rules)) - 1
        self._of_identity = sum(1 << number for number, rule in enumerate(rules) if rule.of_identity)
        self._known: list[tuple[str, str, Find, int]] = []
        self._later: list[tuple[str, Find, int]] = []
        for (name, header), entries in self._entries().items():
            find = functools.lru_cache(_MAX_VALUES)(_INDEXES.get(name, _texts)(entries))
            without = self._all
            for _, bit in entries:
                without &= ~bit
            if name in conditions.OF_IDENTITY:
                self._later.append((name, find, without))
            elif name != "service":  # the caller has chosen the rules of its service
                self._known.append((name, header, find, without))
        self._ends = [(_ns(rule.until), 1 << number) for number, rule in enumerate(rules) if rule.until]
        self._end()

    def _entries(self) -> dict[tuple[str, str], list[tuple[str, int]]]:
        """The patterns of each condition, each with the bit of its rule."""
        entries: dict[tuple[str, str], list[tuple[str, int]]] = {}
        for number, rule in enumerate(self.rules):
            for condition in rule.conditions:
                patterns = entries.setdefault((condition.name, condition.header), [])
                patterns += [(pattern, 1 << number) for pattern in condition.patterns]
        return entries

    def possible(self, operation: str, asked: Asked | None, keys: Sequence[str] = ()) -> int:
        """The bits of the rules that may match a request. Only conditions on the identity are left open.

        *keys*: the id and the name of the key that asked.
        """
        if self._ends and not self._from_ns <= self._clock_ns() < self._to_ns:
            self._end()
        bits = self._in_force
        for name, header, find, without in self._known:
            matching = without
            for value in _values(name, header, operation, asked, keys):
                matching |= find(value)
            bits &= matching
            if not bits:
                break
        return bits

    def needs_identity(self, bits: int) -> bool:
        """Whether the first of the rules *bits* matches only some users, projects or roles."""
        return bool(bits & -bits & self._of_identity)

    def of_identity(self, bits: int, identity: Identity) -> int:
        """The bits of the rules in *bits* that match a request of *identity*."""
        for name, find, without in self._later:
            matching = without
            for value in getattr(identity, name):
                matching |= find(value)
            bits &= matching
        return bits

    def first(self, bits: int) -> int | None:
        """The number of the first of the rules *bits*; None if there is none."""
        return (bits & -bits).bit_length() - 1 if bits else None

    def _end(self) -> None:
        """Leave out the rules that have ended, until the next one ends or the clock is set back."""
        now_ns = self._clock_ns()
        in_force, from_ns, to_ns = self._all, 0, _NEVER_NS
        for end_ns, bit in self._ends:
            if end_ns <= now_ns:
                in_force, from_ns = in_force & ~bit, max(from_ns, end_ns)
            else:
                to_ns = min(to_ns, end_ns)
        # These bits count from the first to before the second time.
        self._in_force, self._from_ns, self._to_ns = in_force, from_ns, to_ns


def _ns(time: datetime.datetime | None) -> int:
    return _NEVER_NS if time is None else int(time.timestamp() * 1e9)


def _values(name: str, header: str, operation: str, asked: Asked | None, keys: Sequence[str]) -> Iterable[str]:
    """The values of a request for one condition."""
    if name == "operation":
        return (operation,)
    if name == "key":
        return keys
    if asked is None:
        return ()
    if name == "header":
        value = asked.fields.get(header)
    else:
        value = asked.peer if name == "network" else asked.path if name == "path" else asked.method
    return () if value is None else (value,)


# The indexes: from patterns with bits, a function that returns the bits of all patterns that match a value


def _texts(entries: Sequence[tuple[str, int]]) -> Find:
    """Patterns with wildcards. They are found by their text before the first wildcard."""
    exact: dict[str, int] = {}
    wild: dict[int, dict[str, list[tuple[Callable[[str], object], int]]]] = {}
    for pattern, bit in entries:
        start = next((place for place, letter in enumerate(pattern) if letter in WILDCARDS), None)
        if start is None:
            exact[pattern] = exact.get(pattern, 0) | bit
        else:
            same_start = wild.setdefault(start, {}).setdefault(pattern[:start], [])
            same_start.append((re.compile(fnmatch.translate(pattern)).match, bit))

    def find(value: str) -> int:
        bits = exact.get(value, 0)
        for length, starts in wild.items():
            for matches, bit in starts.get(value[:length], ()):
                if matches(value):
                    bits |= bit
        return bits

    return find


class _Node:
    """A place in the tree of path templates."""

    __slots__ = ("below", "ending", "texts", "variable")

    def __init__(self) -> None:
        self.texts: dict[str, _Node] = {}
        self.variable: _Node | None = None
        self.ending = 0  # the rules with a template that ends here
        self.below = 0  # the rules with a template that matches this and all below


def _paths(entries: Sequence[tuple[str, int]]) -> Find:
    """Templates of paths, as a tree of their segments."""
    root = _Node()
    for pattern, bit in entries:
        node = root
        wanted = conditions.segments(pattern)
        has_rest = wanted[-1] == conditions.REST
        for segment in wanted[:-1] if has_rest else wanted:
            if conditions.is_variable(segment):
                node.variable = node = node.variable or _Node()
            else:
                node = node.texts.setdefault(segment, _Node())
        if has_rest:
            node.below |= bit
        else:
            node.ending |= bit

    def find(path: str) -> int:
        bits, nodes = root.below, [root]
        for segment in conditions.segments(path):
            following = [node.texts[segment] for node in nodes if segment in node.texts]
            if segment:
                following += [node.variable for node in nodes if node.variable is not None]
            nodes = following
            if not nodes:
                return bits
            for node in nodes:
                bits |= node.below
        for node in nodes:
            bits |= node.ending
        return bits

    return find


def _networks(entries: Sequence[tuple[str, int]]) -> Find:
    """Networks, by the length of their prefix."""
    by_length: dict[tuple[int, int], dict[int, int]] = {}
    for pattern, bit in entries:
        network = ipaddress.ip_network(pattern)
        shift = network.max_prefixlen - network.prefixlen
        of_length = by_length.setdefault((network.version, shift), {})
        start = int(network.network_address) >> shift
        of_length[start] = of_length.get(start, 0) | bit

    def find(value: str) -> int:
        address = conditions.address(value)
        if address is None:
            return 0
        number, bits = int(address), 0
        for (version, shift), starts in by_length.items():
            if version == address.version:
                bits |= starts.get(number >> shift, 0)
        return bits

    return find


_INDEXES: Mapping[str, Callable[[Sequence[tuple[str, int]]], Find]] = {"path": _paths, "network": _networks}
