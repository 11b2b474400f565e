# SPDX-License-Identifier: Apache-2.0
"""Replace files of an installed package, each in one step, and remove stale bytecode."""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import stat
from pathlib import Path

from osprofiler._runtime import atomic_file


def replace(file: Path, content: bytes, like: os.stat_result | None = None, *, same_time: bool = False) -> None:
    """Replace *file* by a file with *content*, which is on the disk when this returns.

    The new file gets the mode and the owner of *like*, if given; with
    *same_time* also its time of modification.
    """
    if like is None:
        atomic_file.replace(file, content)
        return
    atomic_file.replace(
        file,
        content,
        mode=stat.S_IMODE(like.st_mode),
        owner=(like.st_uid, like.st_gid) if os.geteuid() == 0 else None,
        times_ns=(like.st_atime_ns, like.st_mtime_ns) if same_time else None,
    )


def remove_bytecode(source: Path) -> None:
    """Remove the bytecode of *source*, of every Python version: some bytecode is used without a check of its source."""
    stale = {source.with_suffix(".pyc"), *(source.parent / "__pycache__").glob(f"{source.stem}.*.pyc")}
    for optimization in ("", "1", "2"):  # also in the folder of PYTHONPYCACHEPREFIX
        stale.add(Path(importlib.util.cache_from_source(str(source.absolute()), optimization=optimization)))
    for file in stale:
        file.unlink(missing_ok=True)


def remove_leftovers(file: Path) -> None:
    """Remove the temporary files that a killed :func:`replace` of *file* may have left."""
    for leftover in file.parent.glob(f".{file.name}.*"):
        leftover.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make *folder* and its missing parents. Each gets the mode of its parent, whatever the umask."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(stat.S_IMODE(folder.parent.stat().st_mode))


def remove_folder(folder: Path) -> None:
    """Remove *folder* with its content. Its name disappears in one step."""
    away = folder.with_name(f"{folder.name}.removed")  # exists if an earlier run was interrupted
    shutil.rmtree(away, ignore_errors=True)
    if folder.exists():
        try:
            os.replace(folder, away)
        except OSError as fault:
            # In a container, a folder that comes from the image (a lower layer) cannot be renamed.
            if fault.errno != errno.EXDEV:
                raise
            away = folder
        atomic_file.sync(folder.parent)
        shutil.rmtree(away)
