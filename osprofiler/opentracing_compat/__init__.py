# SPDX-License-Identifier: Apache-2.0
"""OpenTracing in osprofiler: the tracer of the process, its counters, and instrumentation by name.

The import of this package does not load jaeger-client, tornado or thrift.
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
    """The counters of this process, by name: the state of its spans, and the faults of tracing.

    ``started`` counts the sampled spans. ``records`` counts the records that service code made and gave to the
    notifier. Each span and record is counted in one of these:

    * ``open``: not stopped yet, or never;
    * ``waiting``: waits for delivery;
    * ``delivered``: acknowledged by the receiver;
    * ``sent``: sent without acknowledgement;
    * ``merged``: a start record of service code, merged into its stop record;
    * ``dropped.<reason>``: lost; ``dropped.exit`` if it ended while the process ended, and was not delivered.

    Stores of records also get a record when a span starts: ``dropped_starts.<reason>`` counts the lost ones. ``queued``
    counts the spans that were accepted for delivery. More counters: ``malformed`` (received fields), ``cut.<kind>``,
    ``fault.<where>``, ``not_followed.<instrumentation>`` (work that is not in a trace because the trace had ended).
    """
    return guard.totals()
