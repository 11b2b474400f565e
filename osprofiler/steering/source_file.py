# SPDX-License-Identifier: Apache-2.0
"""A policy in a file."""

from __future__ import annotations

import os

from osprofiler.config.policy_text import MAX_BYTES
from osprofiler.steering.unreadable import Unreadable


class FileSource:
    """The file *path*. It is read only if its time, size or inode has changed; the check is one ``stat``."""

    def __init__(self, path: str) -> None:
        self.shown = path
        self._path = path
        self._seen: tuple[int, int, int] | None = None

    def read(self, limit_s: float) -> bytes | None:
        """See :class:`osprofiler.steering.sources.Source`. A disk that hangs takes longer than *limit_s*."""
        try:
            status = os.stat(self._path)
            state = (status.st_mtime_ns, status.st_size, status.st_ino)
            if state == self._seen:
                return None
            with open(self._path, "rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as fault:
            self._seen = None
            raise Unreadable(fault.strerror or type(fault).__name__) from fault
        self._seen = state
        return content
