# SPDX-License-Identifier: Apache-2.0
"""Bytes that a span takes while it is open and while it waits to be sent, and locks that its caller takes.

Run in the contender's environment: ``memory.py '{"module": ..., "target": ..., "service": ...}'``.
"""

from __future__ import annotations

import gc
import json
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

SPANS = 1000  # fewer than wake any of the senders before their interval is over


def bytes_of(make: Callable[[], object]) -> float:
    """How much more memory is in use after *make*, whose result is kept meanwhile, for each of :data:`SPANS`."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = make()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del kept
    return (after - before) / SPANS


def of_ours(contender: Any) -> dict[str, float]:
    from osprofiler import config, profiler

    config.publish(flush_interval_s=3600.0)
    with contender.root():
        contender.two_tags(0)
        contender.flush()

        def queue() -> None:
            for n in range(SPANS):
                contender.two_tags(n)

        def leave_open() -> None:
            for n in range(SPANS):
                profiler.start("two_tags", {"n": n, "text": f"{n}"})

        queued = bytes_of(queue)
        contender.flush()
        opened = bytes_of(leave_open)
        for _ in range(SPANS):
            profiler.stop()
        contender.flush()
        return {"queued_bytes": queued, "open_bytes": opened, "locks": locks(contender)}


def locks(contender: Any) -> int:
    """How often the caller of :data:`SPANS` spans calls into a lock, by Python's own profile."""
    taken = 0

    def watch(frame: Any, event: str, argument: Any) -> None:
        nonlocal taken
        if event == "c_call" and "lock" in type(getattr(argument, "__self__", None)).__name__.lower():
            taken += 1

    contender.two_tags(1)
    sys.setprofile(watch)
    for n in range(SPANS):
        contender.two_tags(n)
    sys.setprofile(None)
    return taken


def of_spans(start: Callable[[], Any], finish: Callable[[Any], None]) -> dict[str, float]:
    finish(start())
    held: list[Any] = []
    opened = bytes_of(lambda: held.extend(start() for _ in range(SPANS)))

    def ended() -> list[Any]:
        made = [start() for _ in range(SPANS)]
        for span in made:
            finish(span)
        return made

    for span in held:
        finish(span)
    return {"queued_bytes": bytes_of(ended), "open_bytes": opened}


def main(order: dict[str, Any]) -> None:
    import contenders

    contender = contenders.load(order["module"], order["target"], order["service"])
    held = getattr(contender, "held", None)
    print(json.dumps(of_ours(contender) if held is None else of_spans(*held())))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
