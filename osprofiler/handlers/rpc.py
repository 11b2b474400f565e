# SPDX-License-Identifier: Apache-2.0
"""The spans of an RPC, and what is done to its message on the way: the client's side, then the server's.

Each function here stands in for a method of oslo.messaging and calls it once, outside of what is guarded.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from opentracing.ext import tags as ext_tags

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method
from osprofiler.concurrency.isolation import isolated
from osprofiler.config import switches
from osprofiler.context import current, scope
from osprofiler.context.points import Point
from osprofiler.context.trace_context import SAMPLED
from osprofiler.propagation import Incoming, envelope
from osprofiler.tracer import global_tracer

#: The name of the trace points of both sides.
POINT = "rpc"

_COMPONENT = "oslo.messaging"
_MAX_NAME_CHARS = 200

# The client's side


def called(method: Method, kind: str, context: Any, /, *args: Any, **kwargs: Any) -> Any:
    """One ``call`` or ``cast`` of a call context, inside a client span where a trace is on."""
    here = current.point.get()
    point = None
    if here is not None and here.origin.flags & SAMPLED:
        try:
            point = _open_client(here, kind, context.target, args[1] if len(args) > 1 else kwargs.get("method"))
        except Exception as fault:
            guard.swallow("messaging.client", fault)
    if point is None:
        return method(*args, **kwargs)
    try:
        result = method(*args, **kwargs)
    except BaseException as fault:
        _close(point, fault)
        raise
    _close(point, None)
    return result


def _open_client(here: Point, kind: str, target: Any, rpc_method: Any) -> Point:
    call = kind == "call"
    info = _info(rpc_method, target)
    info["kind"] = kind if call or not target.fanout else "fanout"
    tags = _tags(ext_tags.SPAN_KIND_RPC_CLIENT if call else ext_tags.SPAN_KIND_PRODUCER, target)
    return global_tracer.get_tracer().open_point(
        here, POINT, {"rpc": info}, operation=_operation(rpc_method), tags=tags
    )


def sent(send: Method, transport: Any, /, target: Any, ctxt: Any, *args: Any, **kwargs: Any) -> Any:
    """Put the trace's context into a message that leaves; what plain code put there is replaced."""
    if isinstance(ctxt, Mapping):
        try:
            waits = args[1] if len(args) > 1 else kwargs.get("wait_for_reply")
            ctxt = envelope.inject(ctxt, scope.context(), follows=not waits, keep_w3c=_traces_itself(transport.conf))
        except Exception as fault:
            guard.swallow("messaging.inject", fault)
            ctxt = envelope.without_key(ctxt)
    return send(target, ctxt, *args, **kwargs)


def notified(send: Method, /, target: Any, ctxt: Any, *args: Any, **kwargs: Any) -> Any:
    """A notification is no part of the request: it must not take the request's key along."""
    if isinstance(ctxt, Mapping) and envelope.TRACE_INFO in ctxt:
        ctxt = envelope.without_key(ctxt)
    return send(target, ctxt, *args, **kwargs)


# The server's side


@isolated
def served(process: Method, server: Any, incoming: Any) -> Any:
    """One dispatch: a unit of work, inside a server span where the message asks to be traced."""
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
    """What is known of one dispatch: its server span, and what went wrong in it.

    oslo.messaging ends every failure itself and replies with it, unwrapped, to casts too: so the reply tells.
    """

    def __init__(self, server: Any, message: Any) -> None:
        self.fault: BaseException | None = None
        self._message = message
        self._point: Point | None = None
        method, target = message.message.get("method"), server._target
        incoming = _incoming(message, _operation(method), _traces_itself(server.conf))
        if incoming is None:
            return
        root = Point(None, None, incoming.origin)
        current.point.set(root)
        if incoming.origin.flags & SAMPLED:
            message.reply = functools.partial(self._replied, message.reply)
            kind = ext_tags.SPAN_KIND_CONSUMER if incoming.follows else ext_tags.SPAN_KIND_RPC_SERVER
            self._point = global_tracer.get_tracer().open_point(
                root,
                POINT,
                {"rpc": _info(method, target, message.message)},
                operation=_operation(method),
                tags=_tags(kind, target),
                follows=incoming.follows,
            )

    def _replied(self, reply: Method, /, *args: Any, **kwargs: Any) -> Any:
        failure = kwargs.get("failure") or (args[1] if len(args) > 1 else None)
        if failure:
            self.fault = failure[1]
        try:
            return reply(*args, **kwargs)
        except Exception as fault:
            self.fault = self.fault or fault
            raise

    def close(self) -> None:
        # A fault's traceback leads back to frames that hold this object, and the reply to the message that holds it.
        fault, self.fault = self.fault, None
        if self._point is not None:
            vars(self._message).pop("reply", None)
            _close(self._point, fault)


def _incoming(message: Any, operation: str, keep_w3c: bool) -> Incoming | None:
    """The trace that a message is in. What asked for it is taken out: the service's own code need not understand it."""
    settings = config.fresh()
    context = message.ctxt if isinstance(message.ctxt, Mapping) else {}
    incoming = None
    if switches.work(settings):
        sample = global_tracer.sample_for(operation) if settings.samples else None
        incoming = envelope.extract(context, sample=sample)
    if (incoming is not None and not incoming.begins) or envelope.is_ours(context):
        # A copy: transports inside one process hand the same dictionary to all receivers.
        message.ctxt = envelope.strip(context, keep_w3c=keep_w3c)
    return incoming


# Both


def _close(point: Point, fault: BaseException | None) -> None:
    with guard.Harmless("messaging.close"):
        point.end(fault=fault)


def _operation(method: Any) -> str:
    return f"rpc {str(method)[:_MAX_NAME_CHARS]}"


def _info(method: Any, target: Any, message: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The start info of either side; what is not set is left out."""
    said = message if message is not None else {"namespace": target.namespace, "version": target.version}
    info = {
        "method": method,
        "topic": target.topic,
        "server": target.server,
        "namespace": said.get("namespace"),
        "version": said.get("version"),
    }
    return {name: value for name, value in info.items() if value is not None}


def _tags(kind: str, target: Any) -> dict[str, Any]:
    destination = f"{target.topic}.{target.server}" if target.server else target.topic
    return {
        ext_tags.SPAN_KIND: kind,
        ext_tags.COMPONENT: _COMPONENT,
        ext_tags.MESSAGE_BUS_DESTINATION: destination,
    }


def _traces_itself(conf: Any) -> bool:
    """Whether oslo.messaging's own OpenTelemetry tracing is on: then ``traceparent`` is its business."""
    try:
        return bool(conf.oslo_messaging_tracing.tracing_enabled)
    except Exception:  # releases without it, and private ConfigOpts objects, do not have the option
        return False
