# SPDX-License-Identifier: Apache-2.0
"""The cloud's virtual environment: the released services, with this osprofiler in place of the original."""

import fcntl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import environments
from tests.environments import CONSTRAINTS, REPOSITORY

_REQUIREMENTS = Path(__file__).parent / "requirements.txt"
_PROJECTS = ("nova", "python-novaclient")


@contextmanager
def environment(*, patched: bool) -> Iterator[Path]:
    """Prepare the environment, with nova and novaclient patched or not, and lock it. Yields its folder of programs.

    The environment is made only once. Raises environments.NotMade.
    """
    key = environments.digest(str(REPOSITORY), _REQUIREMENTS.read_text(), CONSTRAINTS.read_text())
    folder = environments.once(f"cloud-{key}", _make)
    programs = folder / "bin"
    with (folder / "in-use").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another cloud to stop: it uses the same environment", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        _install_this(folder)
        for project in _PROJECTS:
            environments.run([str(programs / "osprofiler"), "patch", "apply" if patched else "revert", project])
        yield programs


def check_store(programs: Path, store: str) -> None:
    """Check that traces can be read from *store*, a connection string. Raises environments.NotMade."""
    command = [str(programs / "osprofiler"), "trace", "list", "--connection-string", store]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise environments.NotMade(done.stderr.strip())


def _make(folder: Path) -> None:
    print("installing the services; only the first time (about two minutes)", flush=True)
    environments.install(folder, "--upgrade", "pip", "setuptools", "wheel", constraints=CONSTRAINTS)
    environments.install(folder, "--requirement", str(_REQUIREMENTS), constraints=CONSTRAINTS)


def _install_this(folder: Path) -> None:
    """Install this repository in editable mode; again only if its metadata have changed."""
    metadata, installed = (REPOSITORY / "pyproject.toml").read_text(), folder / "osprofiler"
    if not installed.exists() or installed.read_text() != metadata:
        environments.install(folder, "--editable", f"{REPOSITORY}[all]", constraints=CONSTRAINTS)
        installed.write_text(metadata)
