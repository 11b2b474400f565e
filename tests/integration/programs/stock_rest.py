# SPDX-License-Identifier: Apache-2.0
"""A REST service on a plain osprofiler, run with another Python: argv[1] is the URL that it calls in its turn.

Prints its port, serves one request, and prints what the service behind answered, the headers that it was sent, and
the records of its trace points.
"""

import json
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

import requests
import webob.dec

import osprofiler.requests
from osprofiler import notifier, profiler, web

KEY = "SECRET"

records = []
seen = {}


@webob.dec.wsgify
def application(request):
    seen.update({name.lower(): value for name, value in request.headers.items()})
    with profiler.Trace("stock"):
        return requests.get(sys.argv[1], timeout=60).text


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


notifier.set(records.append)
osprofiler.requests.enable()
server = make_server("127.0.0.1", 0, web.WsgiMiddleware(application, hmac_keys=KEY, enabled=True), handler_class=Quiet)
print(server.server_port, flush=True)
server.handle_request()
print(json.dumps({"records": records, "headers": seen}), flush=True)
