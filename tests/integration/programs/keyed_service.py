# SPDX-License-Identifier: Apache-2.0
"""``keyed_service.py ROLE CONFIG_FILE TRANSPORT_URL TOPIC``: one of two services that follow their keys.

``worker`` is an RPC server of *TOPIC*. ``api`` answers HTTP, and calls it for each request. Both print a line once they
serve (a port, or "serving"). For each line of its standard input a service mutates its configuration, and prints
"mutated". It ends with its standard input, and then prints the counters of what keys did not allow.
"""

import json
import socketserver
import sys
import threading
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import oslo_messaging
from oslo_config import cfg

from osprofiler import initializer, opentracing_compat, opts, web

role, config_file, transport_url, topic = sys.argv[1:]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


class Threads(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Worker:
    def work(self, context):
        return "done"


def obey():
    """Mutate the configuration for each line, until there are no more."""
    for _ in sys.stdin:
        cfg.CONF.mutate_config_files()
        print("mutated", flush=True)


opts.set_defaults(cfg.CONF)
cfg.CONF(["--config-file", config_file], project="keyed")
initializer.init_from_conf(cfg.CONF, None, "keyed", role, "host")
transport = oslo_messaging.get_rpc_transport(cfg.CONF, transport_url)
if role == "worker":
    target = oslo_messaging.Target(topic=topic, server="one")
    server = oslo_messaging.get_rpc_server(transport, target, [Worker()], executor="threading")
    server.start()
    print("serving", flush=True)
    obey()
    server.stop()
    server.wait()
else:
    client = oslo_messaging.get_rpc_client(transport, oslo_messaging.Target(topic=topic))

    def application(environ, start_response):
        client.call({}, "work")
        start_response("200 OK", [])
        return [b"done"]

    server = make_server("127.0.0.1", 0, web.WsgiMiddleware(application), Threads, Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    obey()
    server.shutdown()
opentracing_compat.flush(30)
counters = opentracing_compat.counters()
print(json.dumps({name: number for name, number in counters.items() if name.startswith("key.")}), flush=True)
