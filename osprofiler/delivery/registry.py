# SPDX-License-Identifier: Apache-2.0
"""The reporters of this process: for its counters, for its end, and for a fork, which each of them must hear of."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING

from osprofiler._runtime import ending, forks, guard, native
from osprofiler.delivery.delivery import count_starts

if TYPE_CHECKING:
    from osprofiler.delivery.queue import Entry
    from osprofiler.delivery.reporter import QueueReporter

_reporters: weakref.WeakSet[QueueReporter] = weakref.WeakSet()


def add(reporter: QueueReporter) -> None:
    """Add *reporter*, for as long as it lives."""
    _reporters.add(reporter)


def living() -> list[QueueReporter]:
    """Every reporter of this process."""
    return list(_reporters)


@guard.source
def _waiting() -> Mapping[str, int]:
    """The entries that have not left this process. They are lost when it ends."""
    waiting: list[Entry] = []
    for reporter in living():
        if not native.is_extra_native_thread():
            reporter.publish()
        waiting += reporter.waiting()
    starts = count_starts(waiting)
    if not ending.has_begun():
        return {"waiting": len(waiting) - starts}
    return {"dropped.exit": len(waiting) - starts, "dropped_starts.exit": starts}


@forks.in_child
def _start_over() -> None:
    for reporter in living():
        try:
            reporter.after_fork()
        except Exception as fault:
            guard.swallow("fork", fault)
