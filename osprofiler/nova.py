# SPDX-License-Identifier: Apache-2.0
"""The functions that the patches of nova call: for RPC, work of executors, cells, builds and the virt driver.

The patched lines of nova read :data:`on` first, which costs no call. So with ``[profiler] enabled = false`` a service
runs no code of osprofiler.
"""

from __future__ import annotations

from typing import Any

from osprofiler import initializer, messaging, profiler
from osprofiler._runtime import guard
from osprofiler.config import point_spec, switches
from osprofiler.instrumentation import nova_work, registry
from osprofiler.instrumentation.nova_work import Cells, handed_over

__all__ = ["Cells", "get", "handed_over", "init_from_conf", "inject", "instrument", "on", "receive"]

#: Whether this process may be traced: the value of ``[profiler] enabled`` when nova made its RPC clients and servers.
on = True

get = profiler.get

_serializer = messaging.TracingSerializer()


def instrument(conf: Any) -> None:
    """Trace the process's RPC clients and servers, if *conf* lets this service be traced. Sets :data:`on`."""
    global on
    with guard.Harmless("nova.instrument"):
        on = "profiler" in conf and switches.service(conf)
        if on:
            messaging.instrument()


def init_from_conf(conf: Any, **kwargs: Any) -> None:
    """Turn tracing on for a nova service, as ``initializer.init_from_conf`` does. Call it only if profiling is enabled.

    Unless the configuration says otherwise, outgoing REST requests are trace points, and so is what nova's profile
    names: the steps of a build, the virt driver. Looping calls, in which nova retries and polls, stay in the request
    that starts them.
    """
    with guard.Harmless("nova.init_from_conf"):
        conf.set_default("trace_requests", True, group="profiler")
        conf.set_default("points", [point_spec.AUTO], group="profiler")
    initializer.init_from_conf(conf=conf, **kwargs)
    instrument(conf)
    with guard.Harmless("nova.looping_calls"):
        registry.instrument("oslo_service")
    with guard.Harmless("nova.networks"):
        nova_work.networks.install()


def inject(context: Any) -> Any:
    """Return a copy of an RPC context with the current trace added."""
    return _serializer.serialize_context(context)


def receive(context: Any) -> Any:
    """Make the trace of a received RPC context the current one. Returns the context without the trace.

    If the server is traced, it has done both already.
    """
    with guard.Harmless("nova.receive"):
        return _serializer.deserialize_context(context)
    return context
