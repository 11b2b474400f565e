# SPDX-License-Identifier: Apache-2.0
"""Read the demo's trace back from a store or from Jaeger, and compare its errors with the chosen fault."""

from __future__ import annotations

import time
import urllib.parse
from dataclasses import dataclass

from osprofiler.connection import strings
from osprofiler.drivers import base
from osprofiler.drivers.errors import StoreError
from osprofiler.reports import model

_ARRIVAL_S = 30
_POLL_INTERVAL_S = 0.2

#: By fault: the service and the operation where the trace must show its origin.
ORIGINS = {
    "image": ("image", "osprofiler.demo.image.verify_checksum"),
    "db": ("conductor", "db INSERT"),
    "compute": ("compute-2", "osprofiler.demo.compute.spawn"),
}


@dataclass(frozen=True)
class Failure:
    """A trace point that ended in an error."""

    service: str
    operation: str
    kind: str

    def is_origin_of(self, fault: str, in_memory: bool) -> bool:
        """Whether this is the origin of *fault*. *in_memory*: all services but the image service are one process."""
        service, operation = ORIGINS[fault]
        if in_memory and service != "image":
            service = "api"
        return self.service.endswith(service) and self.operation == operation


def read(connection_string: str, base_id: str) -> model.Trace:
    """The trace from a record store. Raises Unsupported where the store can only be written to."""
    return model.from_records(base.get_driver(connection_string).read(base_id))


def failures(trace: model.Trace) -> list[Failure]:
    """The points of *trace* that failed."""
    return [
        Failure(span.service or "", span.operation, span.error) for _, span in trace.walk() if span.error is not None
    ]


def is_jaeger(connection_string: str) -> bool:
    """Whether traces go to Jaeger."""
    return strings.scheme(connection_string).partition("+")[0] == "jaeger"


def jaeger_ui(connection_string: str) -> str:
    """The URL of Jaeger's UI and query API: ``query=`` of the connection string, else port 16686 of the same host."""
    parts = urllib.parse.urlsplit(connection_string)
    urls = urllib.parse.parse_qs(parts.query).get("query")
    return urls[0].rstrip("/") if urls else f"http://{parts.hostname}:16686"


def in_jaeger(ui: str, base_id: str) -> model.Trace | None:
    """The complete trace from Jaeger's query API; without spans if it does not arrive, None if the API does not answer.

    UDP is not acknowledged. So the trace counts as complete when two reads return the same number of spans.
    """
    store = f"jaeger://{urllib.parse.urlsplit(ui).hostname}?query={urllib.parse.quote(ui, safe='')}"
    deadline = time.monotonic() + _ARRIVAL_S
    before = -1
    while True:
        try:
            trace = read(store, base_id)
        except StoreError:
            return None
        if (trace.spans and len(trace.spans) == before) or time.monotonic() > deadline:
            return trace
        before = len(trace.spans)
        time.sleep(_POLL_INTERVAL_S)
