# SPDX-License-Identifier: Apache-2.0
"""A gRPC call: the spans of client and server, the trace context in the metadata, and which statuses are errors.

This module knows no library. An adapter names the method, passes the metadata, and reports the status at the end.
Messages and the service's own metadata are not shown: they may hold secrets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from osprofiler import config, propagation
from osprofiler._runtime import guard
from osprofiler.config import switches
from osprofiler.context import current
from osprofiler.context.faults import MAX_MESSAGE_CHARS
from osprofiler.context.identity import NOBODY
from osprofiler.context.points import Point
from osprofiler.context.trace_context import SAMPLED
from osprofiler.context.values import clean
from osprofiler.handlers.call import close
from osprofiler.handlers.http_client import get_trace_id_headers
from osprofiler.propagation import Incoming
from osprofiler.tracer import global_tracer

#: The name of the trace points of client and server.
POINT = "grpc"

#: The tag with the number of the status. This name, and those of the other ``rpc.`` tags, are OpenTelemetry's.
STATUS = "rpc.grpc.status_code"

#: The statuses that are errors of a server span, as in OpenTelemetry's semantic conventions. The others are the
#: client's error. For a client span every status is an error but OK.
SERVER_ERRORS = frozenset(
    ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"),
)

Metadata = Iterable[tuple[str, Any]]


class Status(NamedTuple):
    """How a call has ended."""

    name: str  # ``NOT_FOUND``
    number: int  # 0: OK
    details: str | None = None

    @property
    def is_ok(self) -> bool:
        return not self.number


OK = Status("OK", 0)
CANCELLED = Status("CANCELLED", 1)
UNKNOWN = Status("UNKNOWN", 2)


# The client


def send(here: Point, method: str, target: str | None, metadata: Metadata | None) -> tuple[Point | None, Any]:
    """Open the client span of a call, if *here* is sampled, and return it with the metadata to send. Never raises.

    *method*: ``/package.Service/Method``. *target*: the address of the channel, if that is known.
    """
    point = None
    with guard.Harmless("grpc.start"):
        if here.origin.flags & SAMPLED:
            point = _open(here, method, "client", target)
        metadata = with_trace(metadata)
    return point, metadata


def with_trace(metadata: Metadata | None) -> Metadata | None:
    """*metadata* with the fields of the current trace, in the place of those of another one."""
    fields = {name.lower(): value for name, value in get_trace_id_headers().items()}  # metadata has no upper case
    if not fields:
        return metadata
    own = () if metadata is None else tuple(metadata)
    return (*((name, value) for name, value in own if name not in fields), *fields.items())


def answered(point: Point, status: Status, fault: BaseException | None = None) -> None:
    """Close the client span of a call. *fault*: what the caller gets, if that has no status. Never raises."""
    _close(point, status, fault, is_error=not status.is_ok)


# The server


def receive(method: str, metadata: Metadata) -> Incoming | None:
    """The trace that a received call continues or begins; None if it is not traced."""
    settings = config.fresh()
    if not switches.work(settings):
        return None
    sample = global_tracer.sample_for(_operation(method)) if settings.samples else None  # rules ask about HTTP
    fields: dict[str, str] = {}
    for name, value in metadata:
        if isinstance(value, str):
            fields[name] = f"{fields[name]},{value}" if name in fields else value
    return propagation.read(fields, settings.hmac_keys, sample=sample, who=lambda: NOBODY)  # nothing checks who calls


def serve(incoming: Incoming, method: str, peer: str | None) -> Point:
    """The point at which a received call runs: that of its server span, or one without a span if it is not sampled."""
    root = Point(None, None, incoming.origin)
    if not incoming.origin.sampled:
        return root
    before = current.point.get()
    point = _open(root, method, "server", peer, follows=incoming.follows)
    current.point.set(before)
    return point


def served(point: Point, status: Status | None, fault: BaseException | None) -> None:
    """Close the server span of a call. Never raises.

    *status*: what the service has set; None: nothing. *fault*: the exception that has left the service's method.
    """
    if point.span is None:
        return
    shown = status or (OK if fault is None else UNKNOWN)
    # A method that ends the call with a status does so by an exception, which says nothing more.
    _close(point, shown, None if status else fault, is_error=shown.name in SERVER_ERRORS)


# Client and server


def _open(here: Point, method: str, kind: str, peer: str | None, follows: bool | None = None) -> Point:
    service, _, name = method.lstrip("/").rpartition("/")
    tags = {
        "span.kind": kind,
        "component": "grpc",
        "rpc.system": "grpc",
        "rpc.service": service,
        "rpc.method": name,
        **({"peer.address": peer} if peer else {}),
    }
    tracer = global_tracer.get_tracer()
    return tracer.open_point(here, POINT, operation=_operation(method), tags=tags, follows=follows)


def _operation(method: str) -> str:
    return f"grpc {method.lstrip('/')}"


def _close(point: Point, status: Status, fault: BaseException | None, *, is_error: bool) -> None:
    with guard.Harmless("grpc.stop"):
        if point.span is not None:
            point.span.set_tag(STATUS, status.number)
        if is_error and fault is None:
            info: Mapping[str, Any] = {"etype": status.name, "message": clean(status.details or "", MAX_MESSAGE_CHARS)}
            point.end(info)
            return
    close(point, fault if is_error else None, "grpc.stop")
