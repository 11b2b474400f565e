# SPDX-License-Identifier: Apache-2.0
"""The last good policy of a source, kept in a file for a process that starts while the source cannot be read."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from pathlib import Path

from osprofiler._runtime import atomic_file
from osprofiler._runtime.state_folder import state_folder
from osprofiler.config.policy_text import MAX_BYTES


class LastGood:
    """The file for the source *shown* in *folder*; empty: the state folder of this user.

    Processes of one user share it. Only this user can read it, since a policy may have keys.
    """

    def __init__(self, shown: str, folder: str = "") -> None:
        self._folder = folder
        self._name = f"policy-{hashlib.sha256(shown.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}.yaml"

    def keep(self, content: bytes) -> None:
        """Write *content*, all or nothing, unless the file has it. Raises OSError, or RuntimeError without a home."""
        path = self._path()
        with contextlib.suppress(OSError):  # what cannot be used is replaced
            if self.load() == content:
                return
        atomic_file.replace(path, content, mode=0o600)

    def load(self) -> bytes | None:
        """The content; None if there is none.

        Raises OSError if the file cannot be read, or others can have written it, and RuntimeError without a home.
        """
        path = self._path()
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        with os.fdopen(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise PermissionError(f"{path} is not a file")
            if status.st_uid != os.geteuid():
                raise PermissionError(f"{path} belongs to another user")
            if status.st_mode & 0o022:
                raise PermissionError(f"{path} can be written by others")
            return file.read(MAX_BYTES + 1)

    def _path(self) -> Path:
        if not self._folder:
            return state_folder() / self._name
        folder = Path(self._folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / self._name
