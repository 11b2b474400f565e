# SPDX-License-Identifier: Apache-2.0
"""Every private name of another library that we rely on: which versions were tried, and what happens without it.

``tests/unit/test_ledger.py`` looks each of them up in the libraries that are installed, the newest and the oldest that
are supported, and finds no private name in our code that is not here.
"""

from __future__ import annotations

from typing import NamedTuple


class Private(NamedTuple):
    """One private name, or one in a private module."""

    name: str  # ``module:attribute``, or ``module:Class.attribute``; an attribute may be one that ``__init__`` sets
    library: str  # its distribution; ``Python`` for the standard library
    tried: str  # the oldest version that was tried, and the newest
    without: str
    since: str = ""  # where the oldest version has not got it: the oldest one that was seen to have it


_PYTHON = "3.10 - 3.13"
_LOST = "the work is in no trace"
_LEAKS = "a worker's next work item may be in the trace of the one before"

LEDGER = (
    # Python
    Private("asyncio:_get_running_loop", "Python", _PYTHON, "start and stop do nothing where asyncio is loaded"),
    Private("asyncio:Future._exception", "Python", _PYTHON, "the point of a function that returned it shows no error"),
    Private("threading:Thread._target", "Python", _PYTHON, "a branch is named by Thread.run, not by the work"),
    Private("multiprocessing.process:BaseProcess._target", "Python", _PYTHON, "a branch is named by run, not the work"),
    Private("multiprocessing.pool:Pool._map_async", "Python", _PYTHON, _LOST),
    Private("concurrent.futures._base:Future.add_done_callback", "Python", _PYTHON, "callbacks are in no trace"),
    Private("concurrent.futures._base:Future._invoke_callbacks", "Python", _PYTHON, _LEAKS),
    Private("concurrent.futures.thread:_WorkItem.run", "Python", _PYTHON, _LEAKS),
    Private("concurrent.futures.process:_ExecutorManagerThread.run", "Python", _PYTHON, _LEAKS),
    Private("concurrent.futures.process:_process_worker", "Python", _PYTHON, _LEAKS),
    Private("concurrent.futures.process:_sendback_result", "Python", _PYTHON, _LEAKS),
    # Libraries of ours
    Private("jaeger_client.constants:_max_trace_id_bits", "jaeger-client", "4.8", "no tracer can be made"),
    Private(
        "jaeger_client:Tracer._emit_span_metrics", "jaeger-client", "4.8", "no metrics of spans by OpenTracing's API"
    ),
    Private("wrapt:FunctionWrapper._self_wrapper", "wrapt", "1.14 - 2.5", "a looping call is wrapped twice"),
    Private("requests:Response._content", "requests", "2.25 - 2.34", "stores that speak HTTP cannot be read"),
    Private("urllib3.connection:HTTPConnection._new_conn", "urllib3", "1.26 - 2.8", "connecting has no deadline"),
    Private("urllib3.connection:HTTPConnection._dns_host", "urllib3", "1.26 - 2.8", "connecting has no deadline"),
    # Databases
    Private(
        "sqlalchemy.engine.base:Connection._handle_dbapi_exception",
        "SQLAlchemy",
        "2.0 - 2.1",
        "a failed statement of which no listener is told stays open until the next one",
    ),
    Private("sqlalchemy.engine.cursor:_DEFAULT_FETCH", "SQLAlchemy", "2.0 - 2.1", "no results are shown"),
    Private(
        "sqlalchemy.engine.default:DefaultExecutionContext._is_server_side",
        "SQLAlchemy",
        "2.0 - 2.1",
        "no results are shown",
    ),
    # oslo
    Private("oslo_messaging.rpc.client:_BaseCallContext.call", "oslo.messaging", "14.1 - 18.3", "calls have no span"),
    Private("oslo_messaging.rpc.client:_BaseCallContext.cast", "oslo.messaging", "14.1 - 18.3", "casts have no span"),
    Private("oslo_messaging.transport:Transport._send", "oslo.messaging", "14.1 - 18.3", "messages carry no trace"),
    Private(
        "oslo_messaging.transport:Transport._send_notification",
        "oslo.messaging",
        "14.1 - 18.3",
        "a plain service's notifications hold the key; the store messaging:// cannot be written",
    ),
    Private(
        "oslo_messaging.rpc.server:RPCServer._process_incoming", "oslo.messaging", "14.1 - 18.3", "no server spans"
    ),
    Private("oslo_messaging.rpc.server:RPCServer._target", "oslo.messaging", "14.1 - 18.3", "no server spans"),
    Private("oslo_messaging.transport:Transport._driver", "oslo.messaging", "14.1 - 18.3", "messaging:// is not read"),
    Private(
        "oslo_messaging._drivers.amqpdriver:AMQPDriverBase._connection_pool",
        "oslo.messaging",
        "14.1 - 18.3",
        "messaging:// is not read",
    ),
    Private(
        "oslo_messaging._drivers.impl_rabbit:RabbitDriver", "oslo.messaging", "14.1 - 18.3", "messaging:// is not read"
    ),
    Private(
        "oslo_messaging._drivers.common:deserialize_msg", "oslo.messaging", "14.1 - 18.3", "messaging:// is not read"
    ),
    Private(
        "oslo_messaging._drivers.common:PURPOSE_LISTEN", "oslo.messaging", "14.1 - 18.3", "messaging:// is not read"
    ),
    Private(
        "oslo_service.backend._eventlet.service:Launcher.wait",
        "oslo.service",
        "4.4 - 4.8",
        "a green worker's last spans are lost",
    ),
    Private(
        "oslo_service.backend._threading.service:ProcessLauncher._graceful_shutdown",
        "oslo.service",
        "4.8",
        "the last spans of a service that is not forked are lost",
        since="4.8",
    ),
    Private("oslo_service.backend._common.loopingcall:LoopingCallBase._start", "oslo.service", "4.4 - 4.8", _LOST),
    Private("oslo_service.backend._common.loopingcall:LoopingCallBase._run_loop", "oslo.service", "4.4 - 4.8", _LOST),
    Private("oslo_service.backend._common.loopingcall:LoopingCallBase.__init__", "oslo.service", "4.4 - 4.8", _LEAKS),
    Private(
        "oslo_service.backend._threading.loopingcall:LoopingCallBase._run_loop", "oslo.service", "4.4 - 4.8", _LOST
    ),
    Private(
        "oslo_service.backend._threading.loopingcall:LoopingCallBase.__init__", "oslo.service", "4.4 - 4.8", _LEAKS
    ),
    Private("oslo_service.backend._eventlet.loopingcall:LoopingCallBase.__init__", "oslo.service", "4.4 - 4.8", _LEAKS),
    Private("oslo_service.backend._eventlet.threadgroup:ThreadGroup.add_thread", "oslo.service", "4.4 - 4.8", _LOST),
    Private("oslo_service.backend._threading.threadgroup:ThreadGroup.add_thread", "oslo.service", "4.4 - 4.8", _LOST),
    Private("oslo_service.loopingcall:LoopingCallBase._start", "oslo.service", "4.4 - 4.8", _LOST),
    Private("oslo_service.loopingcall:LoopingCallBase._run_loop", "oslo.service", "4.4 - 4.8", _LOST),
    Private("cotyledon._utils:exit_on_exception", "cotyledon", "2.2", "a native worker's last spans are lost"),
    Private("futurist._utils:WorkItem.run", "futurist", "3.1.1 - 3.5", _LEAKS),
    Private("futurist._futures:SynchronousExecutor.submit", "futurist", "3.1.1 - 3.5", "its work is in no trace"),
    Private("futurist._futures:_Gatherer.submit", "futurist", "3.1.1 - 3.5", _LOST),
    Private("futurist._futures:DelayedExecutorMixinBase.submit_after", "futurist", "3.5", _LOST, since="3.5"),
    # Greenthreads
    Private("eventlet.hubs:_threadlocal", "eventlet", "0.36 - 0.41", "the reporter cannot tell a greenthread"),
    Private("eventlet.greenthread:_spawn_n", "eventlet", "0.36 - 0.41", _LOST),
    Private("gevent._hub_local:get_hub_if_exists", "gevent", "24.10 - 26.9", "the reporter cannot tell a greenlet"),
    Private("gevent:Greenlet._run", "gevent", "24.10 - 26.9", _LOST),
    Private("gevent.socket:socket._read_event", "gevent", "24.10 - 26.9", "a forked child's loop may spin"),
    Private("gevent.socket:socket._write_event", "gevent", "24.10 - 26.9", "a forked child's loop may spin"),
    Private("gevent.pool:Group._apply_async_cb_spawn", "gevent", "24.10 - 26.9", "callbacks are in no trace"),
    Private("gevent.threadpool:_FutureProxy.add_done_callback", "gevent", "24.10 - 26.9", _LEAKS),
    Private("gevent.threadpool:_WorkerGreenlet._after_run_task", "gevent", "24.10 - 26.9", _LEAKS),
    # Servers
    Private("grpc._channel:_run_channel_spin_thread", "grpcio", "1.76", _LEAKS),
)

#: Names that begin with an underscore and are public: their libraries document them.
DOCUMENTED = {
    "_asdict": "a named tuple's",
    "_exit": "os",
    "_fields": "a named tuple's",
    "_getframe": "sys",
    "_mapping": "a row of SQLAlchemy's",
    "_replace": "a named tuple's",
    "_thread": "Python's module of native threads",
}
