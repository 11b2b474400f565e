# SPDX-License-Identifier: Apache-2.0
"""``beside_opentelemetry.py ROLE CONFIG_FILE TRANSPORT_URL TOPIC FILTERS``: a service with OpenTelemetry of OpenStack.

``api`` answers HTTP behind *FILTERS*, the outermost first (``tracing,osprofiler``), and calls the RPC server of
*TOPIC*, which is ``worker``. Each prints a line once it serves (its port, or "serving"). It ends with its standard
input.
"""

import os
import sys
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import oslo_messaging
from opentelemetry import trace
from oslo_config import cfg
from oslo_middleware import tracing

from osprofiler import initializer, opts, profiler, web

role, config_file, transport_url, topic, filters = sys.argv[1:]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


class Worker:
    def work(self, context):
        with profiler.Trace("work"):
            return "done"


opts.set_defaults(cfg.CONF)
tracing.set_defaults(service_name=f"otel-{role}")
cfg.CONF(["--config-file", config_file], project="beside")
initializer.init_from_conf(cfg.CONF, None, "beside", role, "host")
tracing.init_tracing(cfg.CONF)  # sets the provider that oslo.messaging uses too
transport = oslo_messaging.get_rpc_transport(cfg.CONF, transport_url)


def application(environ, start_response):
    with profiler.Trace("ask"):
        client.call({}, "work")
    start_response("200 OK", [])
    return [b"done"]


if role == "worker":
    target = oslo_messaging.Target(topic=topic, server="one")
    server = oslo_messaging.get_rpc_server(transport, target, [Worker()], executor="threading")
    server.start()
    print("serving", flush=True)
    sys.stdin.read()
    server.stop()
    server.wait()
else:
    client = oslo_messaging.get_rpc_client(transport, oslo_messaging.Target(topic=topic))
    for name in reversed(filters.split(",")):
        if name == "osprofiler":
            application = web.WsgiMiddleware(application)
        else:
            application = tracing.TracingMiddleware(application, cfg.CONF)
    server = make_server("127.0.0.1", 0, application, handler_class=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    server.shutdown()
trace.get_tracer_provider().force_flush()
web.disable()
initializer.global_tracer.flush(30)
os._exit(0)  # oslo.messaging's threads would keep the client waiting
