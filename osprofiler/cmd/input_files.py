# SPDX-License-Identifier: Apache-2.0
"""The small files that commands read: a policy, a key, an account."""

from __future__ import annotations

import sys
from pathlib import Path

from osprofiler import exc, policy


def policy_in(path: str) -> policy.Policy | None:
    """The policy in the file *path*; None if it has mistakes, which are printed. Raises CommandError."""
    try:
        return policy.load(path)
    except policy.PolicyError as fault:
        for mistake in fault.mistakes:
            print(f"{path}: {mistake}", file=sys.stderr)
        return None
    except (OSError, UnicodeDecodeError) as fault:
        raise _unreadable(path, fault) from fault


def content(path: str) -> bytes:
    """The content of the file *path*. Raises CommandError."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as fault:
        raise _unreadable(path, fault) from fault


def first_line(path: str | Path) -> str:
    """The first line of the file *path*, such as a key, without blanks around it. Raises CommandError."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise _unreadable(path, fault) from fault


def _unreadable(path: str | Path, fault: OSError | UnicodeDecodeError) -> exc.CommandError:
    return exc.CommandError(f"cannot read {path}: {getattr(fault, 'strerror', None) or 'it is not UTF-8'}")
