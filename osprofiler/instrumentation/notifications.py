# SPDX-License-Identifier: Apache-2.0
"""Tracing of oslo.messaging's notifications: a span where one is sent to a topic, and one where a listener handles it.

A listener of batches handles notifications of many traces at once, and is in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.concurrency.isolation import isolated
from osprofiler.context import current
from osprofiler.handlers import notification
from osprofiler.handlers.call import close

_COMPONENT = "oslo.messaging"


def _send(original: Method) -> Method:
    def send_notification(self: Any, /, target: Any, ctxt: Any, message: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(ctxt, Mapping):
            return original(self, target, ctxt, message, *args, **kwargs)
        here = current.point.get()
        if here is None:
            return original(self, target, notification.without_key(ctxt), message, *args, **kwargs)
        sending, ctxt = notification.send(here, _described(target.topic, message), ctxt)
        with sending:
            return original(self, target, ctxt, message, *args, **kwargs)

    return send_notification


def _dispatch(original: Method) -> Method:
    @isolated
    def dispatch(self: Any, /, incoming: Any) -> Any:
        point = None
        with guard.Harmless("notification.server"):
            if isinstance(incoming.ctxt, Mapping):
                point, incoming.ctxt = notification.receive(_described(None, incoming.message), incoming.ctxt)
        try:
            result = original(self, incoming)
        except BaseException as fault:
            if point is not None:
                close(point, fault)
            raise
        if point is not None:
            close(point, getattr(point, "fault", None))
        return result

    return dispatch


def _exec_callback(original: Method) -> Method:
    """Keep the error of an endpoint: the library only logs it."""

    def exec_callback(self: Any, /, callback: Any, message: Any) -> Any:
        point = current.point.get()
        if not isinstance(point, notification.ListenerPoint):
            return original(self, callback, message)

        def noting(*args: Any) -> Any:
            try:
                return callback(*args)
            except BaseException as fault:
                point.fault = fault
                raise

        return original(self, noting, message)

    return exec_callback


def _described(topic: str | None, message: Mapping[str, Any]) -> notification.Notification:
    return notification.Notification(
        _COMPONENT,
        topic,
        message.get("event_type"),
        message.get("priority"),
        message.get("publisher_id"),
        message.get("payload"),
    )


_DISPATCHER = "oslo_messaging.notify.dispatcher", "NotificationDispatcher"
_wrapping = Wrapping(
    Target("oslo_messaging.transport", "Transport", "_send_notification", _send),
    Target(*_DISPATCHER, "dispatch", _dispatch),
    Target(*_DISPATCHER, "_exec_callback", _exec_callback),
)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
