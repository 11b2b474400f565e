# SPDX-License-Identifier: Apache-2.0
"""The time that a span spent in itself: while no child ran that it waited for."""

from __future__ import annotations

from osprofiler.reports.model import SpanNode


def self_us(span: SpanNode) -> int:
    """Microseconds of *span* in which none of its children ran, but for detached ones; 0 if it has not ended.

    A child whose end is unknown counts for nothing.
    """
    if span.duration_us is None:
        return 0
    alone_us, covered_to_us = 0, span.start_us
    for child in span.children:  # by start
        if child.duration_us is None or child.detached:
            continue
        begin_us = min(child.start_us, span.end_us)
        alone_us += max(begin_us - covered_to_us, 0)
        covered_to_us = max(covered_to_us, min(child.end_us, span.end_us))
    return alone_us + span.end_us - covered_to_us
