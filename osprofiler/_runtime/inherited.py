# SPDX-License-Identifier: Apache-2.0
"""What a forked child must not end: its parent's clients and connections.

Their destructors would say goodbye to the server on the parent's behalf; also those that run when the child's
interpreter ends, which no list in a module can prevent.
"""

from __future__ import annotations

import ctypes

#: What was inherited and is kept, to be looked at.
kept: list[object] = []


def keep(inherited: object) -> None:
    """Have *inherited*, and all that it holds, outlive this process."""
    kept.append(inherited)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))  # one reference that nobody gives back
