# SPDX-License-Identifier: Apache-2.0
"""RPC over oslo.messaging: the trace's context in the envelope, a span at the client, a span around the dispatch.

Three ways in: :class:`TracingSerializer` around a service's own serializer carries the context;
:func:`instrument_client` and :func:`instrument_server` trace one object; :func:`instrument` traces every client and
server of the process, those that exist already too. They may be combined: a message gets one client span and one
server span.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from osprofiler import config
from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.config import switches
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.handlers import rpc
from osprofiler.propagation import Incoming, envelope

__all__ = [
    "TracingSerializer",
    "extract",
    "inject",
    "instrument",
    "instrument_client",
    "instrument_server",
    "uninstrument",
]


def inject(context: Mapping[str, Any], *, follows: bool = False) -> dict[str, Any]:
    """A copy of an RPC context dictionary that carries this flow's trace on, if there is one.

    *follows*: the sender will not wait for the receiver, as in a cast; the receiver's span then references
    FollowsFrom.
    """
    try:
        return envelope.inject(context, scope.context(), follows=follows)
    except Exception as fault:
        guard.swallow("messaging.inject", fault)
        return envelope.without_key(context)


def extract(context: Mapping[str, Any]) -> Incoming | None:
    """The trace that a received RPC context dictionary asks to be continued, or None. Never raises."""
    try:
        return envelope.extract(context) if switches.work(config.current()) else None
    except Exception as fault:
        guard.swallow("messaging.extract", fault)
        return None


class TracingSerializer:
    """A serializer around another (or None: around one that changes nothing) that carries the trace's context.

    On the server it makes the received trace the current one for the rest of the dispatch; a server span, where
    there is one, has done so already.
    """

    def __init__(self, base: Any = None) -> None:
        self._base = base

    def serialize_entity(self, ctxt: Any, entity: Any) -> Any:
        return entity if self._base is None else self._base.serialize_entity(ctxt, entity)

    def deserialize_entity(self, ctxt: Any, entity: Any) -> Any:
        return entity if self._base is None else self._base.deserialize_entity(ctxt, entity)

    def serialize_context(self, ctxt: Any) -> Any:
        context = ctxt if self._base is None else self._base.serialize_context(ctxt)
        return inject(context) if isinstance(context, Mapping) else context

    def deserialize_context(self, ctxt: Any) -> Any:
        if isinstance(ctxt, Mapping):
            incoming = extract(ctxt)
            if incoming is not None:
                _continue(incoming.origin)
            ctxt = envelope.strip(ctxt)
        return ctxt if self._base is None else self._base.deserialize_context(ctxt)


def instrument() -> None:
    """Trace every RPC client and server of the process, also if oslo.messaging is imported later.

    A second call does nothing.
    """
    _wrapping.install()


def uninstrument() -> None:
    """Undo :func:`instrument`."""
    _wrapping.uninstall()


def instrument_client(client: Any) -> Any:
    """Trace what is called through *client*, an RPC client or a call context, and through all that it prepares.

    Returns *client*; a second call does nothing.
    """
    from oslo_messaging.rpc.client import RPCClient

    if "prepare" not in vars(client):
        client.prepare = _prepared(client.prepare)
        if not isinstance(client, RPCClient):  # that one calls through a context that it prepares
            client.call = functools.partial(rpc.called, client.call, "call", client)
            client.cast = functools.partial(rpc.called, client.cast, "cast", client)
            if not isinstance(client.transport, _Transport):
                client.transport = _Transport(client.transport)
    return client


def instrument_server(server: Any) -> Any:
    """Trace the dispatches of *server*, an RPC server. Returns it; a second call does nothing."""
    if "_process_incoming" not in vars(server):
        server._process_incoming = functools.partial(rpc.served, server._process_incoming, server)
    return server


def _prepared(prepare: Method) -> Method:
    def run(*args: Any, **kwargs: Any) -> Any:
        return instrument_client(prepare(*args, **kwargs))

    return run


class _Transport:
    """A transport as one traced client sees it; the real one is shared."""

    def __init__(self, shared: Any) -> None:
        self._shared = shared

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shared, name)

    def _send(self, /, target: Any, ctxt: Any, *args: Any, **kwargs: Any) -> Any:
        return rpc.sent(self._shared._send, self._shared, target, ctxt, *args, **kwargs)


def _continue(origin: Origin) -> None:
    """Make *origin* current unless this flow is in its trace under the same parent already."""
    here = current.point.get()
    if here is not None and (here.origin.base_id, here.origin.parent_id) == (origin.base_id, origin.parent_id):
        return
    scope.take_up(origin)


def _as_method(function: Callable[..., Any], *fixed: Any, own: str = "") -> Callable[[Method], Method]:
    """What makes a method's replacement: *function* with the bound original and what is *fixed*.

    An object with an attribute *own* of its own is traced by itself already.
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
        return rpc.notified(functools.partial(original, self), *args, **kwargs)

    return method


_wrapping = Wrapping(
    Target("oslo_messaging.rpc.client", "_BaseCallContext", "call", _as_method(rpc.called, "call", own="call")),
    Target("oslo_messaging.rpc.client", "_BaseCallContext", "cast", _as_method(rpc.called, "cast", own="cast")),
    Target("oslo_messaging.transport", "Transport", "_send", _as_method(rpc.sent)),
    Target("oslo_messaging.transport", "Transport", "_send_notification", _notify_method),
    Target(
        "oslo_messaging.rpc.server",
        "RPCServer",
        "_process_incoming",
        _as_method(rpc.served, own="_process_incoming"),
    ),
)
