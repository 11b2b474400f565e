# SPDX-License-Identifier: Apache-2.0
"""One line that asks for trace points: where they are, and how they are kept.

``MODULE:TARGET [name=NAME] [hide_args] [rate=RATE] [on|off]``, with one of these targets:

* ``function``, or a pattern of functions and classes that the module defines: ``instance_*``, ``*``;
* ``Class``: its public methods; ``Class.method``, ``Class.Inner.method``, ``Class._get_*``;
* ``Class+`` and ``Class+.method``: the same for the class and for all its subclasses, in whichever module they are.

A pattern has ``* ? [...]`` as in file names. It fits a name that begins with an underscore only if it begins with one.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

#: The name of trace points that are given none, as in reports; Jaeger shows the function's own name.
DEFAULT_NAME = "call"

#: In the place of a line: the points of the service's own profile.
AUTO = "auto"

#: Every public name.
PUBLIC = "*"

_IDENTIFIER = r"[^\W\d]\w*"
_MODULE = re.compile(rf"{_IDENTIFIER}(\.{_IDENTIFIER})*")
_TARGET = re.compile(rf"(?P<classes>({_IDENTIFIER}\.)*({_IDENTIFIER}\+\.)?)(?P<attribute>[\w*?!\[\]-]+)")


class PointSpec(NamedTuple):
    """Trace points that somebody asked for."""

    module: str
    classes: tuple[str, ...]  # from the outermost to the one that has the attribute; empty: the module has it
    subclasses: bool  # whether the subclasses of the last class are meant too
    attribute: str  # a name, or a pattern of names
    name: str = DEFAULT_NAME
    hide_args: bool = False
    rate: float = 1.0  # the share of calls that become trace points: 0 (off) .. 1
    switch: str = ""  # the setting without which these points are not in force; empty: none

    @property
    def target(self) -> str:
        """What it asks for, as :func:`parse` reads it."""
        path = ".".join(self.classes) + ("+" if self.subclasses else "")
        return f"{self.module}:{'.'.join(filter(None, (path, self.attribute)))}"


def is_point(text: str) -> bool:
    """Whether *text* is to be a line for :func:`parse`, and not the name of a file or profile."""
    return ":" in text.partition(" ")[0]


def parse(line: str) -> PointSpec:
    """Read one *line*. Raises ValueError if it asks for nothing that can be."""
    place, *words = line.split() or [""]
    module, _, target = place.partition(":")
    if not _MODULE.fullmatch(module):
        raise ValueError(f"a point is wanted, as module:Class.method or module:function; {line!r} is none")
    match = _TARGET.fullmatch(f"{target}.{PUBLIC}" if target.endswith("+") else target)
    if match is None:
        raise ValueError(f"{place!r}: after the module a function is wanted, Class.method, Class+ or a pattern")
    classes = match["classes"].rstrip(".")
    spec = PointSpec(
        module, tuple(filter(None, classes.rstrip("+").split("."))), classes.endswith("+"), match["attribute"]
    )
    for word in words:
        spec = spec._replace(**_option(word, place))
    return spec


def _option(word: str, place: str) -> dict[str, Any]:
    """What one *word* after the place of a point says."""
    key, has_value, value = word.partition("=")
    if word == "hide_args":
        return {"hide_args": True}
    if word in ("on", "off"):
        return {"rate": float(word == "on")}
    if key == "name" and value:
        return {"name": value}
    if key == "rate" and has_value:
        return {"rate": _rate(value, place)}
    raise ValueError(f"{place}: {word!r} is not known; known are name=NAME, hide_args, rate=RATE, on, off")


def _rate(text: str, place: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"{place}: rate={text} is not a share of the calls: 0 .. 1")
    return rate
