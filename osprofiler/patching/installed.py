# SPDX-License-Identifier: Apache-2.0
"""Find where a project is installed, and its release, without importing the project."""

from __future__ import annotations

import importlib.util
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from osprofiler.patching.catalog import Project
from osprofiler.patching.errors import NotInstalled, PatchError


class Installed(NamedTuple):
    """An installed package."""

    root: Path  # the folder that contains the package
    release: str


def find(project: Project, path: str | None = None) -> Installed:
    """Find *project* in the folder *path*; without *path*, where this Python would import it from.

    Raises NotInstalled if it is not there. Raises PatchError if the folder does not exist or the release is unknown.
    """
    if path is not None:
        root = Path(path)
        if not root.is_dir():
            raise PatchError(f"no such folder: {path}")
        if not (root / project.package / "__init__.py").is_file():
            raise NotInstalled(f"{path} does not contain a package {project.package}")
        return Installed(root, _release(project, _distributions(project, root), str(root)))
    try:
        spec = importlib.util.find_spec(project.package)
    except (ImportError, ValueError) as fault:
        raise PatchError(f"the installed {project.name} cannot be found: {fault}") from fault
    if spec is None or not spec.submodule_search_locations:
        raise NotInstalled(
            f"{project.name} is not installed for this Python; give the folder that contains {project.package}/ with "
            "--path"
        )
    root = Path(next(iter(spec.submodule_search_locations))).parent
    distributions = _distributions(project, root) + list(metadata.distributions(name=project.name))
    return Installed(root, _release(project, distributions, str(root)))


def _distributions(project: Project, root: Path) -> list[metadata.Distribution]:
    # By name: leftovers of an interrupted pip (~ova-33.0.2.dist-info) also name nova in their metadata.
    return list(metadata.distributions(name=project.name, path=[str(root)]))


def _release(project: Project, distributions: list[metadata.Distribution], where: str) -> str:
    wanted = project.name.lower().replace("_", "-")
    for distribution in distributions:
        name = distribution.metadata["Name"]
        if name is not None and name.lower().replace("_", "-").replace(".", "-") == wanted:
            return distribution.version
    raise PatchError(
        f"cannot find the release of {project.name} in {where} ({project.name}-RELEASE.dist-info is missing)"
    )
