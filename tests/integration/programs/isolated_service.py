# SPDX-License-Identifier: Apache-2.0
"""A service in miniature: ``isolated_service.py threading|eventlet before|after`` (the libraries are imported).

Its work turns tracing on and never off; it prints what it has checked, and fails on the first trace that stays.
"""

import sys

model, order = sys.argv[1:]
if model == "eventlet":
    import eventlet

    eventlet.monkey_patch()

from osprofiler import profiler  # noqa: E402
from osprofiler.concurrency import isolation  # noqa: E402

if order == "before":
    assert "futurist" not in sys.modules
    isolation.install()

import futurist  # noqa: E402
from oslo_service import backend  # noqa: E402

backend.init_backend(backend.BackendType.EVENTLET if model == "eventlet" else backend.BackendType.THREADING)
from oslo_service import loopingcall  # noqa: E402

if order == "after":
    isolation.install()


def leak() -> bool:
    """Turn tracing on and leave it on; whether a trace was there before."""
    found = profiler.get() is not None
    profiler.init("key", base_id="7bbd2d5c-3c54-4d45-8a9c-9a4b3d1f0a02")
    return found


executor = futurist.GreenThreadPoolExecutor(1) if model == "eventlet" else futurist.ThreadPoolExecutor(1)
futures = [executor.submit(leak) for _ in range(20)]
assert not any(future.result() for future in futures), "a trace stayed in the pool"
executor.shutdown()
print("pool")

found = []


def tick() -> None:
    found.append(leak())
    if len(found) == 5:
        raise loopingcall.LoopingCallDone("ended by itself")


profiler.init("key", base_id="7bbd2d5c-3c54-4d45-8a9c-9a4b3d1f0a01")
loop = loopingcall.FixedIntervalLoopingCall(tick)
loop.start(interval=0.001)
assert loop.wait() == "ended by itself"
assert found == [False] * 5, found
print("loop")
assert profiler.get().get_base_id().endswith("01"), "the starter's trace is gone"
print("alive")
