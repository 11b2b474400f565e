# SPDX-License-Identifier: Apache-2.0
"""Cleans up after a test run that was killed: no server and no folder stays behind.

The keeper is a small process that holds the other end of a pipe. It is told of each server's process group and folder;
when the pipe breaks, because the run has ended in whatever way, it ends and removes what it was not told to forget.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Literal

Kind = Literal["group", "folder"]

_keeper: "subprocess.Popen[str] | None" = None


def remember(kind: Kind, what: object) -> None:
    """Have the process group or folder *what* removed when this process is gone."""
    _tell("+", kind, what)


def forget(kind: Kind, what: object) -> None:
    """Take *what* off the list: it is gone already."""
    _tell("-", kind, what)


def _tell(sign: str, kind: Kind, what: object) -> None:
    global _keeper
    if _keeper is None:
        _keeper = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).resolve())],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    assert _keeper.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        _keeper.stdin.write(f"{sign}{kind} {what}\n")
        _keeper.stdin.flush()


def keep(orders: IO[str]) -> None:
    """Follow *orders* to their end, then end and remove what is still listed."""
    groups: set[int] = set()
    folders: set[str] = set()
    for order in orders:
        verb, what = order.rstrip("\n").split(" ", 1)
        if verb == "+group":
            groups.add(int(what))
        elif verb == "-group":
            groups.discard(int(what))
        elif verb == "+folder":
            folders.add(what)
        else:
            folders.discard(what)
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    keep(sys.stdin)
