# SPDX-License-Identifier: Apache-2.0
"""OpenStack projects as they were released: their wheels unpacked, and an environment that can run them."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.stock import NotMade

REPOSITORY = Path(__file__).parents[1]

#: The tested set of libraries, which is also the cloud's.
CONSTRAINTS = REPOSITORY / "tools" / "cloud" / "constraints.txt"

# What runs the projects, stock's osprofiler (which is this repository's where PYTHONPATH has that first), and what
# this one needs. The projects' own tests need the last line.
_REQUIREMENTS = (
    *("nova==34.0.0", "python-novaclient==18.13.1", "cinder==29.0.0", "neutron==29.0.0", "osprofiler[redis]==4.4.0"),
    *("jaeger-client", "opentracing", "six", "threadloop", "thrift", "tornado", "wrapt", "PyMySQL"),
    *(
        "ddt",
        "fixtures",
        "oslotest",
        "requests-mock",
        "stestr",
        "testresources",
        "testscenarios",
        "testtools",
        "wsgi-intercept",
    ),
)


def wheel(project: str, release: str) -> Path:
    """The unpacked wheel of one release, to be copied before anything in it is changed. Raises NotMade."""

    def make(folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        _run([*pip, "--dest", str(folder), f"{project}=={release}"])
        (packed,) = folder.glob("*.whl")
        zipfile.ZipFile(packed).extractall(folder / "unpacked")

    return _once(f"wheel-{project}-{release}", make) / "unpacked"


def copy(project: str, release: str, folder: Path) -> Path:
    """A copy of one release in *folder*, to be changed. Raises NotMade."""
    shutil.copytree(wheel(project, release), folder, dirs_exist_ok=True)
    return folder


def python() -> Path:
    """The interpreter of an environment with the newest release of each project. Raises NotMade."""
    key = [sys.version, sys.base_prefix, *_REQUIREMENTS, CONSTRAINTS.read_text()]
    digest = hashlib.sha256("\n".join(key).encode()).hexdigest()[:12]

    def make(folder: Path) -> None:
        _run([sys.executable, "-m", "venv", str(folder)])
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        _run([*pip, "-c", str(CONSTRAINTS), *_REQUIREMENTS])

    return _once(f"openstack-{digest}", make) / "bin" / "python"


def environment(*path: Path, **more: str) -> dict[str, str]:
    """The environment of a process that imports from *path* before anything else."""
    clean = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "PYTHONHOME"}}
    return {**clean, "PYTHONPATH": os.pathsep.join(map(str, path)), **more}


def _once(name: str, make: Callable[[Path], None]) -> Path:
    folder = _cache() / name
    done = folder / "done"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once: the second finds the first one's
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def _cache() -> Path:
    if work := os.environ.get("TOX_WORK_DIR"):
        return Path(work)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "osprofiler"


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environment()
    )
    if done.returncode:
        raise NotMade(f"{' '.join(command)}:\n{done.stdout[-2000:]}")
