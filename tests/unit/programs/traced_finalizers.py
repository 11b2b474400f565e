# SPDX-License-Identifier: Apache-2.0
"""Objects in cycles, whose finalizers are traced, while the rest of the process is traced too: collections begin in the
middle of whatever allocates.
"""

import gc
from typing import Any

from osprofiler import notifier, profiler

RECORDS: list[dict[str, Any]] = []


def keep(record: dict[str, Any]) -> None:
    RECORDS.append(record)
    del RECORDS[:-100]  # memory that was freed is soon something else


class Traced:
    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        profiler.start("finalizer")
        profiler.annotate("ends")
        profiler.stop()


notifier.set(keep)
profiler.init("key")
with profiler.Trace("first"):  # makes the tracer
    pass
for number in range(6000):
    Traced()
    gc.set_threshold(10 + number % 60)  # collections begin now here, now there
    with profiler.Trace("work", info={"a": 1}):
        pass
print("alive")
