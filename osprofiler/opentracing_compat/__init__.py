# SPDX-License-Identifier: Apache-2.0
"""The OpenTracing side of osprofiler: the process's tracer, and what can be instrumented by name.

Importing this package loads neither jaeger-client nor what that loads (tornado, thrift).
"""

from __future__ import annotations

from osprofiler._runtime import guard
from osprofiler.instrumentation.registry import instrument, uninstrument
from osprofiler.tracer.global_tracer import existing_tracer, flush, get_tracer, report_to, sample_for

__all__ = [
    "counters",
    "existing_tracer",
    "flush",
    "get_tracer",
    "instrument",
    "report_to",
    "sample_for",
    "uninstrument",
]


def counters() -> dict[str, int]:
    """What became of this process's spans, and which faults of tracing were swallowed, by name.

    ``started`` counts the sampled spans of this process, and ``records`` those that service code made by hand and gave
    to the notifier. Each of them is one in ``open`` (it was not stopped yet, or never will be), ``waiting`` (for
    delivery), ``delivered`` (acknowledged) or ``sent`` (not), ``merged`` (a start, made by hand, into its stop), or
    ``dropped.<reason>``; of these, those that ended while the process did and did not get out are ``dropped.exit``.
    Stores of records also take a record when a span starts; ``dropped_starts.<reason>`` counts those that were lost.
    ``queued`` is how many were accepted for delivery. Further counters: ``malformed`` (received fields),
    ``cut.<kind>``, ``fault.<where>``, ``not_followed.<instrumentation>`` (work left out of a trace that had ended).
    """
    return guard.totals()
