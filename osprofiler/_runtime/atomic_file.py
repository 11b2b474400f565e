# SPDX-License-Identifier: Apache-2.0
"""Replace a file in one step: a reader sees the old content or the new one, also after a power failure."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def replace(
    file: Path,
    content: bytes,
    *,
    mode: int = 0o644,
    owner: tuple[int, int] | None = None,
    times_ns: tuple[int, int] | None = None,
) -> None:
    """Replace *file* by a file with *content*, which is on the disk when this returns. Raises OSError.

    *mode*: its permissions. *owner*: ids of its user and group; None: this process. *times_ns*: when it was last read
    and changed, in nanoseconds since the epoch; None: now. A process that is killed may leave a file whose name is that
    of *file* between dots.
    """
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as writer:
            writer.write(content)
            writer.flush()
            os.fchmod(writer.fileno(), mode)
            if owner is not None:
                os.fchown(writer.fileno(), *owner)
            os.fsync(writer.fileno())
        if times_ns is not None:
            os.utime(name, ns=times_ns)
        os.replace(name, file)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    sync(file.parent)


def sync(folder: Path) -> None:
    """Write the names in *folder* to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
