# SPDX-License-Identifier: Apache-2.0
"""Where a project is installed, and which release of it; nothing of the project is imported."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from osprofiler.patching.catalog import Project
from osprofiler.patching.errors import NotInstalled, PatchError


class Installed(NamedTuple):
    """A package on this machine."""

    root: Path  # the folder that holds the package's own
    release: str


def find(project: Project, path: str | None = None) -> Installed:
    """Where *project* is installed: in the folder *path*, else where this Python would import it from.

    Raises NotInstalled where it is not, PatchError where there is no such folder or nothing says which release it is.
    """
    if path is not None:
        root = Path(path)
        if not root.is_dir():
            raise PatchError(f"there is no folder {path}")
        if not (root / project.package / "__init__.py").is_file():
            raise NotInstalled(f"{path} does not hold a package {project.package}")
        return Installed(root, _release(project, _beside(project, root), str(root)))
    try:
        spec = importlib.util.find_spec(project.package)
    except (ImportError, ValueError) as fault:
        raise PatchError(f"the installed {project.name} cannot be found: {fault}") from fault
    if spec is None or not spec.submodule_search_locations:
        raise NotInstalled(
            f"{project.name} is not installed for this Python; say where it is with --path, the folder that holds "
            f"{project.package}/"
        )
    root = Path(next(iter(spec.submodule_search_locations))).parent
    known = _beside(project, root) + list(metadata.distributions(name=project.name))
    return Installed(root, _release(project, known, str(root)))


def _beside(project: Project, root: Path) -> list[metadata.Distribution]:
    # By name: what an interrupted pip has left (~ova-33.0.2.dist-info) says that it is nova too.
    return list(metadata.distributions(name=project.name, path=[str(root)]))


def _release(project: Project, known: list[metadata.Distribution], where: str) -> str:
    wanted = project.name.lower().replace("_", "-")
    for distribution in known:
        name = distribution.metadata["Name"]
        if name is not None and name.lower().replace("_", "-").replace(".", "-") == wanted:
            return distribution.version
    raise PatchError(
        f"nothing in {where} says which release of {project.name} it is ({project.name}-RELEASE.dist-info is missing)"
    )
