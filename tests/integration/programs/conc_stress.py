# SPDX-License-Identifier: Apache-2.0
"""Many threads open nested points, each thread in a trace of its own, while processes are forked from among them.

Arguments: where to report, a number of threads, of points a thread, of forks a thread, and a text that the traces' ids
are made of. Every point's info says which point it must be under. Prints the counters and the pid as JSON.
"""

import json
import os
import sys
import threading

from osprofiler import config, opentracing_compat, profiler
from osprofiler._runtime import guard
from osprofiler.drivers import connect
from osprofiler.tracer import global_tracer
from tests.integration.programs.conc_stress_plan import CHILD_POINTS, DEPTH, base_id

#: The stated bound of the queue: what the run makes fits, whatever the collector does meanwhile.
QUEUE_SPANS = 200_000
QUEUE_BYTES = 1 << 30

URL, THREADS, POINTS, FORKS, SEED = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]


def nest(prefix: str, first: int, last: int, above: str) -> None:
    """The points *first* to *last*, each in the one before."""
    if first < last:
        own = f"{prefix} {first}"
        with profiler.Trace("point", info={"own": own, "above": above}):
            nest(prefix, first + 1, last, own)


def run(thread: int) -> None:
    profiler.init("a key", base_id=base_id(SEED, thread))
    own = f"thread {thread}"
    with profiler.Trace("thread", info={"own": own, "above": ""}):
        fork_at = {POINTS * (n + 1) // (FORKS + 1) // DEPTH * DEPTH: n for n in range(FORKS)}
        for first in range(0, POINTS, DEPTH):
            nest(own, first, min(first + DEPTH, POINTS), own)
            if first in fork_at:
                fork(f"{own} child {fork_at[first]}", own)
    profiler.clean()


def fork(prefix: str, above: str) -> None:
    """A child that goes on under the point that is open here."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            nest(prefix, 0, CHILD_POINTS, above)
            status = 0 if opentracing_compat.flush(60) else 2
        finally:
            os._exit(status)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        os._exit(3)


def main() -> None:
    config.publish(queue_spans=QUEUE_SPANS, queue_bytes=QUEUE_BYTES)
    reporter = connect.reporter_for(URL, project="stress", service="threads")
    global_tracer.report_to(lambda: reporter)
    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = reporter.flush(120)
    print(json.dumps({"whole": whole, "pid": os.getpid(), "counters": dict(guard.counters)}))


if __name__ == "__main__":
    main()
