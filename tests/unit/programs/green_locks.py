# SPDX-License-Identifier: Apache-2.0
"""Locks of oslo.concurrency in a process that eventlet has patched, with their layer on.

Two greenthreads want each lock, each in a trace of its own. It prints a line of JSON for each kind of lock: the order
of what happened, and the operations and parents of the spans.
"""

import warnings

warnings.simplefilter("ignore")
import eventlet  # noqa: E402

eventlet.monkey_patch()

import json  # noqa: E402
import tempfile  # noqa: E402

from oslo_concurrency import lockutils  # noqa: E402

from osprofiler import config, profiler  # noqa: E402
from osprofiler.context import current  # noqa: E402
from osprofiler.instrumentation import registry  # noqa: E402
from osprofiler.testing import recording  # noqa: E402

KINDS = {"internal": {}, "fair": {"fair": True}, "external": {"external": True}}

config.publish(enabled=True, hmac_keys=("key",))
registry.instrument("lockutils")
folder = tempfile.mkdtemp()

for kind, settings in KINDS.items():
    happened = []

    def work(name, settings=settings, happened=happened):
        profiler.init("key")
        with profiler.Trace(name):
            happened.append(f"{name} wants")
            with lockutils.lock("volume", "kit", lock_path=folder, **settings):
                happened.append(f"{name} has")
                for _ in range(5):
                    eventlet.sleep(0.01)
                happened.append(f"{name} leaves")
        profiler.clean()
        return current.point.get() is None

    with recording(trace=False) as spans, eventlet.Timeout(60):
        clean = [thread.wait() for thread in [eventlet.spawn(work, name) for name in ("one", "two")]]
    ids = {span.point_id: span.name for span in spans}
    tree = sorted((span.operation, ids.get(span.parent_id)) for span in spans)
    print(json.dumps({"kind": kind, "happened": happened, "spans": tree, "clean": clean}))
