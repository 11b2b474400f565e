# SPDX-License-Identifier: Apache-2.0
"""A remote procedure call: the spans of client and server, the trace context in the message, and what is an error.

This module knows no library. An adapter describes the call (:class:`Call`), runs it, and reports its end. An exception
is an error of the span. For a server span, a failure in the reply is an error too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from opentracing.ext import tags as ext_tags

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler.config import switches
from osprofiler.context import current, scope
from osprofiler.context.identity import Identity
from osprofiler.context.points import Point
from osprofiler.context.trace_context import SAMPLED
from osprofiler.handlers import call as plain_call
from osprofiler.handlers import openstack
from osprofiler.propagation import Incoming, envelope
from osprofiler.tracer import global_tracer

T = TypeVar("T")

#: The name of the trace points of client and server.
POINT = "rpc"

_MAX_NAME_CHARS = 200
_NO_TAGS: Mapping[str, str] = {}


class Call(NamedTuple):
    """One call, as its spans show it. Fields that are None are left out."""

    component: str  # the tag ``component``
    method: Any
    topic: str | None
    server: str | None
    namespace: str | None
    version: str | None
    kind: str | None = None  # ``call``, ``cast`` or ``fanout``; only the client knows it
    action: str | None = None  # what is done, where the method does not tell it


# The message


def inject(context: Mapping[str, Any], *, follows: bool = False, keep_w3c: bool = False) -> dict[str, Any]:
    """Return a copy of an RPC context dictionary with the current trace, if there is one, added. Never raises.

    *follows*: the sender will not wait for the receiver, as in a cast. Then the receiver's span references FollowsFrom.
    *keep_w3c*: another tracer of this process writes W3C's fields.
    """
    try:
        return envelope.inject(context, scope.context(), follows=follows, keep_w3c=keep_w3c)
    except Exception as fault:
        guard.swallow("messaging.inject", fault)
        return envelope.without_key(context)


def extract(context: Mapping[str, Any]) -> Incoming | None:
    """The trace that a received RPC context dictionary asks to continue, or None. Never raises."""
    try:
        return envelope.extract(context, who=_who(context)) if switches.work(config.current()) else None
    except Exception as fault:
        guard.swallow("messaging.extract", fault)
        return None


def continue_trace(context: Mapping[str, Any]) -> dict[str, Any]:
    """Make the trace of a received RPC context the current one, unless it is that already.

    Returns a copy of the context without the fields that :func:`inject` adds.
    """
    incoming = extract(context)
    if incoming is not None:
        origin, here = incoming.origin, current.point.get()
        if here is None or (here.origin.base_id, here.origin.parent_id) != (origin.base_id, origin.parent_id):
            scope.take_up(origin)
    return envelope.strip(context)


def without_trace(context: Mapping[str, Any]) -> Mapping[str, Any]:
    """The context for a notification. A notification is not part of the request, so it must not have the key."""
    return envelope.without_key(context) if envelope.TRACE_INFO in context else context


# The client


def call(here: Point, describe: Callable[[], Call], send: Callable[[], T]) -> T:
    """Call *send*, inside a client span if *here* is sampled and RPC is traced. Returns the result of *send*."""
    point = None
    if here.origin.flags & SAMPLED and config.current().trace_rpc:
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


def _open_client(here: Point, description: Call) -> Point:
    kind = ext_tags.SPAN_KIND_RPC_CLIENT if description.kind == "call" else ext_tags.SPAN_KIND_PRODUCER
    return _open(here, description, kind)


# The server


class _Message:
    """What rules ask about a message: only who has sent it."""

    method = path = peer = None
    fields = _NO_TAGS

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._context = context

    @property
    def identity(self) -> Identity:
        return openstack.identity_of_context(self._context)


def _who(context: Mapping[str, Any]) -> Callable[[], Identity]:
    """Who sends a message: its context says so."""
    return lambda: openstack.identity_of_context(context)


def receive(
    context: Mapping[str, Any], named: Any, *, keep_w3c: bool = False
) -> tuple[Incoming | None, Mapping[str, Any]]:
    """The trace of a received message, or None, and the context dictionary for the service, without our fields.

    *named* is the call's action, or else its method. *keep_w3c*: as in :func:`inject`.
    """
    settings = config.fresh()
    incoming = None
    if switches.work(settings):
        # A trace that begins here begins with the server span.
        sample = sample_asked = None
        if settings.samples and settings.trace_rpc:
            name, message = operation(named), _Message(context)
            sample = global_tracer.sample_for(name, message)
            sample_asked = global_tracer.sample_asked_for(name, message) if settings.rules else None
        incoming = envelope.extract(context, sample=sample, sample_asked=sample_asked, who=_who(context))
    if (incoming is not None and not incoming.begins) or envelope.is_ours(context):
        # A copy: transports inside one process hand the same dictionary to all receivers.
        context = envelope.strip(context, keep_w3c=keep_w3c)
    return incoming, context


def enter(
    incoming: Incoming, description: Call, context: Mapping[str, Any], arguments: Any, *, has_span: bool = False
) -> Point | None:
    """Make the trace of a message current, and open the server span of its dispatch.

    None if the trace is not sampled, RPC is not traced, or *has_span*: another tracer of this process makes the span.
    The service's own trace points are in the trace anyway.

    *context* and *arguments* are those of the message, before the service's serializer reads them.
    """
    root = Point(None, None, incoming.origin)
    current.point.set(root)
    if has_span or not (incoming.origin.flags & SAMPLED and config.current().trace_rpc):
        return None
    kind = ext_tags.SPAN_KIND_CONSUMER if incoming.follows else ext_tags.SPAN_KIND_RPC_SERVER
    tags = {**openstack.of_context(context), **openstack.of_arguments(arguments)}
    return _open(root, description, kind, tags, follows=incoming.follows)


# Client and server


def is_call(point: Point) -> bool:
    """Whether *point* is that of a call or cast."""
    return _kind(point) in (ext_tags.SPAN_KIND_RPC_CLIENT, ext_tags.SPAN_KIND_PRODUCER)


def is_dispatch(point: Point) -> bool:
    """Whether *point* is that of the dispatch of a message."""
    return _kind(point) in (ext_tags.SPAN_KIND_RPC_SERVER, ext_tags.SPAN_KIND_CONSUMER)


def _kind(point: Point) -> Any:
    span = point.span
    return span.own_tags.get(ext_tags.SPAN_KIND) if span is not None and span.name == POINT else None


def close(point: Point, fault: BaseException | None = None) -> None:
    """Close the span of a client or server; *fault* is its error. Never raises."""
    plain_call.close(point, fault, "messaging.close")


def operation(named: Any) -> str:
    """The operation name of the spans of a call, by its action or method."""
    return f"rpc {str(named)[:_MAX_NAME_CHARS]}"


def _open(
    above: Point, description: Call, kind: str, more_tags: Mapping[str, str] = _NO_TAGS, follows: bool = False
) -> Point:
    """Open a point below *above*; *kind* is its tag ``span.kind``."""
    component, *values = description
    topic, server = description.topic, description.server
    info = {name: value for name, value in zip(Call._fields[1:], values, strict=True) if value is not None}
    tags = {
        ext_tags.SPAN_KIND: kind,
        ext_tags.COMPONENT: component,
        ext_tags.MESSAGE_BUS_DESTINATION: f"{topic}.{server}" if server else topic,
        **more_tags,
    }
    name = operation(description.action or description.method)
    return global_tracer.get_tracer().open_point(
        above, POINT, {"rpc": info}, operation=name, tags=tags, follows=follows
    )
