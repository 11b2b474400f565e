# SPDX-License-Identifier: Apache-2.0
"""The self time of a span: the time in which it did not wait for a child."""

from __future__ import annotations

from osprofiler.reports.model import SpanNode


def self_us(span: SpanNode) -> int:
    """The microseconds of *span* in which no child ran; 0 if it has not ended.

    Detached children, and children whose end is unknown, do not count.
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
