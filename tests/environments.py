# SPDX-License-Identifier: Apache-2.0
"""What tests, benchmarks and the cloud install from a package index: made once and kept, in tox's folder or the user's
cache. Only the standard library is used.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

#: The set of libraries that the released services have been tried with.
CONSTRAINTS = REPOSITORY / "tools" / "cloud" / "constraints.txt"


class NotMade(Exception):
    """An environment could not be made; the text holds the command and the end of its output."""


def once(name: str, make: Callable[[Path], None]) -> Path:
    """The folder that *make* has filled, in this run or in one before; *name* has to tell all that goes into it.

    What was cut short is made anew. Raises what *make* does.
    """
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


def python(name: str, *requirements: str, constraints: Path | None = None) -> Path:
    """The interpreter of a virtual environment with *requirements*. Raises NotMade."""

    def make(folder: Path) -> None:
        print(f"making an environment for {name}, once", file=sys.stderr, flush=True)
        install(folder, *requirements, constraints=constraints)

    bound = constraints.read_text() if constraints else ""
    return once(f"{name}-{digest(*requirements, bound)}", make) / "bin" / "python"


def digest(*parts: str) -> str:
    """A short name of this interpreter with *parts*, for what is made of them and runs in it."""
    return hashlib.sha256("\n".join([sys.version, sys.base_prefix, *parts]).encode()).hexdigest()[:12]


def install(folder: Path, *requirements: str, constraints: Path | None = None) -> None:
    """Have *requirements* in the virtual environment in *folder*, which is made if it is not there. Raises NotMade."""
    interpreter = folder / "bin" / "python"
    if not interpreter.exists():
        run([sys.executable, "-m", "venv", str(folder)])
    bound = ["--constraint", str(constraints)] if constraints else []
    run([str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *bound, *requirements])


def run(command: Sequence[str]) -> None:
    """Run *command* to its end. Raises NotMade with the end of its output if it fails."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=variables(), cwd="/"
    )
    if done.returncode:
        raise NotMade(f"{' '.join(command)}:\n{done.stdout[-2000:]}")


def variables(*path: Path, **more: str) -> dict[str, str]:
    """The environment variables of a process that imports from *path*, and from nothing else of this process's."""
    kept = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "PYTHONHOME"}}
    if path:
        kept["PYTHONPATH"] = os.pathsep.join(map(str, path))
    return {**kept, **more}


def _cache() -> Path:
    if work := os.environ.get("TOX_WORK_DIR"):
        return Path(work)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "osprofiler"
