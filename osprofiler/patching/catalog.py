# SPDX-License-Identifier: Apache-2.0
"""The available patches: their projects, their releases, and the checksums of each file before and after.

``patches/<project>/index.json`` lists the releases, each with the folder of its patches. Releases with the same files
share one folder. For each folder it lists the SHA-256 of every patched file, before and after the patch.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from osprofiler.patching import unified
from osprofiler.patching.errors import PatchError, UnknownProject
from osprofiler.patching.unified import FileDiff

_INDEX = "index.json"


def sha256(content: bytes) -> str:
    """The checksum of a file, as in ``index.json``."""
    return hashlib.sha256(content).hexdigest()


class Patch:
    """All patches of one folder; ``before`` and ``after`` map each file's path to its checksum."""

    def __init__(self, folder: Path, sums: dict[str, dict[str, str]]) -> None:
        self.before = {path: both["before"] for path, both in sums.items()}
        self.after = {path: both["after"] for path, both in sums.items()}
        self._diffs: dict[str, FileDiff] = {}
        for file in sorted(folder.glob("*.patch")):
            for diff in unified.parse(file.read_bytes()):
                if diff.path in self._diffs:
                    raise PatchError(f"{file} changes {diff.path}, but an earlier patch already changes it")
                self._diffs[diff.path] = diff
        if self._diffs.keys() != sums.keys():
            raise PatchError(f"the patches in {folder} and {_INDEX} list different files; is osprofiler damaged?")

    @property
    def paths(self) -> list[str]:
        """The paths of the files that the patch changes, relative to the folder that contains the package."""
        return sorted(self._diffs)

    def apply(self, path: str, original: bytes) -> bytes:
        """The patched content of the file at *path*. Raises PatchError if the patch was not made for *original*."""
        return self._checked(path, unified.apply(original, self._diffs[path]), self.after)

    def revert(self, path: str, patched: bytes) -> bytes:
        """The inverse of :meth:`apply`."""
        return self._checked(path, unified.revert(patched, self._diffs[path]), self.before)

    def _checked(self, path: str, content: bytes, sums: dict[str, str]) -> bytes:
        if sha256(content) != sums[path]:
            raise PatchError(f"{path} would get a wrong content; is osprofiler damaged?")
        return content


class Project:
    """One project with patches."""

    def __init__(self, folder: Path) -> None:
        index: dict[str, Any] = json.loads((folder / _INDEX).read_text("utf-8"))
        self.name = folder.name  # the name of its distribution, as for pip
        self.package: str = index["package"]
        self._folder = folder
        self._releases: dict[str, str] = index["releases"]
        self._sums: dict[str, dict[str, dict[str, str]]] = index["files"]

    @property
    def releases(self) -> list[str]:
        """The releases with a patch, newest first."""
        return sorted(self._releases, key=_numbers, reverse=True)

    def patch(self, release: str) -> Patch:
        """The patch for *release*. Raises PatchError if there is none; its text lists the releases with a patch."""
        folder = self._releases.get(release)
        if folder is None:
            raise PatchError(f"no patch for {self.name} {release}; there are patches for {', '.join(self.releases)}")
        return Patch(self._folder / folder, self._sums[folder])


def projects() -> list[Project]:
    """The projects with patches, in order of name."""
    return [Project(index.parent) for index in sorted(_folder().glob(f"*/{_INDEX}"))]


def project(name: str) -> Project:
    """The project with this name, or with a package of this name. Raises UnknownProject."""
    known = projects()
    for candidate in known:
        if _normal(name) in (_normal(candidate.name), _normal(candidate.package)):
            return candidate
    raise UnknownProject(f"no patches for {name!r}; there are patches for {', '.join(p.name for p in known)}")


@functools.cache
def _folder() -> Path:
    spec = importlib.util.find_spec("osprofiler.patching.patches")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    # In a checkout that is not installed, the patches are in the folder at its top.
    places.append(str(Path(__file__).parents[2] / "patches"))
    return Path(next((place for place in places if any(Path(place).glob(f"*/{_INDEX}"))), places[-1]))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", release))
