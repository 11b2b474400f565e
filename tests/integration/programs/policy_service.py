# SPDX-License-Identifier: Apache-2.0
"""``policy_service.py CONFIG_FILE``: a service of two forked workers; each answers with its pid and what is on in it.

The first line of the output is its port. It ends with its standard input.
"""

import json
import os
import signal
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from oslo_config import cfg

from osprofiler import config, initializer, opts, profiler, web


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return None


def application(environ, start_response):  # type: ignore[no-untyped-def]
    start_response("200 OK", [("Content-Type", "application/json")])
    traced, formats = profiler.get() is not None, sorted(web.get_trace_id_headers())
    return [json.dumps([os.getpid(), traced, formats, config.current().trace_requests]).encode()]


opts.set_defaults(cfg.CONF)
cfg.CONF(["--config-file", sys.argv[1]], project="nova")
initializer.init_from_conf(cfg.CONF, None, "nova", "api", "host")
server = make_server("127.0.0.1", 0, web.WsgiMiddleware(application), handler_class=Quiet)
workers = []
for _ in range(2):
    worker = os.fork()
    if worker == 0:
        server.serve_forever()
    workers.append(worker)
print(server.server_port, flush=True)
sys.stdin.read()
for worker in workers:
    os.kill(worker, signal.SIGTERM)
    os.waitpid(worker, 0)
