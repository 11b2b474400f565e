# SPDX-License-Identifier: Apache-2.0
"""A remote procedure call: the spans of its two sides, the trace's context in its message, and what is an error.

No library is known here. An adapter describes the call (:class:`Call`), runs it, and says how it ended. An error is
what a side raised, and for the server's also the failure that it replied with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from opentracing.ext import tags as ext_tags

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler.context import current, scope
from osprofiler.context.points import Point
from osprofiler.context.trace_context import SAMPLED
from osprofiler.propagation import Incoming, envelope
from osprofiler.tracer import global_tracer

T = TypeVar("T")

#: The name of the trace points of both sides.
POINT = "rpc"

_MAX_NAME_CHARS = 200


class Call(NamedTuple):
    """One call, as its spans show it. What is None is left out."""

    component: str  # the tag ``component``
    method: Any
    topic: str | None
    server: str | None
    namespace: str | None
    version: str | None
    kind: str | None = None  # to the client: ``call``, ``cast`` or ``fanout``


# The message


def inject(context: Mapping[str, Any], *, follows: bool = False, keep_w3c: bool = False) -> dict[str, Any]:
    """A copy of an RPC context dictionary that carries this flow's trace on, if there is one. Never raises.

    *follows*: the sender will not wait for the receiver, as in a cast; the receiver's span then references
    FollowsFrom. *keep_w3c*: another tracer of this process writes W3C's fields itself.
    """
    try:
        return envelope.inject(context, scope.context(), follows=follows, keep_w3c=keep_w3c)
    except Exception as fault:
        guard.swallow("messaging.inject", fault)
        return envelope.without_key(context)


def extract(context: Mapping[str, Any]) -> Incoming | None:
    """The trace that a received RPC context dictionary asks to be continued, or None. Never raises."""
    try:
        return envelope.extract(context) if config.current().enabled else None
    except Exception as fault:
        guard.swallow("messaging.extract", fault)
        return None


def continue_trace(context: Mapping[str, Any]) -> dict[str, Any]:
    """Make the trace that a received RPC context asks for current, unless this flow is in it already.

    Returns a copy of the context without what :func:`inject` wrote.
    """
    incoming = extract(context)
    if incoming is not None:
        origin, here = incoming.origin, current.point.get()
        if here is None or (here.origin.base_id, here.origin.parent_id) != (origin.base_id, origin.parent_id):
            scope.take_up(origin)
    return envelope.strip(context)


def without_trace(context: Mapping[str, Any]) -> Mapping[str, Any]:
    """The context for a notification, which is no part of the request: it must not take the request's key along."""
    return envelope.without_key(context) if envelope.TRACE_INFO in context else context


# The client


def call(here: Point, describe: Callable[[], Call], send: Callable[[], T]) -> T:
    """Send a call by *send*, as a client span under *here* where that is sampled; return what *send* returns."""
    point = None
    if here.origin.flags & SAMPLED:
        try:
            point = _open_client(here, describe())
        except Exception as fault:
            guard.swallow("messaging.client", fault)
    if point is None:
        return send()
    try:
        result = send()
    except BaseException as fault:
        close(point, fault)
        raise
    close(point)
    return result


def _open_client(here: Point, described: Call) -> Point:
    side = ext_tags.SPAN_KIND_RPC_CLIENT if described.kind == "call" else ext_tags.SPAN_KIND_PRODUCER
    return global_tracer.get_tracer().open_point(
        here, POINT, {"rpc": _info(described)}, operation=operation(described.method), tags=_tags(side, described)
    )


# The server


def receive(
    context: Mapping[str, Any], method: Any, *, keep_w3c: bool = False
) -> tuple[Incoming | None, Mapping[str, Any]]:
    """The trace that a message is in, and the context for the service, whose own code need not understand ours."""
    settings = config.fresh()
    incoming = None
    if settings.enabled:
        sample = global_tracer.sample_for(operation(method)) if settings.samples else None
        incoming = envelope.extract(context, sample=sample)
    if (incoming is not None and not incoming.begins) or envelope.is_ours(context):
        # A copy: transports inside one process hand the same dictionary to all receivers.
        context = envelope.strip(context, keep_w3c=keep_w3c)
    return incoming, context


def enter(incoming: Incoming, described: Call) -> Point | None:
    """Make the trace of a message current, and open the server span of its dispatch; None where it is not sampled."""
    root = Point(None, None, incoming.origin)
    current.point.set(root)
    if not incoming.origin.flags & SAMPLED:
        return None
    return global_tracer.get_tracer().open_point(
        root,
        POINT,
        {"rpc": _info(described)},
        operation=operation(described.method),
        tags=_tags(ext_tags.SPAN_KIND_CONSUMER if incoming.follows else ext_tags.SPAN_KIND_RPC_SERVER, described),
        follows=incoming.follows,
    )


# Both


def close(point: Point, fault: BaseException | None = None) -> None:
    """Close the span of either side; *fault* is its error. Never raises."""
    with guard.Harmless("messaging.close"):
        point.end(fault=fault)


def operation(method: Any) -> str:
    """The operation name of a call's spans."""
    return f"rpc {str(method)[:_MAX_NAME_CHARS]}"


def _info(described: Call) -> dict[str, Any]:
    _, *values = described
    return {name: value for name, value in zip(Call._fields[1:], values, strict=True) if value is not None}


def _tags(side: str, described: Call) -> dict[str, Any]:
    topic, server = described.topic, described.server
    return {
        ext_tags.SPAN_KIND: side,
        ext_tags.COMPONENT: described.component,
        ext_tags.MESSAGE_BUS_DESTINATION: f"{topic}.{server}" if server else topic,
    }
