# SPDX-License-Identifier: Apache-2.0
"""Helpers for tests: record the spans of a block, and conformance kits for what other packages add.

The kits are classes of pytest tests, to be subclassed: ``drivers``, ``propagators``, ``wires``, ``decorators``,
``http_clients`` and ``concurrency`` (execution models). ``fixtures`` is a plugin for pytest.
"""

from osprofiler.testing.recording import RecordedLog, RecordedReference, RecordedSpan, Recording, recording

__all__ = ["RecordedLog", "RecordedReference", "RecordedSpan", "Recording", "recording"]
