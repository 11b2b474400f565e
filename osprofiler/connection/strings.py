# SPDX-License-Identifier: Apache-2.0
"""The parts of a connection string: host, port, and the options after ``?``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import SplitResult, unquote_plus, urlsplit

from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import is_certain, malformed

_SPAN_OF_TIME = re.compile(r"([0-9]{1,10})([smhd]?)", re.A)
_UNEXPECTED = re.compile(r"keyword argument '(\w+)'|'(\w+)' is an invalid keyword")
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_YES_NO = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def split(connection_string: str, default_port: int, default_host: str = "") -> tuple[SplitResult, str, int]:
    """The parts, the host and the port. Raises ValueError, one line without password, for what has no host if there is
    no *default_host*."""
    if "#" in connection_string or not is_certain(connection_string):
        raise malformed(connection_string, "where user and password end, or the port, cannot be told")
    try:
        parts = urlsplit(connection_string)
    except ValueError:  # brackets that do not match, or letters that look like / ? # @ :
        raise malformed(
            connection_string, "it has no host that can be read, or a special character stands in it"
        ) from None
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise malformed(connection_string, "the port is no number from 1 to 65535")
    host = parts.hostname or default_host
    if not host:
        raise malformed(connection_string, "a host is missing")
    return parts, host, default_port if port is None else port


def take_options(connection_string: str, names: Iterable[str]) -> tuple[str, dict[str, str]]:
    """The string without the options of these *names*, whose values are returned beside it; others stay as written."""
    head, question_mark, query = connection_string.partition("?")
    wanted = set(names)
    taken: dict[str, str] = {}
    kept: list[str] = []
    for pair in query.split("&") if question_mark else ():
        key, _, value = pair.partition("=")
        if key in wanted:
            taken[key] = unquote_plus(value)
        else:
            kept.append(pair)
    return f"{head}?{'&'.join(kept)}" if kept else head, taken


def options(connection_string: str, *names: str) -> dict[str, str]:
    """What the string says of the options of these *names*, where a store has no others.

    Raises ValueError, one line without password, for an option that it does not have.
    """
    rest, taken = take_options(connection_string, names)
    if "?" in rest:
        unknown = rest.partition("?")[2].partition("=")[0].partition("&")[0]
        raise malformed(connection_string, f"there is no option {unknown!r}; known are {', '.join(names)}")
    return taken


def unexpected(connection_string: str, fault: TypeError) -> ValueError:
    """The fault for an option of which a library says, by *fault*, that it does not have it."""
    match = _UNEXPECTED.search(str(fault))
    why = f"there is no option {match[1] or match[2]!r}" if match else fault_line(fault, connection_string)
    return malformed(connection_string, why)


def seconds(options: Mapping[str, str], name: str) -> int | None:
    """The span of time that the option *name* gives (``3600``, ``90m``, ``12h``, ``7d``); None where it is not given.

    Raises ValueError for anything else.
    """
    text = options.get(name)
    if text is None:
        return None
    match = _SPAN_OF_TIME.fullmatch(text)
    found = int(match[1]) * _UNIT_S[match[2]] if match else 0
    if not found:
        raise ValueError(f"{name}={text}: give a time such as 3600 (seconds), 90m, 12h or 7d")
    return found


def switch(options: Mapping[str, str], name: str, default: bool = False) -> bool:
    """The yes or no that the option *name* gives. Raises ValueError for anything else."""
    text = options.get(name)
    if text is None:
        return default
    if text.lower() not in _YES_NO:
        raise ValueError(f"{name}={text}: give yes or no")
    return _YES_NO[text.lower()]
