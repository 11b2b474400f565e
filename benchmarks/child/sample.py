# SPDX-License-Identifier: Apache-2.0
"""Where the time of a traced span goes: stacks sampled by CPU time, as folded lines (``a;b;c 12``).

Run in this project's environment: ``sample.py '{"target": "jaeger+http://...", "seconds": 10}'``. The reporter's work
is done in the same thread as the caller's, so that one picture holds both in proportion.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections import Counter
from types import FrameType
from typing import Any

from contenders import TEXT

from osprofiler import config, notifier, profiler
from osprofiler.delivery.delivery import BATCH_BYTES, BATCH_ENTRIES

_INTERVAL_S = 0.001
_stacks: Counter[str] = Counter()


def _sample(_: int, frame: FrameType | None) -> None:
    names = []
    while frame is not None:
        code = frame.f_code
        module = code.co_filename.rpartition("/")[2].removesuffix(".py")
        names.append(f"{module}.{getattr(code, 'co_qualname', code.co_name)}")
        frame = frame.f_back
    _stacks[";".join(reversed(names))] += 1


def caller(spans: int) -> None:
    for n in range(spans):
        profiler.start("two_tags", {"n": n, "text": TEXT})
        profiler.stop()


def reporter(exporter: Any, queue: Any) -> None:
    while queue:
        exporter.export(queue.take(BATCH_ENTRIES, BATCH_BYTES), time.monotonic() + 10)


def main(order: dict[str, Any]) -> None:
    config.publish(flush_interval_s=3600.0)
    made: Any = notifier.create(order["target"], project="", service="bench", host="")
    notifier.set(made)

    def turn() -> None:
        profiler.init("bench")
        with profiler.Trace("root"):
            caller(1000)
        profiler.clean()
        reporter(made.reporter.exporter, made.reporter._queue)

    turn()  # imports, the connection
    signal.signal(signal.SIGPROF, _sample)
    signal.setitimer(signal.ITIMER_PROF, _INTERVAL_S, _INTERVAL_S)
    end = time.monotonic() + order["seconds"]
    while time.monotonic() < end:
        turn()
    signal.setitimer(signal.ITIMER_PROF, 0)
    print(json.dumps(_stacks))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
