# SPDX-License-Identifier: Apache-2.0
"""A step inside the service, such as a look into a cache or the wait for a lock: its span.

This module knows no library. The library of a step sends nothing by itself, so the span has no kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osprofiler.context.points import Point
from osprofiler.tracer import global_tracer


def open_point(here: Point, name: str, operation: str, tags: Mapping[str, Any]) -> Point:
    """Open the point *name* of a step under *here*, which must be sampled. Tags that are None are left out."""
    shown = {tag: value for tag, value in tags.items() if value is not None}
    return global_tracer.get_tracer().open_point(here, name, operation=operation, tags=shown)
