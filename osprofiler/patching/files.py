# SPDX-License-Identifier: Apache-2.0
"""Files of an installed package: replaced one by one so that each is always whole, and without stale bytecode."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import shutil
import stat
import tempfile
from pathlib import Path


def replace(file: Path, content: bytes, like: os.stat_result | None = None, *, same_time: bool = False) -> None:
    """Put *content* in the place of *file*, on disk when this returns, with the mode and owner of *like*, if given.

    With *same_time* also with its time of modification. A reader sees the old file or the new one.
    """
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as writer:
            writer.write(content)
            writer.flush()
            os.fchmod(writer.fileno(), 0o644 if like is None else stat.S_IMODE(like.st_mode))
            if like is not None and os.geteuid() == 0:
                os.fchown(writer.fileno(), like.st_uid, like.st_gid)
            os.fsync(writer.fileno())
        if like is not None and same_time:
            os.utime(name, ns=(like.st_atime_ns, like.st_mtime_ns))
        os.replace(name, file)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    sync(file.parent)


def remove_bytecode(source: Path) -> None:
    """Remove what was compiled from *source*, whatever Python did it, and whether it would notice the change or not."""
    stale = {source.with_suffix(".pyc"), *(source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")}
    for optimization in ("", "1", "2"):  # also where PYTHONPYCACHEPREFIX puts it
        stale.add(Path(importlib.util.cache_from_source(str(source.absolute()), optimization=optimization)))
    for file in stale:
        file.unlink(missing_ok=True)


def remove_leftovers(file: Path) -> None:
    """Remove what a killed :func:`replace` of *file* may have left beside it."""
    for leftover in file.parent.glob(f".{file.name}.*"):
        leftover.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make *folder* and those above it that are missing, each as open as the one it is in, whatever the umask."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(stat.S_IMODE(folder.parent.stat().st_mode))


def remove_folder(folder: Path) -> None:
    """Remove *folder* and all that is in it, at once for whoever looks at its name."""
    away = folder.with_name(f"{folder.name}.removed")  # also there if this was cut short before
    shutil.rmtree(away, ignore_errors=True)
    if folder.exists():
        try:
            os.replace(folder, away)
        except OSError as fault:
            # A container's file system cannot rename a folder of one of its lower layers, an image's.
            if fault.errno != errno.EXDEV:
                raise
            away = folder
        sync(folder.parent)
        shutil.rmtree(away)


def sync(folder: Path) -> None:
    """Have the names in *folder* on disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
