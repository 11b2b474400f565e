# SPDX-License-Identifier: Apache-2.0
"""What a layer costs a library while nothing is traced: one call of each library, in one of four states.

The states are ``alone`` (osprofiler is not imported), ``not installed`` (a service that can be traced, and the layer
was never on), ``off`` (it was on, and was turned off) and ``on`` (it is on, and no trace is). Libraries that need a
peer have one in another thread, which answers at once.

The argument is JSON: the ``state``, and ``calls`` for each value. It prints a line of JSON for each library: the
nanoseconds of a call, and how many Python and C functions the calling thread calls for it; the least of several values.
"""

from __future__ import annotations

import json
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

STATES = ("alone", "not installed", "off", "on")
_VALUES = 7

Call = Callable[[], Any]


class _Peer(socketserver.ThreadingTCPServer):
    """Answers everything that ends with *end* by *answer*."""

    daemon_threads = True
    end = b""
    answer = b""


class _Answering(socketserver.BaseRequestHandler):
    server: _Peer

    def handle(self) -> None:
        received = b""
        while data := self.request.recv(65536):
            received += data
            if received.endswith(self.server.end):
                received = b""
                self.request.sendall(self.server.answer)


def _peer(end: bytes, answer: bytes) -> int:
    """The port of a peer that runs as long as the process."""
    peer = _Peer(("127.0.0.1", 0), _Answering)
    peer.end, peer.answer = end, answer
    threading.Thread(target=peer.serve_forever, daemon=True).start()
    return int(peer.server_address[1])


def _http() -> str:
    port = _peer(b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    return f"http://127.0.0.1:{port}/"


def _dogpile() -> Call:
    from dogpile.cache import make_region

    region = make_region().configure("dogpile.cache.memory")
    return lambda: region.get_or_create("key", int)


def _keystoneauth() -> Call:
    from keystoneauth1 import noauth, session

    client, url = session.Session(auth=noauth.NoAuth()), _http()
    return lambda: client.get(url)


def _lockutils() -> Call:
    from oslo_concurrency import lockutils

    def lock() -> None:
        with lockutils.lock("name"):
            pass

    return lock


def _sqlite3() -> Call:
    import sqlite3

    connection = sqlite3.connect(":memory:")
    return lambda: connection.execute("SELECT 1").fetchall()


def _sqlalchemy() -> Call:
    import sqlalchemy

    connection = sqlalchemy.create_engine("sqlite://").connect()
    statement = sqlalchemy.text("SELECT 1")
    return lambda: connection.execute(statement).all()


def _pymemcache() -> Call:
    import pymemcache

    client = pymemcache.Client(("127.0.0.1", _peer(b"\r\n", b"END\r\n")))
    return lambda: client.get("key")


def _redis() -> Call:
    import redis

    def connected(connection: Any) -> None:  # without the commands that a server would have to understand
        connection._parser.on_connect(connection)

    client = redis.Redis(port=_peer(b"\r\n", b":1\r\n"), redis_connect_func=connected)
    return lambda: client.get("key")


def _requests() -> Call:
    import requests

    session, url = requests.Session(), _http()
    return lambda: session.get(url)


def _urllib3() -> Call:
    import urllib3

    pools, url = urllib3.PoolManager(), _http()
    return lambda: pools.request("GET", url)


def _httpx() -> Call:
    import httpx

    client, url = httpx.Client(), _http()
    return lambda: client.get(url)


def _grpc() -> Call:
    import grpc

    method = grpc.unary_unary_rpc_method_handler(lambda request, context: request)
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench", {"echo": method}),))
    channel = grpc.insecure_channel(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
    server.start()
    call = channel.unary_unary("/bench/echo")

    def echo(held: Any = server) -> Any:  # the server must not be forgotten
        return call(b"x")

    return echo


#: Each library that is measured, by the name of its layer.
LIBRARIES: dict[str, Callable[[], Call]] = {
    "dogpile": _dogpile,
    "grpc": _grpc,
    "httpx": _httpx,
    "keystoneauth": _keystoneauth,
    "lockutils": _lockutils,
    "pymemcache": _pymemcache,
    "redis": _redis,
    "requests": _requests,
    "sqlalchemy": _sqlalchemy,
    "sqlite3": _sqlite3,
    "urllib3": _urllib3,
}


def _enter(state: str, library: str) -> None:
    if state == "alone":
        return
    from osprofiler import config
    from osprofiler.instrumentation import registry

    config.publish(enabled=True)
    names = [library, "grpc_server"] if library == "grpc" else [library]
    if state in ("off", "on"):
        registry.instrument(*names)
    if state == "off":
        registry.uninstrument(*names)


def _nanoseconds(call: Call, calls: int) -> float:
    turns = range(calls)
    begin = time.perf_counter_ns()
    for _ in turns:
        call()
    return (time.perf_counter_ns() - begin) / calls


def _functions(call: Call) -> int:
    """How many functions one call calls in this thread: the least of several, since a library may tidy up at times."""
    seen = 0

    def watch(frame: Any, event: str, argument: Any) -> None:
        nonlocal seen
        seen += event in ("call", "c_call")

    counts = []
    for _ in range(5):
        seen = 0
        sys.setprofile(watch)
        call()
        sys.setprofile(None)
        counts.append(seen)
    return min(counts)


def rows(state: str, calls: int) -> Iterator[dict[str, Any]]:
    """One row for each library."""
    for library, make in LIBRARIES.items():
        _enter(state, library)  # sqlite3 gives a connection its class when it is made
        call = make()
        for _ in range(20):
            call()
        values = [_nanoseconds(call, calls) for _ in range(_VALUES)]
        yield {"library": library, "ns": min(values), "functions": _functions(call)}


if __name__ == "__main__":
    order = json.loads(sys.argv[1])
    for row in rows(order["state"], order["calls"]):
        print(json.dumps(row), flush=True)
