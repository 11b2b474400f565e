# SPDX-License-Identifier: Apache-2.0
"""What tests of integrations look at: the spans that finished, and that nothing was left open or current."""

import pytest

from osprofiler.testing.recorder import SpanRecorder as Recorder

__all__ = ["Recorder", "spans"]


@pytest.fixture
def spans(osprofiler_recorder: Recorder) -> Recorder:
    """Records every span of the test; fails where one was left open, a point current, or a fault swallowed."""
    return osprofiler_recorder
