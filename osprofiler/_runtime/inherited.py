# SPDX-License-Identifier: Apache-2.0
"""Objects that a forked child must not destroy: the clients and connections of its parent.

Their destructors would close the parent's sessions with the server. Destructors also run when the child's interpreter
ends, and a list in a module cannot prevent that; an extra reference can.
"""

from __future__ import annotations

import ctypes

#: The objects that are kept; for inspection.
kept: list[object] = []


def keep(inherited: object) -> None:
    """Keep *inherited*, and all objects that it holds, until this process has ended."""
    kept.append(inherited)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))  # a reference that is never released
