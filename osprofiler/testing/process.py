# SPDX-License-Identifier: Apache-2.0
"""The state that tracing keeps for a whole process, at its defaults for the length of a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from osprofiler import config, notifier, profiler
from osprofiler._runtime import guard
from osprofiler.context import current, scope


@contextmanager
def clean_process() -> Iterator[None]:
    """Run a block without a trace, with default settings, no notifier, and all counters at zero; and so after it.

    Raises AssertionError where the block leaves a trace on in its flow of control.
    """
    _reset()
    try:
        yield
        assert current.point.get() is None, "a trace was left on"
    finally:
        _reset()


@contextmanager
def no_swallowed_faults(expected: set[str]) -> Iterator[None]:
    """Raise AssertionError after a block in which a fault of tracing was swallowed.

    *expected* are names of counters (``fault.start``) that may grow; the block may add to them.
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
    notifier.set(notifier._noop_notifier)
    notifier.clear_notifier_cache()
    config.reset()
    guard.clear()
