# SPDX-License-Identifier: Apache-2.0
"""A pre-forking WSGI server in the manner of gunicorn: a master that has traced already forks workers that serve.

Arguments: where to report, the number of workers, and a trace for the master. Prints its port and its workers' pids as
a line of JSON; each line that it reads names a worker to end (the master forks another and prints the pids again); at
the end of its input it ends them all.
"""

import json
import os
import signal
import socket
import sys
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from osprofiler import config, opentracing_compat, profiler, web
from osprofiler.context import current
from osprofiler.drivers import connect
from osprofiler.tracer import global_tracer

KEY = "a key"

URL, WORKERS, TRACE = sys.argv[1], int(sys.argv[2]), sys.argv[3]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        return None


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    with profiler.Trace("work"), profiler.fork("fork") as fork:
        fork.wrap(int)()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


def serve(listening: socket.socket) -> None:
    """A worker: requests one after the other until SIGTERM."""
    assert current.point.get() is None, "a worker starts in no trace"
    server = WSGIServer(listening.getsockname(), Quiet, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    server.server_name, server.server_port = "localhost", listening.getsockname()[1]
    server.setup_environ()
    server.set_app(web.WsgiMiddleware(application, hmac_keys=KEY, enabled=True))

    listening.settimeout(0.1)  # also of an accept: another worker may have been faster
    ended: list[int] = []  # what a signal's handler raises wsgiref would take for a fault of the application
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    while not ended:
        server.handle_request()


def main() -> None:
    config.publish(hmac_keys=(KEY,))
    reporter = connect.reporter_for(URL, project="prefork", service="api")
    global_tracer.report_to(lambda: reporter)
    listening = socket.create_server(("127.0.0.1", 0))
    profiler.init(KEY, base_id=TRACE)
    with profiler.Trace("master"):  # its reporter is at work when the workers are forked
        pass
    profiler.clean()
    workers: list[int] = []

    def fork() -> None:
        pid = os.fork()
        if not pid:
            status = 1
            try:
                serve(listening)
                status = 0 if opentracing_compat.flush(30) else 2
            finally:
                os._exit(status)
        workers.append(pid)

    def end(pid: int) -> None:
        workers.remove(pid)
        os.kill(pid, signal.SIGTERM)
        if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
            raise SystemExit(f"worker {pid} did not end well")

    for _ in range(WORKERS):
        fork()
    print(json.dumps([listening.getsockname()[1], workers]), flush=True)
    for line in sys.stdin:
        end(int(line))
        fork()
        print(json.dumps([listening.getsockname()[1], workers]), flush=True)
    for pid in list(workers):
        end(pid)
    assert reporter.flush(30)


if __name__ == "__main__":
    main()
