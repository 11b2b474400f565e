# SPDX-License-Identifier: Apache-2.0
"""A service over real HTTP, asked at a fixed rate by another process: how long its answers take.

Each request makes a trace point inside the service and an RPC call to a second thread of it. Run in the contender's
environment: ``service.py '{"module": ..., "target": ..., "service": ..., "traced": ..., "rate": ...,
"requests": ...}'``.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import contenders

_CLIENT = """
import json, socket, sys, threading, time
port, rate, requests, headers = json.loads(sys.argv[1])
request = ("GET /v2.1/servers?n=1 HTTP/1.0\\r\\nHost: controller\\r\\n"
           + "".join(f"{name}: {value}\\r\\n" for name, value in headers.items()) + "\\r\\n").encode()
taken, lock = [], threading.Lock()
def ask(due):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert answer.endswith(b"ok"), answer
    with lock:
        taken.append((time.perf_counter() - due) * 1e3)  # from when it was due: waiting in line counts
begin, threads = time.perf_counter() + 0.1, []
for number in range(requests):
    due = begin + number / rate
    time.sleep(max(due - time.perf_counter(), 0))
    threads.append(threading.Thread(target=ask, args=(due,)))
    threads[-1].start()
for thread in threads:
    thread.join()
taken.sort()
at = lambda share: taken[min(int(len(taken) * share), len(taken) - 1)]
print(json.dumps({"p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99)}))
"""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        return


class Backend:
    """The other end of the RPC: a thread that answers what is put to it."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[tuple[int, queue.SimpleQueue[int]]] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            n, answer = self._asked.get()
            answer.put(n + 1)

    def call(self, n: int) -> int:
        answer: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._asked.put((n, answer))
        return answer.get()


def main(order: dict[str, Any]) -> None:
    contender = contenders.load(order["module"], order["target"], order["service"])
    asked = contender.requests()
    backend = Backend()
    point = getattr(contender, "two_tags", lambda n: None)

    with contender.root():
        headers = dict(asked["headers"]()) if asked and order["traced"] else {}

    def inner(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if headers:
            point(0)
        for n in range(10):  # the service's own work: some text, and calls to the other side
            json.loads(json.dumps({"servers": [{"id": n, "name": f"server-{m}"} for m in range(20)]}))
        backend.call(1)
        return contenders.hello(environ, start_response)

    app = asked.get("app", contenders.hello)
    if app is contenders.hello:
        app = inner
    else:
        app.application = inner
    server = make_server("127.0.0.1", 0, app, _Server, _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    done = subprocess.run(
        [sys.executable, "-c", _CLIENT, json.dumps([server.server_port, order["rate"], order["requests"], headers])],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    server.shutdown()
    contender.flush()
    print(done.stdout.strip())


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
