# SPDX-License-Identifier: Apache-2.0
"""``fork_while_busy.py MODE CONNECTION_STRING BASE_ID FORKS``: fork again and again in the thick of it.

MODE is native, eventlet or gevent. Each child reports one span and leaves by the ordinary way out. The last word of the
output is how many spans the parent has reported.
"""

import os
import sys
import threading

from greenthreads import patch

MODE, CONNECTION_STRING, BASE_ID, FORKS = sys.argv[1:5]

if MODE != "native":
    patch(MODE)

import time  # noqa: E402

from osprofiler import config  # noqa: E402
from osprofiler._runtime import guard  # noqa: E402
from osprofiler.context.origin import Origin  # noqa: E402
from osprofiler.context.points import Point  # noqa: E402
from osprofiler.drivers import connect  # noqa: E402
from osprofiler.tracer.tracer import Tracer  # noqa: E402

config.publish(flush_interval_s=0.0, flush_timeout_s=30.0)
TRACER = Tracer("unnamed", connect.reporter_for(CONNECTION_STRING, project="forks", service=MODE))
DONE = threading.Event()
REPORTED = [0, 0, 0]


def report(name: str) -> None:
    root = Point(None, None, Origin.from_osprofiler("key", BASE_ID))
    TRACER.open_point(root, name).end()


def busy(index: int) -> None:
    while not DONE.is_set():
        report("busy")
        REPORTED[index] += 1
        time.sleep(0.002)


def main() -> int:
    threads = [threading.Thread(target=busy, args=(index,)) for index in range(len(REPORTED))]
    for thread in threads:
        thread.start()
    failed = 0
    for number in range(int(FORKS)):
        before = guard.counters["delivered"]
        while number % 5 == 0 and guard.counters["delivered"] == before:
            time.sleep(0.001)  # until the reporter is at it again
        child = os.fork()
        if child == 0:
            DONE.set()  # the parent's greenthreads are here too
            report("child")
            sys.exit(0)
        failed += os.waitpid(child, 0)[1] != 0
    DONE.set()
    for thread in threads:
        thread.join()
    TRACER.flush(30)
    print(sum(REPORTED))
    return failed


if __name__ == "__main__":
    sys.exit(main())
