# SPDX-License-Identifier: Apache-2.0
"""Let finalizers use tracing, although it can crash an interpreter before Python 3.12.

Before Python 3.12 any allocation may start a garbage collection. ``ContextVar.set`` allocates while it reads the old
variables of its context, and it holds no reference to them. During that collection a finalizer may set a context
variable too: a traced generator that was not read to its end, or a ``__del__`` that calls a traced method. Then the old
variables are freed while the outer call reads them, and the process crashes. A reference to them, held from before the
collection until a later one, prevents this.
"""

from __future__ import annotations

import contextvars
import gc
import sys
from collections import deque
from typing import Any

# One ContextVar.set makes two objects, so it may start two collections.
_kept: deque[contextvars.Context] = deque(maxlen=2)


def _keep(phase: str, _: dict[str, Any]) -> None:
    if phase == "start":
        _kept.append(contextvars.copy_context())  # shares the variables


def make_safe() -> None:
    """Keep the variables of a context alive during each collection, on Python versions that need it."""
    if sys.version_info < (3, 12) and _keep not in gc.callbacks:
        gc.callbacks.append(_keep)
