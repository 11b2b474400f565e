# SPDX-License-Identifier: Apache-2.0
"""One contender's traced spans: the caller's wall time, and the process's CPU time until they are delivered.

Run in the contender's environment: ``spans.py '{"module": ..., "target": ..., "service": ..., "work": [...]}'``.
Prints one line of JSON for each piece of work, and last what ought to have arrived.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

Flow = Callable[[Callable[[int], None], range], None]
_PAUSE_EVERY = 50  # in tasks and greenthreads, so that they take turns


def plain(operation: Callable[[int], None], numbers: range) -> None:
    for n in numbers:
        operation(n)


def in_threads(contender: Any, operation: Callable[[int], None], parts: list[range]) -> float:
    """Wall seconds from the moment when all threads are ready to the end of the last; each in a trace of its own."""
    ready, over = threading.Barrier(len(parts) + 1), threading.Barrier(len(parts) + 1)

    def run(numbers: range) -> None:
        with contender.root():
            ready.wait()
            plain(operation, numbers)
            over.wait()

    threads = [threading.Thread(target=run, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    ready.wait()
    begin = time.perf_counter()
    over.wait()
    end = time.perf_counter()
    for thread in threads:
        thread.join()
    return end - begin


def in_tasks(contender: Any, operation: Callable[[int], None], parts: list[range]) -> float:
    import asyncio

    async def run(numbers: range) -> None:
        with contender.root():
            for n in numbers:
                operation(n)
                if n % _PAUSE_EVERY == 0:
                    await asyncio.sleep(0)

    async def everything() -> float:
        begin = time.perf_counter()
        await asyncio.gather(*(run(part) for part in parts))
        return time.perf_counter() - begin

    return asyncio.run(everything())


def in_greenthreads(contender: Any, operation: Callable[[int], None], parts: list[range]) -> float:
    import eventlet

    def run(numbers: range) -> None:
        with contender.root():
            for n in numbers:
                operation(n)
                if n % _PAUSE_EVERY == 0:
                    eventlet.sleep(0)

    begin = time.perf_counter()
    for thread in [eventlet.spawn(run, part) for part in parts]:
        thread.wait()
    return time.perf_counter() - begin


def in_a_loop(contender: Any, operation: Callable[[int], None], parts: list[range]) -> float:
    (numbers,) = parts
    with contender.root():
        begin = time.perf_counter()
        plain(operation, numbers)
        return time.perf_counter() - begin


FLOWS = {"loop": in_a_loop, "threads": in_threads, "tasks": in_tasks, "green": in_greenthreads}


class Measure:
    """Runs pieces of work on one contender, and keeps count of the spans made."""

    def __init__(self, contender: Any, sizes: dict[str, int]) -> None:
        self.contender = contender
        self.made: Counter[str] = Counter()
        self._sizes = sizes
        self._next: Counter[str] = Counter()

    def run(self, operation: str, flow: str, flows: int, bursts: int, calls: int) -> dict[str, list[float]]:
        """*bursts* times *calls* calls, shared by *flows* flows of control; the spans are delivered after each.

        Microseconds a span, by burst: wall time, the calling thread's CPU time, and the process's until delivery.
        """
        function = getattr(self.contender, operation)
        spans = (calls // flows) * flows * self._sizes[operation]
        figures: dict[str, list[float]] = {"wall_us": [], "caller_us": [], "cpu_us": []}
        for burst in range(bursts):
            first, share = self._next[operation], calls // flows
            self._next[operation] += share * flows
            parts = [range(first + share * n, first + share * (n + 1)) for n in range(flows)]
            cpu, own = time.process_time(), time.thread_time()
            figures["wall_us"].append(FLOWS[flow](self.contender, function, parts) / spans * 1e6)
            figures["caller_us"].append((time.thread_time() - own) / spans * 1e6)
            if burst < bursts - 1:
                self.contender.drain()
            else:
                self.contender.flush()
            figures["cpu_us"].append((time.process_time() - cpu) / spans * 1e6)
        self.made[operation] += spans * bursts
        if flow == "threads":
            del figures["caller_us"]  # this thread only waited
        return figures


def main(order: dict[str, Any]) -> None:
    if order.get("eventlet"):
        import eventlet

        eventlet.monkey_patch()
    import contenders

    contender = contenders.load(order["module"], order["target"], order["service"])
    rpc: Any = None
    measure = Measure(contender, contenders.OPERATIONS)
    for work in order["work"]:
        if work["operation"] == "rpc" and rpc is None and hasattr(contender, "prepare_rpc"):
            rpc = contender.prepare_rpc()
        if not hasattr(contender, work["operation"]) or (contender.by_thread and work["flow"] == "tasks"):
            continue
        # Once before, so that connections are open and code is specialised.
        measure.run(work["operation"], work["flow"], work["flows"], 1, max(work["calls"] // 10, work["flows"]))
        result = measure.run(work["operation"], work["flow"], work["flows"], work["bursts"], work["calls"])
        print(json.dumps({"name": work["name"], "figures": result}), flush=True)
    if rpc is not None:
        rpc.stop()
    print(json.dumps({"made": measure.made, "counts": contender.counts()}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
