# SPDX-License-Identifier: Apache-2.0
"""What the traces of a feed are. The same seed and number make the same trace, in each process that asks.

A trace is a request to one service, which calls another one. Both take steps, one after the other. The traces are
spread over a time; in its second half one step is slower. Some traces fail.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

DAY_US = 86_400_000_000
LEAST_SPANS = 5  # of a trace

#: The step that is slower in the second half, and by which factor.
SLOWER, FACTOR = "verify_checksum", 1.2

_FAILED = 0.02  # of the traces
_STEPS_US = (  # the operations that the steps have in turn, and their median durations
    ("db SELECT", 900),
    (SLOWER, 9_000),
    ("db INSERT", 1_400),
    ("create_network", 6_000),
    ("db UPDATE", 1_100),
    ("spawn_guest", 15_000),
)
_SPREAD = 0.3  # standard deviation of the logarithm of a duration
_GAP_US = 200  # between two steps, and between a span and the first or last one in it


class Span(NamedTuple):
    """A span of a trace."""

    above: int  # the place of its parent in the trace; -1: none
    operation: str
    kind: str  # the tag span.kind; "": none
    called: bool  # it is in the called service, not in the one that the request came to
    start_us: int  # since the epoch
    end_us: int
    failed: bool


@dataclass(frozen=True)
class Feed:
    """The traces that begin in one process: *traces* of *spans* spans each, from *start_us* to *end_us*."""

    seed: int
    process: int
    traces: int
    spans: int
    start_us: int  # since the epoch
    end_us: int

    def trace(self, number: int) -> list[Span]:
        """Return the trace of this *number*; a parent comes before its children."""
        chance = random.Random(f"{self.seed}:{self.process}:{number}")
        begin_us = self.start_us + (self.end_us - self.start_us) * number // self.traces
        slow = FACTOR if 2 * number >= self.traces else 1.0
        failed = chance.random() < _FAILED
        own = (self.spans - 3) // 3
        call, server = own + 1, own + 2
        steps = list(_steps(chance, own, slow, begin_us, 0))
        call_us = _after(steps, begin_us)
        below = list(_steps(chance, self.spans - 3 - own, slow, call_us + _GAP_US, server))
        if failed:
            below[-1] = below[-1]._replace(failed=True)
        served_us = _after(below, call_us + _GAP_US)
        return [
            Span(-1, "wsgi POST", "server", False, begin_us, served_us + 2 * _GAP_US, failed),
            *steps,
            Span(0, "rpc call build_guest", "client", False, call_us, served_us + _GAP_US, failed),
            Span(call, "rpc build_guest", "server", True, call_us + _GAP_US, served_us, failed),
            *below,
        ]


def _steps(chance: random.Random, count: int, slow: float, begin_us: int, above: int) -> Iterator[Span]:
    """Steps under the span *above*, which begins at *begin_us*."""
    at_us = begin_us + _GAP_US
    for number in range(count):
        operation, median_us = _STEPS_US[number % len(_STEPS_US)]
        length_us = median_us * math.exp(chance.gauss(0, _SPREAD)) * (slow if operation == SLOWER else 1.0)
        end_us = at_us + round(length_us)
        yield Span(above, operation, "", above > 0, at_us, end_us, False)
        at_us = end_us + _GAP_US


def _after(steps: Sequence[Span], begin_us: int) -> int:
    """When the next span begins after *steps*, or the first one in a span that begins at *begin_us*."""
    return (steps[-1].end_us if steps else begin_us) + _GAP_US
