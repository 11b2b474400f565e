# SPDX-License-Identifier: Apache-2.0
"""Make another distribution in a folder: one module, one entry point, and the tests of its author."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run_its_tests(folder: Path, name: str, module: str, tests: str, group: str, entry: str) -> None:
    """Install the distribution *name* into *folder*, and run its *tests* in their own process.

    *module* is the text of its only module, *entry* its only entry point, in *group*. No test may fail or be skipped.
    """
    (folder / f"{name}.py").write_text(textwrap.dedent(module))
    (folder / f"test_{name}.py").write_text(textwrap.dedent(tests))
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{entry}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={folder}", f"test_{name}.py"]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**clean, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout
