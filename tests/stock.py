# SPDX-License-Identifier: Apache-2.0
"""A virtual environment with the osprofiler that this one replaces, for the tests in which both must understand."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

_REQUIREMENTS = (
    "osprofiler[messaging,redis,sqlalchemy]==4.4.0",
    "PyMySQL>=1.1",
    "psycopg[binary]>=3.1",
    # The newest that its calls, and the servers of the tests, work with.
    "elasticsearch==7.13.4",
    "pymongo==4.6.3",
    # With these our drivers run there too, on those old clients, and the conformance kit on them.
    "opentracing>=2.4,<3",
    "pytest>=8.4",
)


class NotMade(Exception):
    """The environment could not be made; the text holds the end of what pip said."""


def python() -> Path:
    """Return the interpreter of the environment, making it if it is not there yet. Raises NotMade."""
    key = hashlib.sha256("\n".join([sys.version, sys.base_prefix, *_REQUIREMENTS]).encode()).hexdigest()[:12]
    folder = _cache() / f"stock-{key}"
    found, done = folder / "bin" / "python", folder / "done"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once: the second finds the first one's
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(folder)])
            _run([str(found), "-m", "pip", "install", "--quiet", *_REQUIREMENTS])
            done.touch()
    return found


def _cache() -> Path:
    if work := os.environ.get("TOX_WORK_DIR"):
        return Path(work)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "osprofiler"


def _run(command: list[str]) -> None:
    # The tests' own import path must not reach into the other environment.
    environment = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "PYTHONHOME"}}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environment
    )
    if done.returncode:
        raise NotMade(f"no environment with stock osprofiler: {' '.join(command)}:\n{done.stdout[-2000:]}")
