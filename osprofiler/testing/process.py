# SPDX-License-Identifier: Apache-2.0
"""Set the state of tracing in a process to its defaults for a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from osprofiler import config, notifier, profiler
from osprofiler._runtime import guard
from osprofiler.context import current, scope
from osprofiler.tracer import global_tracer


@contextmanager
def clean_process() -> Iterator[None]:
    """Run a block without a trace, with default settings, no notifier, and all counters at zero. Resets them after it.

    Raises AssertionError if a trace is on at the end of the block.
    """
    _reset()
    try:
        yield
        assert current.point.get() is None, "a trace was left on"
    finally:
        _reset()


@contextmanager
def no_swallowed_faults(expected: set[str]) -> Iterator[None]:
    """Run a block. Raises AssertionError if a fault of tracing was swallowed in it.

    *expected*: the names of counters (``fault.start``) that may grow. The block may add names.
    """
    before = dict(guard.counters)
    yield
    faults = {
        name: count - before.get(name, 0)
        for name, count in guard.counters.items()
        if name.startswith("fault.") and count != before.get(name, 0) and name not in expected
    }
    assert not faults, f"faults were swallowed: {faults}"


def _reset() -> None:
    scope.use(None)
    current.point.set(None)
    profiler.clean()
    tracer = global_tracer.existing_tracer()
    if tracer is not None:
        tracer.receiver = tracer.reporter  # no undecided trace is left that would have to be held
    notifier.set(notifier._noop_notifier)
    notifier.clear_notifier_cache()
    config.reset()
    guard.clear()
