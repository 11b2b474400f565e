# SPDX-License-Identifier: Apache-2.0
"""The kinds of settings: the option class of each, and how the value of an option or a policy becomes a setting.

This module does not load oslo.config: a kind only has the name of its option class.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Generic, TypeVar

from osprofiler._runtime import entry_points
from osprofiler.config import point_spec, sampler_spec, trust
from osprofiler.config.limited_key import LimitedKey
from osprofiler.config.policy_nodes import listed
from osprofiler.config.rules import Rule

T = TypeVar("T")

#: A function that takes one line about a part of a value that is not used.
Complain = Callable[[str], None]

#: Formats in which requests can carry a trace; other packages may add some by entry points.
FORMATS = ("osprofiler", "jaeger", "w3c", "b3")

#: How much of a function's arguments trace points record.
ARGUMENTS = ("full", "types", "none")

#: Levels of logging by name.
LEVELS = {logging.getLevelName(level): level for level in range(logging.DEBUG, logging.CRITICAL + 1, 10)}


@dataclasses.dataclass(frozen=True)
class Kind(Generic[T]):
    """A kind of settings.

    *from_option* gets a value that oslo.config has read. *from_policy* gets a value of YAML: a bool, a text (also for
    numbers), a list of these, or None for a mapping. Both raise ValueError for a value that cannot be used.
    """

    word: str  # its name in the documentation
    option: str | None  # the class in oslo_config.cfg; None: only a policy has it
    from_option: Callable[[Any, Complain], T]
    from_policy: Callable[[Any], T] | None = None
    arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # for the class in oslo_config.cfg
    values: Kind[Any] | None = None  # in a policy, a mapping of patterns to values of this kind


def _unchanged(value: Any, complain: Complain) -> Any:
    return value


def _tuple(value: Sequence[str], complain: Complain) -> tuple[str, ...]:
    return tuple(value)


def _finite(value: float, complain: Complain) -> float:
    if not math.isfinite(value):  # oslo.config has no check for this
        raise ValueError(f"{value} is not a finite number of seconds")
    return value


def _keys(value: str | None, complain: Complain) -> tuple[str, ...]:
    return tuple(key.strip() for key in (value or "").split(",") if key.strip())


def _formats(names: Sequence[str], complain: Complain) -> tuple[str, ...]:
    unknown = _unknown(names)
    if unknown:
        complain(f"unknown format {unknown[0]!r}; known formats: {', '.join(FORMATS)}")
    return tuple(name for name in names if name not in unknown)


def _unknown(names: Sequence[str]) -> list[str]:
    """The names that are not a format of this package or of another one."""
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        registered = entry_points.names(entry_points.PROPAGATORS)
        unknown = [name for name in unknown if name not in registered]
    return unknown


def _patterns(patterns: Sequence[str], complain: Complain) -> tuple[str, ...]:
    usable = []
    for pattern in patterns:
        try:
            re.compile(pattern)
            usable.append(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            complain(f"{pattern!r} is not used: {error}")
    return tuple(usable)


def _switch_of_policy(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("must be true or false")


def _sampler_of_policy(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise ValueError("must be a sampler, such as const:0, probabilistic:0.01 or ratelimiting:2")
    sampler_spec.parse(text)
    return text


def _rate(text: str | None, complain: Complain) -> str:
    return sampler_spec.local(text) if text and text.strip() else ""


def _rate_of_policy(value: Any) -> str:
    if value == "":
        return ""
    return sampler_spec.local(value if isinstance(value, str) else str(value))


def _formats_of_policy(value: Any) -> tuple[str, ...]:
    names = listed(value)
    if not names or _unknown(names):
        raise ValueError(f"must be a list of formats: {', '.join(FORMATS)}")
    return tuple(names)


def _trust(words: str | None, complain: Complain) -> trust.Trust:
    return trust.parse((words or "").split(","), _unknown)


def _trust_of_policy(value: Any) -> trust.Trust:
    words = listed(value)
    if not all(isinstance(word, (str, bool)) for word in words):
        raise ValueError("must be signed, all, or a list of networks and formats")
    return trust.parse([part for word in words for part in str(word).split(",")], _unknown)


def _level(name: Any, complain: Complain) -> int:
    return LEVELS[name.upper()] if name else 0


def _level_of_policy(value: Any) -> int:
    if isinstance(value, str) and value.upper() in LEVELS:
        return LEVELS[value.upper()]
    raise ValueError(f"one of these is wanted: {', '.join(LEVELS)}")


def _points(entries: Sequence[str] | None, complain: Complain) -> tuple[str, ...] | None:
    return None if entries is None else tuple(entry.strip() for entry in entries)


def _points_of_policy(value: Any) -> tuple[str, ...]:
    entries = listed(value)
    for entry in entries:
        if not isinstance(entry, str):
            raise ValueError("a list of these is wanted: auto, names of profiles, files, points")
        if point_spec.is_point(entry):
            point_spec.parse(entry)
    return tuple(entries)


def choice(*words: str) -> Kind[str]:
    """One of *words*."""

    def from_policy(value: Any) -> str:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return str(value)

    return Kind(f"one of {', '.join(words)}", "StrOpt", _unchanged, from_policy, {"choices": words})


def some_of(words: Callable[[], Collection[str]]) -> Kind[tuple[str, ...]]:
    """Some of *words*, which is called when a value is read."""

    def from_option(names: Sequence[str], complain: Complain) -> tuple[str, ...]:
        known = words() if names else ()
        for name in names:
            if name not in known:
                complain(f"{name!r} is not known; known are {', '.join(known)}")
        return tuple(name for name in names if name in known)

    def from_policy(value: Any) -> tuple[str, ...]:
        names, known = listed(value), words()
        if any(name not in known for name in names):
            raise ValueError(f"must be a list of these: {', '.join(known)}")
        return tuple(names)

    return Kind("list", "ListOpt", from_option, from_policy)


def integer(minimum: int | None = None) -> Kind[int]:
    """A whole number, *minimum* or more."""
    if minimum is None:
        return Kind("whole number", "IntOpt", _unchanged)
    return Kind(f"whole number, at least {minimum}", "IntOpt", _unchanged, arguments={"min": minimum})


def seconds(minimum: float) -> Kind[float]:
    """A finite number of seconds, *minimum* or more."""
    return Kind(f"seconds, at least {minimum}", "FloatOpt", _finite, arguments={"min": minimum})


SWITCH: Kind[bool] = Kind("true or false", "BoolOpt", _unchanged, _switch_of_policy)
TEXT: Kind[str] = Kind("text", "StrOpt", _unchanged)
NUMBER: Kind[float] = Kind("number", "FloatOpt", _unchanged)
NAMES: Kind[tuple[str, ...]] = Kind("list", "ListOpt", _tuple)
TAGS: Kind[dict[str, str]] = Kind("list of NAME:VALUE", "DictOpt", _unchanged)
KEYS: Kind[tuple[str, ...]] = Kind("list", "StrOpt", _keys)
PATTERNS: Kind[tuple[str, ...]] = Kind("regular expression, several times", "MultiStrOpt", _patterns)
PROPAGATION: Kind[tuple[str, ...]] = Kind("list", "ListOpt", _formats, _formats_of_policy)
TRUST: Kind[trust.Trust] = Kind("list", "StrOpt", _trust, _trust_of_policy)
POINTS: Kind[tuple[str, ...] | None] = Kind("list", "ListOpt", _points, _points_of_policy)
RATE: Kind[str] = Kind("rate", "StrOpt", _rate, _rate_of_policy)
SAMPLER: Kind[str] = Kind("sampler", "StrOpt", _unchanged, _sampler_of_policy)
LEVEL: Kind[int] = Kind(
    f"one of {', '.join(LEVELS)}",
    "StrOpt",
    _level,
    _level_of_policy,
    {"choices": ("", *LEVELS), "ignore_case": True},
)
RULES: Kind[tuple[Rule, ...]] = Kind("rules", None, _unchanged)
LIMITED_KEYS: Kind[tuple[LimitedKey, ...]] = Kind("keys with limits", None, _unchanged)
OPERATIONS: Kind[tuple[tuple[str, str], ...]] = Kind("samplers by operation", None, _unchanged, values=SAMPLER)
