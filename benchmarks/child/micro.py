# SPDX-License-Identifier: Apache-2.0
"""One contender's single calls, measured by pyperf: at rest, unsampled, through a middleware that is off.

Run in the contender's environment, with its module's name in ``BENCH_MODULE``; the arguments are pyperf's.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

import contenders


def timed(call: Callable[[], Any], around: Callable[[], Any], share: int = 1) -> Callable[[int], float]:
    """What pyperf calls with a number of loops, for seconds; one loop of *share* is made, and counts for all."""

    def run(loops: int) -> float:
        with around():
            turns = range(max(loops // share, 1))
            begin = time.perf_counter()
            for _ in turns:
                call()
            return (time.perf_counter() - begin) * loops / len(turns)

    return run


def rows(module: str) -> dict[str, Callable[[int], float]]:
    """The rows of one contender."""
    made = contenders.load(module, "", "bench").micro()
    return {
        name: timed(*(row if isinstance(row, tuple) else (row, contextlib.nullcontext))) for name, row in made.items()
    }


if __name__ == "__main__":
    import pyperf

    runner = pyperf.Runner()
    for name, function in rows(os.environ["BENCH_MODULE"]).items():
        runner.bench_time_func(name, function)
