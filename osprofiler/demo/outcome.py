# SPDX-License-Identifier: Apache-2.0
"""What became of the demo's trace: read back from a store or looked up in Jaeger, and judged against the fault."""

from __future__ import annotations

import time
import urllib.parse
from dataclasses import dataclass
from typing import Any

import requests

from osprofiler.drivers import base
from osprofiler.reports import model

_ARRIVAL_S = 30
_LOOK_EVERY_S = 0.2

#: By fault, the service and the operation where the trace must show that it began.
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
        """Whether this is where *fault* began. With RPC in memory all but the image service are one process."""
        service, operation = ORIGINS[fault]
        if in_memory and service != "image":
            service = "api"
        return self.service.endswith(service) and self.operation == operation


def read(connection_string: str, base_id: str) -> model.Trace:
    """The trace from a record store. Raises NotImplementedError where the store can only be written to."""
    return model.from_records(base.get_driver(connection_string).read(base_id))


def failures(trace: model.Trace) -> list[Failure]:
    """The points of *trace* that failed."""
    return [
        Failure(span.service or "", span.operation, span.error) for _, span in trace.walk() if span.error is not None
    ]


def is_jaeger(connection_string: str) -> bool:
    return connection_string.partition(":")[0].lower() in ("jaeger", "jaeger+http", "jaeger+https")


def jaeger_ui(connection_string: str) -> str:
    """Where Jaeger's UI and query API are: as the string's ``query=`` says, else port 16686 of the same host."""
    parts = urllib.parse.urlsplit(connection_string)
    named = urllib.parse.parse_qs(parts.query).get("query")
    return named[0].rstrip("/") if named else f"http://{parts.hostname}:16686"


def in_jaeger(ui: str, base_id: str) -> tuple[int, list[Failure]] | None:
    """How many spans of the trace Jaeger has, once it has them all, and which failed; None if it cannot be asked.

    UDP says nothing of when a span is there: they are all there when no more have come between two looks.
    """
    deadline = time.monotonic() + _ARRIVAL_S
    before = -1
    while time.monotonic() < deadline:
        try:
            found = _ask(ui, base_id)
        except (requests.RequestException, ValueError):
            return None
        spans = found.get("spans", [])
        if spans and len(spans) == before:
            return len(spans), _failed(found)
        before = len(spans)
        time.sleep(_LOOK_EVERY_S)
    return 0, []


def _ask(ui: str, base_id: str) -> dict[str, Any]:
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{ui}/api/traces/{base_id.replace('-', '')}", timeout=5)
    if answer.status_code == 404:
        return {}
    answer.raise_for_status()
    data = answer.json()["data"]
    return data[0] if data else {}


def _failed(found: dict[str, Any]) -> list[Failure]:
    failed = []
    for span in found["spans"]:
        tags = {tag["key"]: tag["value"] for tag in span["tags"]}
        if tags.get("error") is True:
            service = found["processes"][span["processID"]]["serviceName"]
            failed.append(Failure(service, span["operationName"], str(tags.get("stop.etype", "error"))))
    return failed
