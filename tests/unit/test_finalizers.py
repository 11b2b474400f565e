# SPDX-License-Identifier: Apache-2.0
"""Finalizers that use tracing, in a process of their own: where this fails the interpreter is gone."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).parent / "programs" / "traced_finalizers.py"


def test_a_traced_finalizer_in_the_middle_of_a_trace_point() -> None:
    ended = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (0, "alive\n"), ended.stderr
