# SPDX-License-Identifier: Apache-2.0
"""The patches there are: for which projects, which of their releases, and what each file is before and after.

``patches/<project>/index.json`` lists the releases, each with the folder of its patches (releases whose files are the
same share one), and for each folder the SHA-256 of every patched file before and after.
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
    """What ``index.json`` calls a file by."""
    return hashlib.sha256(content).hexdigest()


class Patch:
    """The patches of one folder, as one: file by file, with what each is before and after."""

    def __init__(self, folder: Path, sums: dict[str, dict[str, str]]) -> None:
        self.before = {path: both["before"] for path, both in sums.items()}
        self.after = {path: both["after"] for path, both in sums.items()}
        self._diffs: dict[str, FileDiff] = {}
        for file in sorted(folder.glob("*.patch")):
            for diff in unified.parse(file.read_bytes()):
                if diff.path in self._diffs:
                    raise PatchError(f"{file} changes {diff.path}, as a patch before it does")
                self._diffs[diff.path] = diff
        if self._diffs.keys() != sums.keys():
            raise PatchError(f"the patches in {folder} are not the files that {_INDEX} lists; is osprofiler damaged?")

    @property
    def paths(self) -> list[str]:
        """The files that change, relative to the folder that holds the package."""
        return sorted(self._diffs)

    def apply(self, path: str, original: bytes) -> bytes:
        """The file at *path* with the patch. Raises PatchError for an original that it was not made for."""
        return self._checked(path, unified.apply(original, self._diffs[path]), self.after)

    def revert(self, path: str, patched: bytes) -> bytes:
        """The inverse of :meth:`apply`."""
        return self._checked(path, unified.revert(patched, self._diffs[path]), self.before)

    def _checked(self, path: str, content: bytes, sums: dict[str, str]) -> bytes:
        if sha256(content) != sums[path]:
            raise PatchError(f"{path} would not become what it should; is osprofiler damaged?")
        return content


class Project:
    """One project that there are patches for."""

    def __init__(self, folder: Path) -> None:
        index: dict[str, Any] = json.loads((folder / _INDEX).read_text("utf-8"))
        self.name = folder.name  # the distribution's, as pip knows it
        self.package: str = index["package"]
        self._folder = folder
        self._releases: dict[str, str] = index["releases"]
        self._sums: dict[str, dict[str, dict[str, str]]] = index["files"]

    @property
    def releases(self) -> list[str]:
        """The releases that there is a patch for, newest first."""
        return sorted(self._releases, key=_numbers, reverse=True)

    def patch(self, release: str) -> Patch:
        """The patch for *release*. Raises PatchError where there is none; its text names those that there are."""
        folder = self._releases.get(release)
        if folder is None:
            raise PatchError(f"no patch for {self.name} {release}; there are patches for {', '.join(self.releases)}")
        return Patch(self._folder / folder, self._sums[folder])


def projects() -> list[Project]:
    """The projects that there are patches for, by name."""
    return [Project(index.parent) for index in sorted(_folder().glob(f"*/{_INDEX}"))]


def project(name: str) -> Project:
    """The project of this name, which may be that of its package. Raises UnknownProject."""
    known = projects()
    for found in known:
        if _normal(name) in (_normal(found.name), _normal(found.package)):
            return found
    raise UnknownProject(f"no patches for {name!r}; there are patches for {', '.join(p.name for p in known)}")


@functools.cache
def _folder() -> Path:
    spec = importlib.util.find_spec("osprofiler.patching.patches")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    # In a checkout that is on the path as it is, the folder stands where people look for it.
    places.append(str(Path(__file__).parents[2] / "patches"))
    return Path(next((place for place in places if any(Path(place).glob(f"*/{_INDEX}"))), places[-1]))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", release))
