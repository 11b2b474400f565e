# SPDX-License-Identifier: Apache-2.0
"""The adapter of oslo.messaging: it wraps the methods that call, send a message, and dispatch a received message.

Each replacement of a method calls the original once, outside the guarded lines.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from osprofiler._runtime import arguments, guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.concurrency.isolation import isolated
from osprofiler.context import current
from osprofiler.handlers import rpc
from osprofiler.instrumentation import opentelemetry
from osprofiler.instrumentation.versioned_objects import action
from osprofiler.propagation import w3c

_COMPONENT = "oslo.messaging"

# The client


def called(method: Method, kind: str, context: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Replaces ``call`` and ``cast`` of a call context."""
    here = current.point.get()
    if here is None or opentelemetry.leads_messaging(context):
        return method(*args, **kwargs)

    def describe() -> rpc.Call:
        target, rpc_method = context.target, arguments.given(args, kwargs, 1, "method")
        shown_kind = "fanout" if kind == "cast" and target.fanout else kind
        return rpc.Call(
            _COMPONENT,
            rpc_method,
            target.topic,
            target.server,
            target.namespace,
            target.version,
            shown_kind,
            action(kwargs),
        )

    return rpc.call(here, describe, functools.partial(method, *args, **kwargs))


def sent(send: Method, transport: Any, /, target: Any, ctxt: Any, *args: Any, **kwargs: Any) -> Any:
    """Replaces ``_send`` of a transport: adds the trace context to the message.

    It replaces the context that osprofiler 4 in the service may have added.
    """
    if isinstance(ctxt, Mapping):
        waits = arguments.given(args, kwargs, 1, "wait_for_reply")
        # What their tracing has written is theirs.
        keep_w3c = w3c.TRACEPARENT in ctxt and opentelemetry.messaging_is_traced(transport)
        ctxt = rpc.inject(ctxt, follows=not waits, keep_w3c=keep_w3c)
    return send(target, ctxt, *args, **kwargs)


def notified(send: Method, /, target: Any, ctxt: Any, *args: Any, **kwargs: Any) -> Any:
    """Replaces ``_send_notification`` of a transport: a notification is not part of the request."""
    if isinstance(ctxt, Mapping):
        ctxt = rpc.without_trace(ctxt)
    return send(target, ctxt, *args, **kwargs)


# The server


@isolated
def served(process: Method, server: Any, incoming: Any) -> Any:
    """Replaces the dispatch of a server: a unit of work, inside a server span if the message has a trace."""
    dispatch = None
    try:
        dispatch = _Dispatch(server, incoming[0])
    except Exception as fault:
        guard.swallow("messaging.server", fault)
    if dispatch is None:
        return process(incoming)
    try:
        return process(incoming)
    except BaseException as fault:
        dispatch.fault = fault
        raise
    finally:
        dispatch.close()


class _Dispatch:
    """One dispatch: its server span and its error.

    oslo.messaging catches every exception of a service and replies with it, also to a cast. So the error is read from
    the reply.
    """

    def __init__(self, server: Any, message: Any) -> None:
        self.fault: BaseException | None = None
        self._message = message
        self._point = None
        received, method = message.message, message.message.get("method")
        done = action(received.get("args"))
        context = message.ctxt if isinstance(message.ctxt, Mapping) else {}
        keep_w3c = opentelemetry.messaging_is_traced(server)
        incoming, stripped = rpc.receive(context, done or method, keep_w3c=keep_w3c)
        if stripped is not context:
            message.ctxt = stripped
        if incoming is None:
            return
        target = server._target
        description = rpc.Call(
            _COMPONENT,
            method,
            target.topic,
            target.server,
            received.get("namespace"),
            received.get("version"),
            action=done,
        )
        has_span = opentelemetry.leads_messaging(server)
        self._point = rpc.enter(incoming, description, context, received.get("args"), has_span=has_span)
        if self._point is not None:
            message.reply = functools.partial(self._replied, message.reply)

    def _replied(self, reply: Method, /, *args: Any, **kwargs: Any) -> Any:
        failure = arguments.given(args, kwargs, 1, "failure")
        if failure:
            self.fault = failure[1]
        try:
            return reply(*args, **kwargs)
        except Exception as fault:
            self.fault = self.fault or fault
            raise

    def close(self) -> None:
        # Break two cycles: the traceback of the fault refers to this object, and so does the reply of the message.
        fault, self.fault = self.fault, None
        if self._point is not None:
            vars(self._message).pop("reply", None)
            rpc.close(self._point, fault)


# All clients and servers of the process


def instrument() -> None:
    """Trace every RPC client and server of the process, also if oslo.messaging is imported later.

    A second call does nothing.
    """
    _wrapping.install()


def uninstrument() -> None:
    """Undo :func:`instrument`."""
    _wrapping.uninstall()


def _as_method(function: Callable[..., Any], *fixed: Any, own: str = "") -> Callable[[Method], Method]:
    """Make a replacement of a method: it calls *function* with the bound original, *fixed*, and the arguments.

    If the object itself has an attribute *own*, it is instrumented already: then only the original is called.
    """

    def wrap(original: Method) -> Method:
        def method(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            if own and own in vars(self):
                return original(self, *args, **kwargs)
            return function(functools.partial(original, self), *fixed, self, *args, **kwargs)

        return method

    return wrap


def _notify_method(original: Method) -> Method:
    def method(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return notified(functools.partial(original, self), *args, **kwargs)

    return method


_wrapping = Wrapping(
    Target("oslo_messaging.rpc.client", "_BaseCallContext", "call", _as_method(called, "call", own="call")),
    Target("oslo_messaging.rpc.client", "_BaseCallContext", "cast", _as_method(called, "cast", own="cast")),
    Target("oslo_messaging.transport", "Transport", "_send", _as_method(sent)),
    Target("oslo_messaging.transport", "Transport", "_send_notification", _notify_method),
    Target("oslo_messaging.rpc.server", "RPCServer", "_process_incoming", _as_method(served, own="_process_incoming")),
)

# One client or server


def instrument_client(client: Any) -> Any:
    """Trace the calls of *client*, an RPC client or a call context, and of the call contexts that it prepares.

    Returns *client*; a second call does nothing.
    """
    from oslo_messaging.rpc.client import RPCClient

    if "prepare" not in vars(client):
        client.prepare = _prepared(client.prepare)
        if not isinstance(client, RPCClient):  # an RPCClient prepares a call context for each call
            client.call = functools.partial(called, client.call, "call", client)
            client.cast = functools.partial(called, client.cast, "cast", client)
            if not isinstance(client.transport, _Transport):
                client.transport = _Transport(client.transport)
    return client


def instrument_server(server: Any) -> Any:
    """Trace the dispatches of *server*, an RPC server. Returns *server*; a second call does nothing."""
    if "_process_incoming" not in vars(server):
        server._process_incoming = functools.partial(served, server._process_incoming, server)
    return server


def _prepared(prepare: Method) -> Method:
    def run(*args: Any, **kwargs: Any) -> Any:
        return instrument_client(prepare(*args, **kwargs))

    return run


class _Transport:
    """The transport of one traced client. It wraps the real transport, which other clients share."""

    def __init__(self, shared: Any) -> None:
        self._shared = shared

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shared, name)

    def _send(self, /, target: Any, ctxt: Any, *args: Any, **kwargs: Any) -> Any:
        return sent(self._shared._send, self._shared, target, ctxt, *args, **kwargs)
