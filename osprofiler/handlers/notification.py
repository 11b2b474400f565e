# SPDX-License-Identifier: Apache-2.0
"""A notification: the spans of the service that sends it and of a listener, and the trace context in the message.

The sender does not wait, and does not know who listens. So the listener's span follows from the sender's. The HMAC key
never travels, also where ``[profiler] rpc_plain_peers`` puts it into RPC messages: anybody may listen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler.config import switches
from osprofiler.context import current, scope
from osprofiler.context.points import Point
from osprofiler.context.trace_context import SAMPLED
from osprofiler.handlers import openstack
from osprofiler.handlers.call import Closing
from osprofiler.propagation import envelope
from osprofiler.tracer import global_tracer

#: The name of the trace points of sender and listener.
POINT = "notification"

_MAX_NAME_CHARS = 200


class Notification(NamedTuple):
    """One notification, as its spans show it. The payload itself is not shown."""

    component: str  # the tag ``component``
    topic: str | None
    event_type: str | None  # ``compute.instance.create.end``
    priority: str | None
    publisher: str | None
    payload: Any


class ListenerPoint(Point):
    """The point of a listener. It keeps the error of an endpoint, which the library does not let through."""

    __slots__ = ("fault",)

    fault: BaseException | None


def send(here: Point, notification: Notification, context: Mapping[str, Any]) -> tuple[Closing, Mapping[str, Any]]:
    """The block that sends a notification, with its span if *here* is sampled, and the context to send. Never raises.

    *context*: the context dictionary of the message.
    """
    point = None
    with guard.Harmless("notification.start"):
        if here.origin.flags & SAMPLED:
            point = _open(here, notification, "producer", {}, Point)
        context = without_key(envelope.inject(context, scope.context(), follows=True))
    return Closing(point), context


def without_key(context: Mapping[str, Any]) -> Mapping[str, Any]:
    """The context dictionary of a message without what osprofiler 4 in the service may have added: the key."""
    return {name: value for name, value in context.items() if name != envelope.TRACE_INFO}


def receive(notification: Notification, context: Mapping[str, Any]) -> tuple[Point | None, Mapping[str, Any]]:
    """Make the trace of a received notification current, and open its span. Never raises.

    Returns the point, None if nothing is recorded, and the context dictionary for the service, without our fields.
    """
    point = None
    with guard.Harmless("notification.server"):
        received = context
        incoming = None
        if switches.work(config.fresh()):
            incoming = envelope.extract(received, who=lambda: openstack.identity_of_context(received))
        if incoming is not None or envelope.is_ours(received):
            context = envelope.strip(received)
        if incoming is not None:
            root = Point(None, None, incoming.origin)
            current.point.set(root)
            if incoming.origin.flags & SAMPLED:
                tags = {**openstack.of_context(received), **openstack.of_arguments(notification.payload)}
                point = _open(root, notification, "consumer", tags, ListenerPoint, follows=True)
    return point, context


def _open(
    above: Point,
    notification: Notification,
    kind: str,
    more_tags: Mapping[str, str],
    point_class: type[Point],
    follows: bool | None = None,
) -> Point:
    shown = {
        "event_type": notification.event_type,
        "priority": notification.priority,
        "publisher_id": notification.publisher,
        "topic": notification.topic,
    }
    tags = {
        "span.kind": kind,
        "component": notification.component,
        **({"message_bus.destination": notification.topic} if notification.topic else {}),
        **more_tags,
    }
    return global_tracer.get_tracer().open_point(
        above,
        POINT,
        {POINT: {name: value for name, value in shown.items() if value is not None}},
        point_class,
        operation=f"{POINT} {str(notification.event_type)[:_MAX_NAME_CHARS]}",
        tags=tags,
        follows=follows,
    )
