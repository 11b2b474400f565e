# SPDX-License-Identifier: Apache-2.0
"""The files that the commands of ``osprofiler policy`` read."""

from __future__ import annotations

import sys

from osprofiler import exc, policy


def load(path: str) -> policy.Policy | None:
    """The policy in the file *path*; None if it has mistakes, which are printed. Raises CommandError."""
    try:
        return policy.load(path)
    except policy.PolicyError as fault:
        for mistake in fault.mistakes:
            print(f"{path}: {mistake}", file=sys.stderr)
        return None
    except (OSError, UnicodeDecodeError) as fault:
        raise unreadable(path, fault) from fault


def content(path: str) -> bytes:
    """The content of the file *path*. Raises CommandError."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as fault:
        raise unreadable(path, fault) from fault


def unreadable(path: str, fault: OSError | UnicodeDecodeError) -> exc.CommandError:
    """The error of a command that cannot read the file *path*."""
    return exc.CommandError(f"cannot read {path}: {getattr(fault, 'strerror', None) or fault}")
