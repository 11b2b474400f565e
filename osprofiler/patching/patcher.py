# SPDX-License-Identifier: Apache-2.0
"""Apply a patch to an installed package, revert it, and report its state.

The SHA-256 of every file is known, before and after the patch. So each file is original, patched, or changed by someone
else; a changed file is never touched. A killed run leaves a mix of original and patched files: it can be completed and
reverted.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path

from osprofiler.patching import files
from osprofiler.patching.backup import APPLIED, REVERTING, Backup
from osprofiler.patching.catalog import Patch, Project, sha256
from osprofiler.patching.errors import PatchError
from osprofiler.patching.installed import Installed


class FileState(Enum):
    """The state of one file of the package."""

    ORIGINAL = "original"
    PATCHED = "patched"
    OTHERWISE_PATCHED = "patched by another osprofiler's patch"
    CHANGED = "neither the release's file nor the patched one"
    MISSING = "missing"


class Verdict(Enum):
    """The state of the package."""

    FITS = "the patch fits, and is not applied"
    APPLIED = "the patch is applied"
    OTHERWISE_APPLIED = "another osprofiler's patch is applied; `apply` brings it up to date"
    PARTLY = "the patch is partly applied; `apply` completes it, `revert` removes it"
    DOES_NOT_FIT = "the patch does not fit"


class Patcher:
    """Applies and reverts the patch of one installed package."""

    def __init__(self, project: Project, installed: Installed) -> None:
        self.project = project
        self.root = installed.root
        self.release = installed.release
        self._backup = Backup(installed.root, project.package, installed.release)
        self._patch: Patch | None = project.patch(installed.release) if self._is_known() else None

    def states(self) -> dict[str, FileState]:
        """The state of each file that the patch changes, by path relative to the folder that contains the package.

        Raises PatchError if there is no patch for the release.
        """
        patch = self._required_patch()
        return {path: self._state(path, self._read(path)) for path in sorted({*patch.paths, *self._backup.before})}

    def verdict(self) -> Verdict:
        """The state of the package, from the states of its files. Raises as :meth:`states` does."""
        states = set(self.states().values())
        if states & {FileState.CHANGED, FileState.MISSING}:
            return Verdict.DOES_NOT_FIT
        if states == {FileState.ORIGINAL}:
            return Verdict.FITS
        if states == {FileState.PATCHED}:
            return Verdict.APPLIED
        return Verdict.PARTLY if FileState.ORIGINAL in states else Verdict.OTHERWISE_APPLIED

    @property
    def was_interrupted(self) -> bool:
        """Whether an earlier run was interrupted."""
        return self._backup.state not in (None, APPLIED)

    def apply(self, *, dry_run: bool = False) -> list[str]:
        """Patch all files. Returns the paths of the changed files; none if all were already patched.

        Raises PatchError; then nothing has changed.
        """
        patch = self._required_patch()
        with self._backup.locked():
            now, originals = self._files()
            wanted = {
                path: patch.apply(path, content) if path in patch.after else content
                for path, content in originals.items()
            }
            changes = [path for path in wanted if wanted[path] != now[path]]
            if dry_run or (not changes and self._backup.state == APPLIED):
                return changes
            like = {path: self._status(path, now[path]) for path in originals}
            with _reported(self.root):
                if now == originals:  # an existing backup is of a package that was replaced since
                    self._backup.forget()
                try:
                    self._backup.save(originals, like, {path: sha256(wanted[path]) for path in wanted})
                    self._write(wanted, now, like)
                    self._backup.note(APPLIED)
                except OSError:
                    if now == originals:
                        with contextlib.suppress(OSError):
                            self._backup.forget()
                    raise
            return changes

    def revert(self, *, dry_run: bool = False) -> list[str]:
        """Put all originals back. Returns the paths of the changed files; none if nothing was patched.

        Raises PatchError; then nothing has changed.
        """
        with self._backup.locked():
            if self._backup.state is None:
                self._required_patch()
            now, originals = self._files()
            changes = [path for path in originals if originals[path] != now[path]]
            if dry_run:
                return changes
            like = {path: self._status(path, now[path]) for path in originals}
            with _reported(self.root):
                if self._backup.state is not None:
                    self._backup.note(REVERTING)
                self._write(originals, now, like, same_time=self._backup.state is not None)
                self._backup.forget()
            return changes

    def _is_known(self) -> bool:
        return self.release in self.project.releases

    def _required_patch(self) -> Patch:
        return self._patch if self._patch is not None else self.project.patch(self.release)

    def _read(self, path: str) -> bytes | None:
        try:
            return (self.root / path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise PatchError(f"cannot read {self.root / path}: {fault.strerror}") from fault

    def _state(self, path: str, content: bytes | None) -> FileState:
        if content is None:
            return FileState.MISSING
        patch, checksum = self._patch, sha256(content)
        if patch is not None and path in patch.before:
            if checksum == patch.before[path]:
                return FileState.ORIGINAL
            if checksum == patch.after[path]:
                return FileState.PATCHED
        elif checksum == self._backup.before.get(path):
            return FileState.ORIGINAL
        return FileState.OTHERWISE_PATCHED if checksum == self._backup.after.get(path) else FileState.CHANGED

    def _files(self) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """The current and the original content of all files, by path.

        Raises PatchError if a file is neither original nor patched.
        """
        now: dict[str, bytes] = {}
        originals: dict[str, bytes] = {}
        wrong: list[str] = []
        for path in sorted({*(self._patch.paths if self._patch is not None else ()), *self._backup.before}):
            content = self._read(path)
            state = self._state(path, content)
            if content is None or state is FileState.CHANGED:
                wrong.append(f"{path} is {state.value}")
                continue
            now[path] = content
            originals[path] = content if state is FileState.ORIGINAL else self._original(path, content)
        if wrong:
            raise PatchError(f"{self.project.name} {self.release} in {self.root} was not changed: {'; '.join(wrong)}")
        return now, originals

    def _original(self, path: str, patched: bytes) -> bytes:
        if self._patch is not None and self._patch.after.get(path) == sha256(patched):
            return self._patch.revert(path, patched)  # works without a backup: for a file that was patched by hand
        return self._backup.original(path)

    def _status(self, path: str, now: bytes) -> os.stat_result:
        """Mode, owner and times of the original; those of the current file if the backup is gone."""
        if self._backup.state is not None and sha256(now) != self._backup.before.get(path):
            with contextlib.suppress(OSError):
                return self._backup.status(path)
        return (self.root / path).stat()

    def _write(
        self,
        wanted: Mapping[str, bytes],
        now: Mapping[str, bytes],
        like: Mapping[str, os.stat_result],
        *,
        same_time: bool = False,
    ) -> None:
        """Write the *wanted* content of every file. If one cannot be written, put the files before it back."""
        written: list[str] = []
        try:
            for path, content in wanted.items():
                file = self.root / path
                files.remove_leftovers(file)
                if content != now[path]:
                    written.append(path)
                    files.replace(file, content, like[path], same_time=same_time)
                # Also for an unchanged file: a killed run may have replaced the source, but not the bytecode.
                files.remove_bytecode(file)
        except OSError:
            for path in written:
                files.replace(self.root / path, now[path], like[path])
                files.remove_bytecode(self.root / path)
            raise


@contextlib.contextmanager
def _reported(root: Path) -> Iterator[None]:
    """Turn an error of the file system into one line for the user."""
    try:
        yield
    except OSError as fault:
        raise PatchError(f"cannot write to {root}: {fault.strerror or fault}; no file was changed") from fault
