# SPDX-License-Identifier: Apache-2.0
"""Fixtures for pytest. A test suite opts in with ``pytest_plugins = ["osprofiler.testing.fixtures"]``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from osprofiler import config
from osprofiler.context import current, scope
from osprofiler.testing.process import clean_process, no_swallowed_faults
from osprofiler.testing.recorder import Recording, SpanRecorder, recorder_in_use, recording


@pytest.fixture
def osprofiler_process() -> Iterator[None]:
    """Before and after the test: no trace, default settings, no notifier, and all counters at zero."""
    with clean_process():
        yield


@pytest.fixture
def osprofiler_spans() -> Iterator[Recording]:
    """The spans of the test. Its code runs in a new trace.

    The test fails if a trace point is left open, or if a fault of tracing was swallowed.
    """
    with no_swallowed_faults(set()), recording() as spans:
        yield spans
        assert spans.unfinished() == [], "trace points were left open"


@pytest.fixture
def osprofiler_recorder() -> Iterator[SpanRecorder]:
    """The tracer's own span objects, for tests of instrumentation. The test has default settings and no trace.

    It fails if a trace point is left open or current, or if a fault of tracing was swallowed. A test that causes faults
    on purpose adds the names of their counters to ``expected_faults``.
    """
    recorder = SpanRecorder()
    config.reset()
    with no_swallowed_faults(recorder.expected_faults), scope.entered(None), recorder_in_use(recorder):
        yield recorder
        point = current.point.get()
        config.reset()
        assert point is None, "a trace point was left current"
        assert recorder.unfinished() == [], "trace points were left open"
