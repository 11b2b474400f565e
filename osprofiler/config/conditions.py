# SPDX-License-Identifier: Apache-2.0
"""The conditions of rules: their names, the patterns that each takes, and which values a pattern matches.

========================  =========================================================================================
``service``               the service's name in Jaeger and in reports
``operation``             the operation's name in Jaeger, such as ``wsgi GET`` or ``rpc build_and_run_instance``
``method``                of an HTTP request
``path``                  of an HTTP request: a template, see :func:`template`
``header``                of an HTTP request: a mapping of names to patterns
``network``               that the HTTP request came from, such as ``10.0.0.0/8``
``project``, ``user``     who asks, by id or by name
``role``                  one of the roles of who asks
``key``                   the id or the name of the key that asked for the trace
========================  =========================================================================================

A pattern without a note is text with the wildcards ``*``, ``?`` and ``[...]``.
"""

from __future__ import annotations

import fnmatch
import ipaddress
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple
from urllib.parse import unquote

#: The conditions that need to know who sends a request.
OF_IDENTITY = ("project", "user", "role")

#: The conditions on what only HTTP requests have.
OF_HTTP = ("method", "path", "header", "network")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

WILDCARDS = frozenset("*?[")


class Condition(NamedTuple):
    """One condition of a rule. It holds if a value of the request matches one of the patterns."""

    name: str
    patterns: tuple[str, ...]
    header: str = ""  # of the condition ``header``: the name in lower case

    def holds(self, values: Collection[str]) -> bool:
        """Whether the condition holds for a request with *values*."""
        matches = KINDS[self.name].matches
        return any(matches(pattern, value) for pattern in self.patterns for value in values)

    def covers(self, other: Condition) -> bool:
        """Whether this condition surely holds where *other*, of the same name, holds."""
        covers = KINDS[self.name].covers
        return all(any(covers(pattern, narrow) for pattern in self.patterns) for narrow in other.patterns)

    @property
    def title(self) -> str:
        """Its name for people."""
        return f"{self.name} {self.header}" if self.header else self.name

    def __str__(self) -> str:
        return f"{self.title}: {' or '.join(self.patterns)}"


class Kind(NamedTuple):
    """What the patterns of a condition are."""

    read: Callable[[str], str]  # from the text in a policy; raises ValueError
    matches: Callable[[str, str], bool]  # pattern, value
    covers: Callable[[str, str], bool]  # whether the first pattern matches all that the second one matches


# Text with wildcards


def _matches_text(pattern: str, value: str) -> bool:
    return fnmatch.fnmatchcase(value, pattern)


def covers_text(pattern: str, other: str) -> bool:
    """Whether *pattern* surely matches every text that the pattern *other* matches."""
    if pattern == other:
        return True
    # If a pattern has only stars and matches the text of another pattern, it matches all names of that pattern too.
    return not set(pattern) & set("?[") and fnmatch.fnmatchcase(other, pattern)


# Templates of paths

REST = "**"


def template(text: str) -> str:
    """Check the template of a path. Raises ValueError.

    ``/v2.1/servers/{id}/action``: a segment in braces matches any one segment. ``/v2.1/**`` matches ``/v2.1`` and all
    paths below. A slash at the end has no meaning.
    """
    if not text.startswith("/"):
        raise ValueError(f"{text!r} must begin with a slash")
    *inner, last = segments(text)
    for segment in inner if last == REST else [*inner, last]:
        is_whole = segment.startswith("{") and segment.endswith("}")
        if "*" in segment or (not is_whole and set(segment) & set("{}")):
            raise ValueError(f"{text!r}: a segment is text or a name in braces, and the last one may be {REST}")
    return text


def segments(path: str) -> list[str]:
    """The segments of a path or a template, without the percent-encoding of a path."""
    parts = path.strip("/").split("/")
    return [unquote(part) for part in parts] if "%" in path else parts


def is_variable(segment: str) -> bool:
    """Whether *segment*, of a template, matches any segment."""
    return segment.startswith("{")


def _matches_path(pattern: str, value: str) -> bool:
    wanted, present = segments(pattern), segments(value)
    if wanted[-1] == REST:
        del wanted[-1]
        present = present if wanted else []
        del present[len(wanted) :]
    return _fit(wanted, present)


def _covers_path(pattern: str, other: str) -> bool:
    wide, narrow = segments(pattern), segments(other)
    if wide[-1] == REST:
        del wide[-1]
        narrow = [segment for segment in narrow if segment != REST]
        if len(narrow) < len(wide):
            return False
        del narrow[len(wide) :]
    elif narrow[-1] == REST:
        return False
    return _fit(wide, narrow)


def _fit(wanted: Sequence[str], present: Sequence[str]) -> bool:
    """Whether the segments *present* fit those *wanted*, one by one. A variable fits any segment that is not empty."""
    return len(wanted) == len(present) and all(
        segment == there or (is_variable(segment) and there != "")
        for segment, there in zip(wanted, present, strict=True)
    )


# Networks


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError(f"{text!r} is not a network, such as 10.0.0.0/8 or 2001:db8::/32") from None


def address(text: str) -> Address | None:
    """The IP address in *text*; None if it is not one. An IPv4 address in IPv6's form, as a dual-stack socket shows it,
    is an IPv4 address.
    """
    try:
        value = ipaddress.ip_address(text)
    except ValueError:
        return None
    return value.ipv4_mapped or value if isinstance(value, ipaddress.IPv6Address) else value


def _matches_network(pattern: str, value: str) -> bool:
    there = address(value)
    return there is not None and there in ipaddress.ip_network(pattern)


def _covers_network(pattern: str, other: str) -> bool:
    wide, narrow = ipaddress.ip_network(pattern), ipaddress.ip_network(other)
    return wide.version == narrow.version and narrow.subnet_of(wide)  # type: ignore[arg-type]


def _text(text: str) -> str:
    return text


_TEXT = Kind(_text, _matches_text, covers_text)

#: The conditions by name, in the order in which a rule is explained.
KINDS = {
    "service": _TEXT,
    "operation": _TEXT,
    "method": Kind(str.upper, _matches_text, covers_text),
    "path": Kind(template, _matches_path, _covers_path),
    "header": _TEXT,
    "network": Kind(_network, _matches_network, _covers_network),
    "project": _TEXT,
    "user": _TEXT,
    "role": _TEXT,
    "key": _TEXT,
}


def by_subject(conditions: Sequence[Condition]) -> dict[tuple[str, str], Condition]:
    """*conditions* by what they are about: the name, and the header."""
    return {(condition.name, condition.header): condition for condition in conditions}
