# SPDX-License-Identifier: Apache-2.0
"""Carriers: headers of WSGI and ASGI, or any dictionary, as a mapping from field names in lower case to text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from osprofiler._runtime import guard
from osprofiler.propagation import osprofiler, signed

_HTTP = "HTTP_"
_MAX_KEYS = 256

#: The headers with which a request asks for a trace, as ASGI has them.
ASKING = frozenset(name.lower().encode() for name in (osprofiler.TRACE_INFO, signed.HEADER))

#: The headers in which proxies tell the address of their client.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
#: An address in one of them, without its port.
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")

#: The characters that need no percent-encoding in a path; and in one that is encoded already.
PATH_SAFE = "/~!$&'()*+,;=:@"
RAW_PATH_SAFE = f"{PATH_SAFE}%"


class Environ(Mapping[str, str]):
    """The request headers in a WSGI environment. They are not copied, since most requests have no trace."""

    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        value = self._environ[environ_key(name)]
        if not isinstance(value, str):
            raise KeyError(name)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """Same as ``Mapping.get``, but raises no exception inside for a missing header, which would be slow."""
        value = self._environ.get(_keys[name], default)
        return value if isinstance(value, str) else default

    def __iter__(self) -> Iterator[str]:
        for key, value in self._environ.items():
            if key.startswith(_HTTP) and isinstance(value, str):
                name = key[len(_HTTP) :].replace("_", "-").lower()
                if environ_key(name) == key:  # otherwise PEP 3333 does not know the key, and its name does not find it
                    yield name

    def starting(self, prefix: str) -> list[str]:
        """The names that start with *prefix*. Each traced request asks for some that it nearly never has."""
        if environ_key(prefix) not in "".join(self._environ):  # a quarter of the time of a look at each key
            return []
        return [name for name in self if name.startswith(prefix)]

    def __len__(self) -> int:
        return sum(1 for _ in self)


def environ_key(name: str) -> str:
    """The key that PEP 3333 defines for the request header *name*."""
    return _HTTP + name.replace("-", "_").upper()


class _Keys(dict[str, str]):
    """The result of :func:`environ_key`, by name. A cached function takes longer than the look-up of the header."""

    def __missing__(self, name: str) -> str:
        if len(self) >= _MAX_KEYS:
            self.clear()
        self[name] = key = environ_key(name)
        return key


_keys = _Keys()


def peer(address: Any, fields: Mapping[str, str]) -> str | None:
    """The IP address of the peer of a connection, from the server's word *address*; None if it is not known.

    Some middleware replaces the address by one of a header, which any client can write. So an address that such a
    header of *fields* names is not known.
    """
    if not (isinstance(address, str) and address):
        return None
    for name in _FORWARDED:
        text = fields.get(name)
        if text and address in _ADDRESS.findall(text):
            return None
    return address


def headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Request headers, in bytes, by name in lower case. Values of the same name are joined by a comma."""
    values: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        values[name] = f"{values[name]},{value}" if name in values else value
    return values


def fields(carrier: Mapping[Any, Any]) -> dict[str, str]:
    """The text fields of any dictionary, by name in lower case.

    A name that occurs twice, in different case, is ambiguous: it is counted as malformed and left out.
    """
    values: dict[str, str] = {}
    ambiguous: set[str] = set()
    for key, value in carrier.items():
        if isinstance(key, str) and isinstance(value, str):
            name = key.lower()
            if name in values:
                ambiguous.add(name)
            values[name] = value
    for name in ambiguous:
        del values[name]
        guard.count("malformed")
    return values
