# SPDX-License-Identifier: Apache-2.0
"""The API of a released service: ``api.py MODULE``, the module whose ``application`` a WSGI server loads.

Two native threads serve all requests, one after the other, and nothing of this program stands between requests. It
prints its port, serves until its standard input ends, and prints which of its threads has a trace left over.
"""

import importlib
import io
import json
import os
import queue
import sys
import threading
import warnings
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

warnings.simplefilter("ignore")


class Handler(WSGIRequestHandler):
    def parse_request(self):
        parsed = super().parse_request()
        if parsed:  # services read until the body ends, and a socket does not end with it
            self.rfile = io.BytesIO(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        return parsed

    def log_message(self, *_):
        pass


class Server(WSGIServer):
    """Hands each connection to the first thread that is free."""

    request_queue_size = 100

    def __init__(self, application):
        super().__init__(("127.0.0.1", 0), Handler)
        self.set_app(application)
        self.waiting = queue.SimpleQueue()
        self.left_over = []
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(2)]
        for thread in self.threads:
            thread.start()

    def process_request(self, request, client_address):
        self.waiting.put((request, client_address))

    def work(self):
        for request, client_address in iter(self.waiting.get, None):
            try:
                self.finish_request(request, client_address)
            finally:
                self.shutdown_request(request)
        self.left_over.append(profiler.get() is not None)

    def end(self):
        self.shutdown()
        for _ in self.threads:
            self.waiting.put(None)
        for thread in self.threads:
            thread.join()


from osprofiler import opentracing_compat, profiler  # noqa: E402

module = sys.argv.pop()  # keystone reads the command line itself
server = Server(importlib.import_module(module).application)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
server.end()
assert opentracing_compat.flush(30)
print(json.dumps(server.left_over), flush=True)
os._exit(0)  # the services' own threads would keep it waiting
