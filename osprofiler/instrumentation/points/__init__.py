# SPDX-License-Identifier: Apache-2.0
"""Trace points by configuration: ``[profiler] points``, profiles of points, and the functions that they name."""

from osprofiler.instrumentation.points.choice import entries, follow, instrumentations

__all__ = ["entries", "follow", "instrumentations"]
