# SPDX-License-Identifier: Apache-2.0
"""Finalizers may use tracing, also where the interpreter by itself would not survive it.

Before Python 3.12 any allocation may begin a garbage collection, and ``ContextVar.set`` allocates while it reads the
old variables of its context, to which it holds no reference. A finalizer that sets a context variable meanwhile (a
traced generator that nobody read to its end, a ``__del__`` that calls a traced method) has them freed under its hands,
and the process dies. A reference held from before the collection until a later one keeps them.
"""

from __future__ import annotations

import contextvars
import gc
import sys
from collections import deque
from typing import Any

# One set may begin two collections: it makes two objects.
_kept: deque[contextvars.Context] = deque(maxlen=2)


def _keep(phase: str, _: dict[str, Any]) -> None:
    if phase == "start":
        _kept.append(contextvars.copy_context())  # shares the variables


def make_safe() -> None:
    """Hold on to what a collection might take from under a ``ContextVar.set``, where that is needed."""
    if sys.version_info < (3, 12) and _keep not in gc.callbacks:
        gc.callbacks.append(_keep)
