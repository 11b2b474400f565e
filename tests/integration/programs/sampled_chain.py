# SPDX-License-Identifier: Apache-2.0
"""``sampled_chain.py ROLE CONFIG_FILE TRANSPORT_URL TOPIC NEXT``: one of four services, each with its own sampler.

``api`` and ``middle`` answer HTTP; ``conductor`` and ``worker`` are RPC servers of *TOPIC*. All but ``worker`` first
call the next one: ``api`` the URL *NEXT*, the others the RPC server of topic *NEXT*. Each prints a line once it serves
(its port, or "serving"). It ends with its standard input.
"""

import sys
import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import oslo_messaging
import requests
from oslo_config import cfg

from osprofiler import initializer, opts, web

role, config_file, transport_url, topic, following = sys.argv[1:]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


class Worker:
    def work(self, context):
        if following:
            following_service()
        return "done"


opts.set_defaults(cfg.CONF)
cfg.CONF(["--config-file", config_file], project="chain")
initializer.init_from_conf(cfg.CONF, None, "chain", role, "host")

if role == "api":

    def following_service():
        requests.get(following, timeout=30).raise_for_status()

else:
    transport = oslo_messaging.get_rpc_transport(cfg.CONF, transport_url)

    def following_service():
        client.call({}, "work")

    if following:
        client = oslo_messaging.get_rpc_client(transport, oslo_messaging.Target(topic=following))


def application(environ, start_response):
    following_service()
    start_response("200 OK", [])
    return [b"done"]


if topic:
    target = oslo_messaging.Target(topic=topic, server="one")
    server = oslo_messaging.get_rpc_server(transport, target, [Worker()], executor="threading")
    server.start()
    print("serving", flush=True)
    sys.stdin.read()
    server.stop()
    server.wait()
else:
    server = make_server("127.0.0.1", 0, web.WsgiMiddleware(application), handler_class=Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    server.shutdown()
