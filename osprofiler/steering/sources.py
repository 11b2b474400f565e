# SPDX-License-Identifier: Apache-2.0
"""Sources of a policy: what each of them can do, and which one an address names."""

from __future__ import annotations

from typing import Protocol

from osprofiler.config.policy_text import MAX_BYTES
from osprofiler.connection.secrets import masked
from osprofiler.steering.source_file import FileSource
from osprofiler.steering.unreadable import Unreadable

__all__ = ["MAX_BYTES", "Source", "Unreadable", "source_of"]


class Source(Protocol):
    """A place that has the text of a policy."""

    #: Its address for messages, without secrets.
    shown: str

    def read(self, limit_s: float) -> bytes | None:
        """The content, at most one byte more than ``MAX_BYTES``; None if it has not changed since the last call.

        Takes about *limit_s* seconds at most. Raises Unreadable.
        """


def source_of(address: str) -> Source:
    """The source with this address: the path of a file, or a URL. Does not read it.

    Raises ValueError for an address that cannot be used, and CommandError if a library is missing. The text of both is
    one line without secrets.
    """
    scheme, separator, path = address.partition("://")
    if not separator:
        return FileSource(address)
    scheme = scheme.lower()
    if scheme == "file":
        return FileSource(path)
    if scheme in ("http", "https"):
        from osprofiler.steering.source_http import HttpSource

        return HttpSource(address)
    if scheme in ("redis", "rediss"):
        from osprofiler.steering.source_redis import RedisSource

        return RedisSource(address)
    raise ValueError(f"{masked(address)!r} is not a policy: give a file, or a URL with http, https, redis or rediss")
