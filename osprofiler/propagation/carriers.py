# SPDX-License-Identifier: Apache-2.0
"""Where fields stand: WSGI's environment, and dictionaries whose keys may be in any case.

A carrier is a read-only mapping from field names in lower case to text.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from osprofiler._runtime import guard

_HTTP = "HTTP_"


class Environ(Mapping[str, str]):
    """The request headers in a WSGI environment. Nothing is copied: most requests carry no trace."""

    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        value = self._environ[environ_key(name)]
        if not isinstance(value, str):
            raise KeyError(name)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """As every mapping's, but without an exception for each header that is not there."""
        value = self._environ.get(environ_key(name), default)
        return value if isinstance(value, str) else default

    def __iter__(self) -> Iterator[str]:
        for key, value in self._environ.items():
            if key.startswith(_HTTP) and isinstance(value, str):
                name = key[len(_HTTP) :].replace("_", "-").lower()
                if environ_key(name) == key:  # else no header that PEP 3333 knows, and not to be found by its name
                    yield name

    def __len__(self) -> int:
        return sum(1 for _ in self)


@functools.lru_cache(maxsize=256)
def environ_key(name: str) -> str:
    """Under which key PEP 3333 has the request header *name*."""
    return _HTTP + name.replace("-", "_").upper()


def fields(carrier: Mapping[Any, Any]) -> dict[str, str]:
    """The text fields of any dictionary, by name in lower case.

    A name that comes twice in different case is ambiguous: it counts as malformed, and as absent.
    """
    found: dict[str, str] = {}
    twice: set[str] = set()
    for key, value in carrier.items():
        if isinstance(key, str) and isinstance(value, str):
            name = key.lower()
            if name in found:
                twice.add(name)
            found[name] = value
    for name in twice:
        del found[name]
        guard.count("malformed")
    return found
