# SPDX-License-Identifier: Apache-2.0
"""Apply a patch to an installed package, take it back, and tell which of both has been done.

Every file is known by its SHA-256 before and after, so each is either original, patched, or not ours to touch. Any mix
of the first two, as a killed run leaves it, is a state from which both ways lead on.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path

from osprofiler.patching import files
from osprofiler.patching.catalog import Patch, Project, sha256
from osprofiler.patching.errors import PatchError
from osprofiler.patching.installed import Installed
from osprofiler.patching.kept import APPLIED, REVERTING, Kept


class FileState(Enum):
    """What a file of the package is."""

    ORIGINAL = "original"
    PATCHED = "patched"
    OTHERWISE_PATCHED = "patched by another osprofiler's patch"
    CHANGED = "neither the release's file nor the patched one"
    MISSING = "missing"


class Verdict(Enum):
    """What that makes of the package."""

    FITS = "the patch fits, and is not applied"
    APPLIED = "the patch is applied"
    OTHERWISE_APPLIED = "another osprofiler's patch is applied; `apply` brings it up to date"
    PARTLY = "the patch is partly applied; `apply` completes it, `revert` takes it back"
    DOES_NOT_FIT = "the patch does not fit"


class Patcher:
    """What can be done with one installed package."""

    def __init__(self, project: Project, installed: Installed) -> None:
        self.project = project
        self.root = installed.root
        self.release = installed.release
        self._kept = Kept(installed.root, project.package, installed.release)
        self._patch: Patch | None = project.patch(installed.release) if self._is_known() else None

    def states(self) -> dict[str, FileState]:
        """What each file that the patch changes is, by its path in the folder that holds the package.

        Raises PatchError where there is no patch for the release.
        """
        patch = self._needed()
        return {path: self._state(path, self._read(path)) for path in sorted({*patch.paths, *self._kept.before})}

    def verdict(self) -> Verdict:
        """What :meth:`states` adds up to. Raises as that does."""
        found = set(self.states().values())
        if found & {FileState.CHANGED, FileState.MISSING}:
            return Verdict.DOES_NOT_FIT
        if found == {FileState.ORIGINAL}:
            return Verdict.FITS
        if found == {FileState.PATCHED}:
            return Verdict.APPLIED
        return Verdict.PARTLY if FileState.ORIGINAL in found else Verdict.OTHERWISE_APPLIED

    @property
    def was_cut_short(self) -> bool:
        """Whether a run before did not come to its end."""
        return self._kept.state not in (None, APPLIED)

    def apply(self, *, dry_run: bool = False) -> list[str]:
        """Patch all files; the paths of those that changed, none if all were patched before.

        Raises PatchError, and then nothing has changed.
        """
        patch = self._needed()
        with self._kept.locked():
            now, originals = self._files()
            wanted = {
                path: patch.apply(path, content) if path in patch.after else content
                for path, content in originals.items()
            }
            changes = [path for path in wanted if wanted[path] != now[path]]
            if dry_run or (not changes and self._kept.state == APPLIED):
                return changes
            like = {path: self._status(path, now[path]) for path in originals}
            with _reported(self.root):
                if now == originals:  # what was kept of a package that has been replaced since is of no more use
                    self._kept.forget()
                try:
                    self._kept.keep(originals, like, {path: sha256(wanted[path]) for path in wanted})
                    self._write(wanted, now, like)
                    self._kept.note(APPLIED)
                except OSError:
                    if now == originals:
                        with contextlib.suppress(OSError):
                            self._kept.forget()
                    raise
            return changes

    def revert(self, *, dry_run: bool = False) -> list[str]:
        """Put all originals back; the paths of those that changed, none if nothing was patched.

        Raises PatchError, and then nothing has changed.
        """
        with self._kept.locked():
            if self._kept.state is None:
                self._needed()
            now, originals = self._files()
            changes = [path for path in originals if originals[path] != now[path]]
            if dry_run:
                return changes
            like = {path: self._status(path, now[path]) for path in originals}
            with _reported(self.root):
                if self._kept.state is not None:
                    self._kept.note(REVERTING)
                self._write(originals, now, like, same_time=self._kept.state is not None)
                self._kept.forget()
            return changes

    def _is_known(self) -> bool:
        return self.release in self.project.releases

    def _needed(self) -> Patch:
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
        patch, found = self._patch, sha256(content)
        if patch is not None and path in patch.before:
            if found == patch.before[path]:
                return FileState.ORIGINAL
            if found == patch.after[path]:
                return FileState.PATCHED
        elif found == self._kept.before.get(path):
            return FileState.ORIGINAL
        return FileState.OTHERWISE_PATCHED if found == self._kept.after.get(path) else FileState.CHANGED

    def _files(self) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """All files as they are, and as they were. Raises PatchError where one is neither original nor patched."""
        now: dict[str, bytes] = {}
        originals: dict[str, bytes] = {}
        wrong: list[str] = []
        for path in sorted({*(self._patch.paths if self._patch is not None else ()), *self._kept.before}):
            content = self._read(path)
            state = self._state(path, content)
            if content is None or state is FileState.CHANGED:
                wrong.append(f"{path} is {state.value}")
                continue
            now[path] = content
            originals[path] = content if state is FileState.ORIGINAL else self._original(path, content)
        if wrong:
            raise PatchError(f"{self.project.name} {self.release} in {self.root} was left as it is: {'; '.join(wrong)}")
        return now, originals

    def _original(self, path: str, patched: bytes) -> bytes:
        if self._patch is not None and self._patch.after.get(path) == sha256(patched):
            return self._patch.revert(path, patched)  # also of what was patched by hand
        return self._kept.original(path)

    def _status(self, path: str, now: bytes) -> os.stat_result:
        """Mode, owner and times that the original has, or had; where what was kept of it is gone, the file's own."""
        if self._kept.state is not None and sha256(now) != self._kept.before.get(path):
            with contextlib.suppress(OSError):
                return self._kept.status(path)
        return (self.root / path).stat()

    def _write(
        self,
        wanted: Mapping[str, bytes],
        now: Mapping[str, bytes],
        like: Mapping[str, os.stat_result],
        *,
        same_time: bool = False,
    ) -> None:
        """Make every file what is *wanted*; where one cannot be written, put those before it back."""
        written: list[str] = []
        try:
            for path, content in wanted.items():
                file = self.root / path
                files.remove_leftovers(file)
                if content != now[path]:
                    written.append(path)
                    files.replace(file, content, like[path], same_time=same_time)
                # Also where nothing changed: a run that was killed may have got no further than the source.
                files.remove_bytecode(file)
        except OSError:
            for path in written:
                files.replace(self.root / path, now[path], like[path])
                files.remove_bytecode(self.root / path)
            raise


@contextlib.contextmanager
def _reported(root: Path) -> Iterator[None]:
    """What the file system refuses, as a line for the user."""
    try:
        yield
    except OSError as fault:
        raise PatchError(f"cannot write to {root}: {fault.strerror or fault}; no file was changed") from fault
