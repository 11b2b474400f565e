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


# A library, and the versions of it that were tried.
_PYTHON = ("Python", "3.10 - 3.13")
_JAEGER_CLIENT = ("jaeger-client", "4.8")
_URLLIB3 = ("urllib3", "1.26 - 2.8")
_AIOHTTP = ("aiohttp", "3.8 - 3.14")
_FALCON = ("falcon", "3.0 - 4.4")
_SQLALCHEMY = ("SQLAlchemy", "2.0 - 2.1")
_PYMONGO = ("pymongo", "4.0 - 4.20")
_GRPC = ("grpcio", "1.49 - 1.85")
_OSLO_MESSAGING = ("oslo.messaging", "14.1 - 18.3")
_OSLO_PRIVSEP = ("oslo.privsep", "3.0 - 3.12")
_OSLO_SERVICE = ("oslo.service", "4.4 - 4.8")
_FUTURIST = ("futurist", "3.1.1 - 3.5")
_EVENTLET = ("eventlet", "0.36 - 0.41")
_GEVENT = ("gevent", "24.10 - 26.9")

_LOST = "the work is in no trace"
_UNTRACED = "commands have no span"
_UNCALLED = "calls of gRPC have no span"
_LEAKS = "a worker's next work item may be in the trace of the one before"

LEDGER = (
    # Python
    Private("asyncio:_get_running_loop", *_PYTHON, "start and stop do nothing where asyncio is loaded"),
    Private("asyncio:Future._exception", *_PYTHON, "the point of a function that returned it shows no error"),
    Private("threading:Thread._target", *_PYTHON, "a branch is named by Thread.run, not by the work"),
    Private("multiprocessing.process:BaseProcess._target", *_PYTHON, "a branch is named by run, not the work"),
    Private("multiprocessing.pool:Pool._map_async", *_PYTHON, _LOST),
    Private("concurrent.futures._base:Future.add_done_callback", *_PYTHON, "callbacks are in no trace"),
    Private("concurrent.futures._base:Future._invoke_callbacks", *_PYTHON, _LEAKS),
    Private("concurrent.futures.thread:_WorkItem.run", *_PYTHON, _LEAKS),
    Private("concurrent.futures.process:_ExecutorManagerThread.run", *_PYTHON, _LEAKS),
    Private("concurrent.futures.process:_process_worker", *_PYTHON, _LEAKS),
    Private("concurrent.futures.process:_sendback_result", *_PYTHON, _LEAKS),
    # Libraries of ours
    Private("jaeger_client.constants:_max_trace_id_bits", *_JAEGER_CLIENT, "no tracer can be made"),
    Private("jaeger_client:Tracer._emit_span_metrics", *_JAEGER_CLIENT, "no metrics of spans by OpenTracing's API"),
    Private("wrapt:FunctionWrapper._self_wrapper", "wrapt", "1.14 - 2.5", "a looping call is wrapped twice"),
    Private("requests:Response._content", "requests", "2.25 - 2.34", "stores that speak HTTP cannot be read"),
    Private("urllib3.connection:HTTPConnection._new_conn", *_URLLIB3, "connecting has no deadline"),
    Private("urllib3.connection:HTTPConnection._dns_host", *_URLLIB3, "connecting has no deadline"),
    Private("urllib3.connectionpool:HTTPConnectionPool._make_request", *_URLLIB3, "urllib3's requests are no spans"),
    Private(
        "keystoneauth1.session:Session._send_request", "keystoneauth1", "5.0 - 5.18", "resent requests are not counted"
    ),
    # gRPC
    *(
        Private(f"grpc._channel:{name}", *_GRPC, _UNCALLED)
        for name in (
            "_UnaryUnaryMultiCallable.__call__",
            "_UnaryUnaryMultiCallable.with_call",
            "_UnaryUnaryMultiCallable.future",
            "_StreamUnaryMultiCallable.__call__",
            "_StreamUnaryMultiCallable.with_call",
            "_StreamUnaryMultiCallable.future",
            "_UnaryStreamMultiCallable.__call__",
            "_SingleThreadedUnaryStreamMultiCallable.__call__",
            "_StreamStreamMultiCallable.__call__",
        )
    ),
    *(
        Private(f"grpc.aio._channel:{requests}{responses}MultiCallable.__call__", *_GRPC, _UNCALLED)
        for requests in ("Unary", "Stream")
        for responses in ("Unary", "Stream")
    ),
    Private("grpc._channel:_UnaryUnaryMultiCallable._method", *_GRPC, _UNCALLED),
    Private("grpc._channel:_UnaryUnaryMultiCallable._channel", *_GRPC, "spans of calls have no tag peer.address"),
    Private("grpc._channel:_Rendezvous._state", *_GRPC, "streams and futures end as UNKNOWN"),
    Private(
        "grpc.aio._call:Call._cython_call",
        *_GRPC,
        "calls of asyncio end by a callback that refers to them",
    ),
    Private("grpc._utilities:DictionaryGenericHandler.service", *_GRPC, "received calls have no span"),
    Private(
        "grpc._server:_RegisteredMethod.handler",
        *_GRPC,
        "received calls of methods that are registered by name have no span",
        since="1.65",
    ),
    # Web frameworks
    Private("aiohttp.web_protocol:RequestHandler._handle_request", *_AIOHTTP, "aiohttp's server is not traced"),
    Private("falcon.app:App._get_responder", *_FALCON, "requests of Falcon have no tag http.route"),
    Private("aiohttp.client:ClientSession._request", *_AIOHTTP, "requests of aiohttp's client are no spans"),
    Private(
        "aiohttp.client:ClientSession._middlewares",
        *_AIOHTTP,
        "requests of aiohttp's client are no spans",
        since="3.12",
    ),
    # Databases
    Private(
        "sqlalchemy.engine.base:Connection._handle_dbapi_exception",
        *_SQLALCHEMY,
        "a failed statement of which no listener is told stays open until the next one",
    ),
    Private("sqlalchemy.engine.cursor:_DEFAULT_FETCH", *_SQLALCHEMY, "no results are shown"),
    Private(
        "sqlalchemy.engine.default:DefaultExecutionContext._is_server_side",
        *_SQLALCHEMY,
        "no results are shown",
    ),
    Private("sqlalchemy.engine.base:Connection._commit_impl", *_SQLALCHEMY, "commits have no span"),
    Private("sqlalchemy.engine.base:Connection._rollback_impl", *_SQLALCHEMY, "rollbacks have no span"),
    Private(
        "sqlalchemy.engine.base:Connection._is_autocommit_isolation",
        *_SQLALCHEMY,
        "commits and rollbacks have no span",
    ),
    Private(
        "sqlalchemy.pool.base:_ConnectionRecord._ConnectionRecord__connect",
        *_SQLALCHEMY,
        "new connections have no span",
    ),
    Private("sqlalchemy.pool.impl:QueuePool._max_overflow", *_SQLALCHEMY, "waits for a connection have no span"),
    Private("pymongo.monitoring:_EventListeners.enabled_for_commands", *_PYMONGO, _UNTRACED),
    Private("pymongo.monitoring:_EventListeners.publish_command_start", *_PYMONGO, _UNTRACED),
    Private("pymongo.monitoring:_EventListeners.publish_command_success", *_PYMONGO, _UNTRACED),
    Private("pymongo.monitoring:_EventListeners.publish_command_failure", *_PYMONGO, _UNTRACED),
    # oslo
    Private(
        "oslo_messaging.notify.dispatcher:NotificationDispatcher._exec_callback",
        *_OSLO_MESSAGING,
        "the span of a listener shows no error of its endpoint",
    ),
    Private("oslo_messaging.rpc.client:_BaseCallContext.call", *_OSLO_MESSAGING, "calls have no span"),
    Private("oslo_messaging.rpc.client:_BaseCallContext.cast", *_OSLO_MESSAGING, "casts have no span"),
    Private("oslo_messaging.transport:Transport._send", *_OSLO_MESSAGING, "messages carry no trace"),
    Private(
        "oslo_messaging.transport:Transport._send_notification",
        *_OSLO_MESSAGING,
        "a plain service's notifications hold the key; the store messaging:// cannot be written",
    ),
    Private(
        "oslo_messaging._tracing:trace_send",
        *_OSLO_MESSAGING,
        "OpenTelemetry's spans of calls are in traces of their own",
        since="18.3",
    ),
    Private(
        "oslo_messaging._tracing:trace_receive",
        *_OSLO_MESSAGING,
        "OpenTelemetry's spans of dispatches are in traces of their own",
        since="18.3",
    ),
    Private(
        "oslo_middleware.tracing:TracingMiddleware._tracing_enabled",
        "oslo.middleware",
        "8.2",
        "OpenTelemetry's spans of requests are in traces of their own",
    ),
    Private("oslo_messaging.rpc.server:RPCServer._process_incoming", *_OSLO_MESSAGING, "no server spans"),
    Private("oslo_messaging.rpc.server:RPCServer._target", *_OSLO_MESSAGING, "no server spans"),
    Private("oslo_messaging.transport:Transport._driver", *_OSLO_MESSAGING, "messaging:// is not read"),
    Private(
        "oslo_messaging._drivers.amqpdriver:AMQPDriverBase._connection_pool",
        *_OSLO_MESSAGING,
        "messaging:// is not read",
    ),
    Private("oslo_messaging._drivers.impl_rabbit:RabbitDriver", *_OSLO_MESSAGING, "messaging:// is not read"),
    Private("oslo_messaging._drivers.common:deserialize_msg", *_OSLO_MESSAGING, "messaging:// is not read"),
    Private("oslo_messaging._drivers.common:PURPOSE_LISTEN", *_OSLO_MESSAGING, "messaging:// is not read"),
    Private("oslo_privsep.daemon:_ClientChannel.remote_call", *_OSLO_PRIVSEP, "calls of the daemon have no span"),
    Private(
        "oslo_service.backend._eventlet.service:Launcher.wait",
        *_OSLO_SERVICE,
        "a green worker's last spans are lost",
    ),
    Private(
        "oslo_service.backend._threading.service:ProcessLauncher._graceful_shutdown",
        "oslo.service",
        "4.8",
        "the last spans of a service that is not forked are lost",
        since="4.8",
    ),
    Private("oslo_service.backend._common.loopingcall:LoopingCallBase._start", *_OSLO_SERVICE, _LOST),
    Private("oslo_service.backend._common.loopingcall:LoopingCallBase._run_loop", *_OSLO_SERVICE, _LOST),
    Private("oslo_service.backend._common.loopingcall:LoopingCallBase.__init__", *_OSLO_SERVICE, _LEAKS),
    Private("oslo_service.backend._threading.loopingcall:LoopingCallBase._run_loop", *_OSLO_SERVICE, _LOST),
    Private("oslo_service.backend._threading.loopingcall:LoopingCallBase.__init__", *_OSLO_SERVICE, _LEAKS),
    Private("oslo_service.backend._eventlet.loopingcall:LoopingCallBase.__init__", *_OSLO_SERVICE, _LEAKS),
    Private("oslo_service.backend._eventlet.threadgroup:ThreadGroup.add_thread", *_OSLO_SERVICE, _LOST),
    Private("oslo_service.backend._threading.threadgroup:ThreadGroup.add_thread", *_OSLO_SERVICE, _LOST),
    Private("oslo_service.loopingcall:LoopingCallBase._start", *_OSLO_SERVICE, _LOST),
    Private("oslo_service.loopingcall:LoopingCallBase._run_loop", *_OSLO_SERVICE, _LOST),
    Private("cotyledon._utils:exit_on_exception", "cotyledon", "2.2", "a native worker's last spans are lost"),
    Private("futurist._utils:WorkItem.run", *_FUTURIST, _LEAKS),
    Private("futurist._futures:SynchronousExecutor.submit", *_FUTURIST, "its work is in no trace"),
    Private("futurist._futures:_Gatherer.submit", *_FUTURIST, _LOST),
    Private("futurist._futures:DelayedExecutorMixinBase.submit_after", "futurist", "3.5", _LOST, since="3.5"),
    # Greenthreads
    Private("eventlet.hubs:_threadlocal", *_EVENTLET, "the reporter cannot tell a greenthread"),
    Private("eventlet.greenthread:_spawn_n", *_EVENTLET, _LOST),
    Private("gevent._hub_local:get_hub_if_exists", *_GEVENT, "the reporter cannot tell a greenlet"),
    Private("gevent:Greenlet._run", *_GEVENT, _LOST),
    Private("gevent.socket:socket._read_event", *_GEVENT, "a forked child's loop may spin"),
    Private("gevent.socket:socket._write_event", *_GEVENT, "a forked child's loop may spin"),
    Private("gevent.pool:Group._apply_async_cb_spawn", *_GEVENT, "callbacks are in no trace"),
    Private("gevent.threadpool:_FutureProxy.add_done_callback", *_GEVENT, _LEAKS),
    Private("gevent.threadpool:_WorkerGreenlet._after_run_task", *_GEVENT, _LEAKS),
    # Servers
    Private("grpc._channel:_run_channel_spin_thread", *_GRPC, _LEAKS),
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
