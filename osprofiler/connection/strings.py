# SPDX-License-Identifier: Apache-2.0
"""The parts of a connection string: host, port, and the options after ``?``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import SplitResult, unquote_plus, urlsplit

from osprofiler.connection.fault_text import fault_line
from osprofiler.connection.secrets import is_certain, malformed

#: The environment variable with the connection string of commands and scripts.
CONNECTION_STRING = "OSPROFILER_CONNECTION_STRING"

_DURATION = re.compile(r"([0-9]{1,10})([smhd]?)", re.A)
_UNEXPECTED = re.compile(r"keyword argument '(\w+)'|'(\w+)' is an invalid keyword")
_UNIT_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_YES_NO = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def split(connection_string: str, default_port: int, default_host: str = "") -> tuple[SplitResult, str, int]:
    """Split the string into its parts; return them, the host and the port.

    Raises ValueError, one line without password, for a malformed string, or one without a host if there is no
    *default_host*.
    """
    if "#" in connection_string or not is_certain(connection_string):
        raise malformed(connection_string, "the end of user and password, or the port, is not clear")
    try:
        parts = urlsplit(connection_string)
    except ValueError:  # brackets that do not match, or letters that look like / ? # @ :
        raise malformed(connection_string, "the host is malformed, or it has a special character") from None
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise malformed(connection_string, "the port must be a number from 1 to 65535")
    host = parts.hostname or default_host
    if not host:
        raise malformed(connection_string, "the host is missing")
    return parts, host, default_port if port is None else port


def scheme(connection_string: str) -> str:
    """The scheme of the string, in lower case."""
    return connection_string.partition("://")[0].lower()


def place(host: str, port: int | None = None) -> str:
    """*host*, as :func:`split` returns it, and *port* for a URL. An address of IPv6 gets brackets."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def take_options(connection_string: str, names: Iterable[str]) -> tuple[str, dict[str, str]]:
    """Remove the options of these *names*: return the rest of the string, unchanged, and the values by name."""
    head, question_mark, query = connection_string.partition("?")
    wanted = set(names)
    values: dict[str, str] = {}
    kept: list[str] = []
    for pair in query.split("&") if question_mark else ():
        key, _, value = pair.partition("=")
        if key in wanted:
            values[key] = unquote_plus(value)
        else:
            kept.append(pair)
    return f"{head}?{'&'.join(kept)}" if kept else head, values


def options(connection_string: str, *names: str) -> dict[str, str]:
    """The options of the string by name. The store has only the options *names*.

    Raises ValueError, one line without password, for any other option.
    """
    rest, values = take_options(connection_string, names)
    if "?" in rest:
        unknown = rest.partition("?")[2].partition("=")[0].partition("&")[0]
        raise malformed(connection_string, f"there is no option {unknown!r}; the options are {', '.join(names)}")
    return values


def unexpected(connection_string: str, fault: TypeError) -> ValueError:
    """The error for an option that a library refuses; *fault* is the library's error."""
    match = _UNEXPECTED.search(str(fault))
    why = f"there is no option {match[1] or match[2]!r}" if match else fault_line(fault, connection_string)
    return malformed(connection_string, why)


def seconds(options: Mapping[str, str], name: str) -> int | None:
    """The option *name*, a duration (``3600``, ``90m``, ``12h``, ``7d``), in seconds; None if it is not set.

    Raises ValueError for any other value.
    """
    text = options.get(name)
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    duration_s = int(match[1]) * _UNIT_S[match[2]] if match else 0
    if not duration_s:
        raise ValueError(f"{name}={text}: give a time such as 3600 (seconds), 90m, 12h or 7d")
    return duration_s


def switch(options: Mapping[str, str], name: str, default: bool = False) -> bool:
    """The option *name*, yes or no, as a bool. Raises ValueError for any other value."""
    text = options.get(name)
    if text is None:
        return default
    if text.lower() not in _YES_NO:
        raise ValueError(f"{name}={text}: give yes or no")
    return _YES_NO[text.lower()]
