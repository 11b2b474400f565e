# SPDX-License-Identifier: Apache-2.0
"""Helpers for tests: record the spans of a block, and conformance kits for extensions in other packages.

The kits are classes of pytest tests. A test module subclasses them: ``drivers``, ``propagators``, ``wires``,
``decorators``, ``layers``, ``http_clients``, ``commands`` (of databases without SQL) and ``concurrency`` (execution
models). ``fixtures`` is a plugin for pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osprofiler.testing.recorder import RecordedLog, RecordedReference, RecordedSpan, Recording, recording

__all__ = ["RecordedLog", "RecordedReference", "RecordedSpan", "Recording", "recording"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from osprofiler.testing import recorder  # it loads jaeger-client, which the kit for drivers does not need

    return getattr(recorder, name)
