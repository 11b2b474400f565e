# SPDX-License-Identifier: Apache-2.0
"""What the patches of nova call: its RPC, its hand-over of work to executors, its cells, its builds and virt driver.

The patched lines of nova ask :data:`on` first, which costs no call; so with ``[profiler] enabled = false`` none of
ours runs in a service.
"""

from __future__ import annotations

from typing import Any

from osprofiler import initializer, messaging, profiler
from osprofiler._runtime import guard
from osprofiler.instrumentation import nova_manager, nova_work, registry
from osprofiler.instrumentation.nova_work import Cells, handed_over

__all__ = ["Cells", "get", "handed_over", "init_from_conf", "inject", "instrument", "on", "receive"]

#: Whether this process may be traced: what ``[profiler] enabled`` was when nova made its RPC clients and servers.
on = True

get = profiler.get

_serializer = messaging.TracingSerializer()


def instrument(conf: Any) -> None:
    """Trace the process's RPC clients and servers, if *conf* lets this service be traced. Sets :data:`on`."""
    global on
    with guard.Harmless("nova.instrument"):
        on = "profiler" in conf and bool(conf.profiler.enabled)
        if on:
            messaging.instrument()


def init_from_conf(conf: Any, manager: Any = None, **kwargs: Any) -> None:
    """Turn tracing on for a nova service, as ``initializer.init_from_conf`` does; only with profiling enabled.

    Outgoing REST requests are trace points unless the configuration says otherwise. Looping calls, in which nova
    retries and polls, stay in the request that starts them. Of a compute *manager* the steps of its work and its
    driver's calls become trace points.
    """
    with guard.Harmless("nova.init_from_conf"):
        conf.set_default("trace_requests", True, group="profiler")
    initializer.init_from_conf(conf=conf, **kwargs)
    instrument(conf)
    with guard.Harmless("nova.looping_calls"):
        registry.instrument("oslo_service")
    with guard.Harmless("nova.networks"):
        nova_work.networks.install()
    with guard.Harmless("nova.trace_manager"):
        nova_manager.trace_manager(manager)


def inject(context: Any) -> Any:
    """A copy of an RPC context that carries the current trace on."""
    return _serializer.serialize_context(context)


def receive(context: Any) -> Any:
    """A received RPC context without what :func:`inject` added, whose trace is now current, if there was one.

    Where the server is traced, it has seen to both before.
    """
    with guard.Harmless("nova.receive"):
        return _serializer.deserialize_context(context)
    return context
