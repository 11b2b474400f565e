# SPDX-License-Identifier: Apache-2.0
"""The backup of a patched package: its original files, and a journal of the operation.

The backup is the folder ``.osprofiler-patches/<package>`` next to the package. It is complete before the first file of
the package changes, and stays until the last original file is back. So a killed run can always be undone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from osprofiler.patching import files
from osprofiler.patching.catalog import sha256
from osprofiler.patching.errors import PatchError

_FOLDER = ".osprofiler-patches"
_JOURNAL = "journal.json"

#: The states in the journal.
APPLYING = "applying"
APPLIED = "applied"
REVERTING = "reverting"


class Backup:
    """The journal and the original files of one release of a package; ``state`` is None if there is no backup.

    A backup of another release does not count: the package, and so the patch, was replaced since.
    """

    def __init__(self, root: Path, package: str, release: str) -> None:
        self._top = root / _FOLDER
        self._folder = self._top / package
        self._release = release
        self.state: str | None = None
        self.before: dict[str, str] = {}
        self.after: dict[str, str] = {}
        self.read()

    def read(self) -> None:
        """Read the journal again."""
        self.state, self.before, self.after = None, {}, {}
        try:
            journal: dict[str, Any] = json.loads((self._folder / _JOURNAL).read_text("utf-8"))
            if journal["release"] == self._release:
                self.before, self.after = dict(journal["before"]), dict(journal["after"])
                self.state = journal["state"]
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise PatchError(
                f"{self._folder / _JOURNAL} cannot be read ({fault}); remove {self._folder}: the originals can be "
                "restored from the patch"
            ) from fault

    def original(self, path: str) -> bytes:
        """The original content of the file at *path*. Raises PatchError if it is damaged."""
        try:
            content = (self._folder / "originals" / path).read_bytes()
        except OSError as fault:
            raise PatchError(f"the original of {path} cannot be read: {fault}") from fault
        if sha256(content) != self.before[path]:
            raise PatchError(f"the original of {path} in {self._folder} has changed")
        return content

    def status(self, path: str) -> os.stat_result:
        """Mode, owner and times of the original file at *path*."""
        return (self._folder / "originals" / path).stat()

    def save(
        self,
        originals: Mapping[str, bytes],
        like: Mapping[str, os.stat_result],
        after: Mapping[str, str],
    ) -> None:
        """Save *originals*, and note that a patch is being applied."""
        for path, content in originals.items():
            file = self._folder / "originals" / path
            files.make_folder(file.parent)
            files.replace(file, content, like[path], same_time=True)
        self.before = {path: sha256(content) for path, content in originals.items()}
        self.after = dict(after)
        self.note(APPLYING)

    def note(self, state: str) -> None:
        """Write *state* into the journal."""
        journal = {"state": state, "release": self._release, "before": self.before, "after": self.after}
        text = json.dumps(journal, indent=1, sort_keys=True) + "\n"
        files.replace(self._folder / _JOURNAL, text.encode())
        self.state = state

    def forget(self) -> None:
        """Remove the journal and the original files."""
        files.remove_folder(self._folder)
        self.state, self.before, self.after = None, {}, {}
        with contextlib.suppress(OSError):  # the folder still holds the backup of another package
            self._top.rmdir()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs out. Raises PatchError if another run is active."""
        handle = os.open(self._top.parent, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as fault:
                raise PatchError(f"another `osprofiler patch` is running in {self._top.parent}") from fault
            self.read()
            yield
        finally:
            os.close(handle)
