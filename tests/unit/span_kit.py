# SPDX-License-Identifier: Apache-2.0
"""For tests of instrumentations: the spans that finished, and a check that nothing was left open or current."""

import pytest

from osprofiler.testing.recorder import SpanRecorder as Recorder

__all__ = ["Recorder", "spans"]


@pytest.fixture
def spans(osprofiler_recorder: Recorder) -> Recorder:
    """Records every span of the test. Fails if a span is left open, a point current, or a fault was swallowed."""
    return osprofiler_recorder
