# SPDX-License-Identifier: Apache-2.0
"""The virtual environment that the cloud runs in: the released services, and this osprofiler in stock's place."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
_HERE = Path(__file__).parent
_PROJECTS = ("nova", "python-novaclient")


class NotMade(Exception):
    """The environment could not be made; the text holds the end of what was said."""


@contextmanager
def environment(*, patched: bool) -> Iterator[Path]:
    """The folder of programs of an environment whose nova and novaclient are patched or not, for us alone.

    It is made once. Raises NotMade.
    """
    wanted = [_HERE / "requirements.txt", _HERE / "constraints.txt"]
    key = "\n".join([sys.version, sys.base_prefix, str(REPOSITORY), *(file.read_text() for file in wanted)])
    metadata = (REPOSITORY / "pyproject.toml").read_text()
    folder = _cache() / f"cloud-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another cloud that runs in the same environment", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        programs = folder / "bin"
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _make(folder)
            (folder / "done").touch()
        ours = folder / "osprofiler"
        if not ours.exists() or ours.read_text() != metadata:
            pip = [programs / "python", "-m", "pip", "install", "--quiet", "-c", _HERE / "constraints.txt"]
            _run([*pip, "--editable", f"{REPOSITORY}[messaging,sqlalchemy]"])
            ours.write_text(metadata)
        for project in _PROJECTS:
            _run([programs / "osprofiler", "patch", "apply" if patched else "revert", project])
        yield programs


def _make(folder: Path) -> None:
    print("installing the services, once (about two minutes)", flush=True)
    _run([sys.executable, "-m", "venv", folder])
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "-c", _HERE / "constraints.txt"]
    _run([*pip, "-U", "pip", "setuptools", "wheel"])
    _run([*pip, "-r", _HERE / "requirements.txt"])


def _cache() -> Path:
    if work := os.environ.get("TOX_WORK_DIR"):
        return Path(work)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "osprofiler"


def _run(command: list[object]) -> None:
    clean = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "PYTHONHOME"}}
    words = [str(word) for word in command]
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=clean, cwd="/"
    )
    if done.returncode:
        raise NotMade(f"{' '.join(words)}:\n{done.stdout[-3000:]}")
