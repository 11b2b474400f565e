# SPDX-License-Identifier: Apache-2.0
"""What the drivers of network stores share: options in the connection string, a client for each process, and one line
for the reader where a store cannot be read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, TypeVar
from urllib.parse import SplitResult, unquote_plus, urlsplit

from osprofiler import _inherited, exc
from osprofiler._fault_text import told
from osprofiler._secrets import is_certain, malformed, masked

T = TypeVar("T")

#: How long to wait for a connection, and for an answer, unless the connection string says otherwise; and for the whole
#: of an HTTP request that reads: a large trace is long in coming. What writes has the reporter's deadline.
CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 20.0
READ_TIMEOUT_S = 120.0

#: What an HTTP server, or somebody before it, answers when it is away or asks for patience.
AWAY = frozenset((408, 425, 429, 502, 503, 504))

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
    why = f"there is no option {match[1] or match[2]!r}" if match else told(fault, connection_string)
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


def setting(conf: Any, name: str, default: T) -> T:
    """The option *name* of *conf*'s group ``profiler``; *default* where *conf* does not know it."""
    try:
        value: T = getattr(conf.profiler, name)
    except AttributeError:  # oslo.config's NoSuchOptError is one
        return default
    return value


class PerProcess(Generic[T]):
    """A store's client, made when it is first needed and anew after a fork: sockets are the parent's."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: tuple[int, T] | None = None

    def get(self) -> T:
        """This process's client."""
        made = self._made
        if made is None or made[0] != os.getpid():
            if made is not None:
                _inherited.keep(made[1])
            self._made = made = (os.getpid(), self._make())
        return made[1]

    def take(self) -> T | None:
        """This process's client, if there is one, to be closed: the next ``get`` makes another."""
        made, self._made = self._made, None
        return made[1] if made is not None and made[0] == os.getpid() else None


@contextmanager
def reading(connection_string: str, *faults: Any, plain: Iterable[str] = ()) -> Iterator[None]:
    """Turn *faults* of a store's client, and of the network, into a CommandError of one line without the secrets of
    the string, and without those of *plain*."""
    try:
        yield
    except (OSError, *faults) as fault:  # what requests raises is one
        # Without its cause, which may hold what was cut.
        raise cannot_read(connection_string, told(fault, connection_string, plain=plain)) from None


def cannot_read(connection_string: str, why: str) -> exc.CommandError:
    """The fault for a store that cannot be read; *why* has no secrets."""
    return exc.CommandError(f"cannot read {masked(connection_string)}: {why}")


def missing(store: str, library: str, extra: str) -> exc.CommandError:
    """The fault for a *library* that is not installed."""
    return exc.CommandError(f"traces in {store} need the library {library}: pip install 'osprofiler[{extra}]'")


def earliest(records: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The record with the first time stamp of each trace, by base_id; traces by that time."""
    found: dict[str, Mapping[str, Any]] = {}
    for record in records:
        base_id = str(record.get("base_id"))
        if base_id not in found or _stamp(record) < _stamp(found[base_id]):
            found[base_id] = record
    return dict(sorted(found.items(), key=lambda item: (_stamp(item[1]), item[0])))


def _stamp(record: Mapping[str, Any]) -> str:
    return str(record.get("timestamp"))


def listed(records: Iterable[Mapping[str, Any]], fields: Iterable[str]) -> list[dict[str, Any]]:
    """What ``list_traces`` returns: the :func:`earliest` records, cut down to *fields*."""
    wanted = set(fields)
    return [{key: value for key, value in record.items() if key in wanted} for record in earliest(records).values()]
