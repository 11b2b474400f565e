# SPDX-License-Identifier: Apache-2.0
"""``green_service.py LIBRARY HOW CONNECTION_STRING``: a service on greenthreads whose tracing has much to wait for.

LIBRARY is ``eventlet`` or ``gevent``, with what it is not to patch: ``gevent:thread,dns``.

A heartbeat greenthread counts. Tracing must not stop it: each way waits until tracing is stuck or at work, then for
so many beats, and shows that tracing is stuck still. Prints ``fine``.
"""

import logging
import os
import sys

from greenthreads import Green, patch

(LIBRARY, _, LEFT_OUT), HOW, CONNECTION_STRING = sys.argv[1].partition(":"), *sys.argv[2:4]

if HOW != "patched_after_import":
    patch(LIBRARY, **dict.fromkeys(LEFT_OUT.split(",") if LEFT_OUT else (), False))

import socket  # noqa: E402
import sqlite3  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from typing import Any  # noqa: E402

from osprofiler import config  # noqa: E402
from osprofiler._runtime import guard  # noqa: E402
from osprofiler.context.origin import Origin  # noqa: E402
from osprofiler.context.points import Point  # noqa: E402
from osprofiler.delivery import worker  # noqa: E402
from osprofiler.delivery.reporter import QueueReporter  # noqa: E402
from osprofiler.drivers import connect  # noqa: E402
from osprofiler.drivers.base import Driver  # noqa: E402
from osprofiler.tracer.tracer import Tracer  # noqa: E402

if HOW == "patched_after_import":
    patch(LIBRARY)

green = Green(LIBRARY)
config.publish(flush_interval_s=0.0, flush_timeout_s=0.5)
ORIGIN = Origin.from_osprofiler("key")
BEATS = 0


def heartbeat() -> None:
    global BEATS
    while True:
        BEATS += 1
        green.sleep(0.001)


def until(condition: Callable[[], Any]) -> None:
    """Wait for *condition*, in the manner of a greenthread; a deadline ends a program that would wait for ever."""
    with green.timeout(60):
        while not condition():
            green.sleep(0.001)


def beats(number: int) -> None:
    goal = BEATS + number
    until(lambda: goal <= BEATS)


def tracer_on(reporter: Any) -> Tracer:
    green.spawn(heartbeat)
    return Tracer("unnamed", reporter)


def report(tracer: Tracer, number: int = 1) -> None:
    for _ in range(number):
        tracer.open_point(Point(None, None, ORIGIN), "p").end()


def hung_collector() -> None:
    """It takes the connection and never answers."""
    server = socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)
    reporter = connect.reporter_for(f"jaeger+http://127.0.0.1:{server.getsockname()[1]}")
    assert isinstance(reporter, QueueReporter)
    tracer = tracer_on(reporter)
    report(tracer)
    taken: list[socket.socket] = []

    def asked() -> bool:
        try:
            if not taken:
                taken.append(server.accept()[0])
                taken[0].setblocking(False)
            return bool(taken[0].recv(10))
        except BlockingIOError:
            return False

    until(asked)
    report(tracer, 5000)
    beats(300)
    assert reporter.pending() == 5001, reporter.pending()
    before = BEATS
    assert not tracer.flush(0.5)
    assert before + 10 < BEATS, "others wait with the one that flushes"


def hung_postgresql() -> None:
    """It takes the connection and never answers; the client waits in C."""
    server = socket.create_server(("127.0.0.1", 0))
    server.setblocking(False)
    reporter = connect.reporter_for(f"postgresql+psycopg://u:p@127.0.0.1:{server.getsockname()[1]}/traces")
    tracer = tracer_on(reporter)
    report(tracer)
    taken: list[socket.socket] = []

    def connected() -> bool:
        try:
            taken.append(server.accept()[0])
        except BlockingIOError:
            return False
        return True

    until(connected)
    beats(100)
    taken[0].setblocking(False)
    assert taken[0].recv(1000)
    try:
        assert taken[0].recv(1000), "they came when the client had given up"
    except BlockingIOError:
        pass


def locked_sqlite() -> None:
    """Another connection holds the file; SQLite waits in C for some seconds at a time."""
    with tempfile.TemporaryDirectory() as folder:
        tracer = tracer_on(connect.reporter_for(f"sqlite:///{folder}/traces.db"))
        report(tracer)
        assert tracer.flush(30)
        holder = sqlite3.connect(f"{folder}/traces.db", isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        report(tracer)
        until(lambda: tracer.reporter._delivery.backlog)  # type: ignore[attr-defined]
        beats(100)
        assert tracer.reporter._delivery.backlog.retry_at == 0, "they came between two attempts"  # type: ignore[attr-defined]
        holder.close()
        assert tracer.flush(30)


def slow_name_server() -> None:
    """Waited for in C, as services do that turn the library's own resolver off."""
    look_up, sleep = green.original("socket", "getaddrinfo"), green.original("time", "sleep")
    meanwhile = []

    def slow(host: str, *rest: Any, **named: Any) -> Any:
        if host != "collector.test":
            return look_up(host, *rest, **named)
        goal = BEATS + 300
        for _ in range(10_000):
            if goal <= BEATS:
                break
            sleep(0.001)
        meanwhile.append(goal <= BEATS)
        return look_up("127.0.0.1", *rest, **named)

    green.put_original("socket", "getaddrinfo", slow)
    socket.getaddrinfo = slow  # type: ignore[assignment]
    green.spawn(heartbeat)
    beats(1)
    named = CONNECTION_STRING.replace("127.0.0.1", "collector.test", 1)
    for connection_string in (named, named.replace("jaeger+http", "jaeger")):
        tracer = Tracer("unnamed", connect.reporter_for(connection_string))
        report(tracer)
        tracer.flush(30)
    assert meanwhile == [True, True]
    assert guard.counters["delivered"] == 1


def unreachable_collector_and_a_handler_that_yields() -> None:
    class Yielding(logging.Handler):
        lines = 0

        def emit(self, record: logging.LogRecord) -> None:
            green.sleep(0.01)
            Yielding.lines += 1

    logging.getLogger().addHandler(Yielding())
    tracer = tracer_on(connect.reporter_for("jaeger+http://127.0.0.1:9"))
    report(tracer, 100)
    until(lambda: Yielding.lines)
    report(tracer, 100)
    beats(100)
    assert Yielding.lines == 1


class Blocking(Driver):
    """A store whose client waits in C: for a byte in a pipe, without the library's knowledge."""

    blocking = True
    pipe = os.pipe()
    written = 0

    @classmethod
    def get_name(cls) -> str:
        return "blockingtest"

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        real_read(Blocking.pipe[0], 1)
        Blocking.written += len(records)


real_read = green.original("os", "read")


def blocking_store() -> None:
    reporter = connect.reporter_for("blockingtest://")
    tracer = tracer_on(reporter)
    report(tracer, 10)
    beats(300)
    assert Blocking.written == 0
    os.write(Blocking.pipe[1], b"." * 100)
    assert tracer.flush(30)
    assert Blocking.written == 20


def fork_with_a_blocking_store() -> None:
    """Parent and child each go on writing through a native thread of their own."""
    reporter = connect.reporter_for("blockingtest://")
    tracer = tracer_on(reporter)
    os.write(Blocking.pipe[1], b"." * 1000)
    report(tracer)
    assert tracer.flush(30)
    child = os.fork()
    if child == 0:
        Blocking.written = 0
        report(tracer, 3)
        os._exit(0 if tracer.flush(30) and Blocking.written == 6 else 1)
    ended = (0, 0)

    def gone() -> bool:
        nonlocal ended
        ended = os.waitpid(child, os.WNOHANG)
        return ended[0] == child

    until(gone)
    assert ended[1] == 0, ended
    report(tracer)
    assert tracer.flush(30)


def native_threads_report() -> None:
    """Threads that the library knows nothing of only append; nothing of theirs touches what is patched."""
    start = green.original("_thread", "start_new_thread")
    tracer = tracer_on(connect.reporter_for(CONNECTION_STRING, project="green", service="native"))
    touched: list[str] = []
    flushed: list[bool] = []

    def natively(work: Callable[[], Any]) -> None:
        ended: list[int] = []

        def run() -> None:
            work()
            if green.has_hub():
                touched.append("the library has made a hub for a native thread")
            ended.append(1)

        for _ in range(4):
            start(run, ())
        until(lambda: len(ended) == 4)

    natively(lambda: report(tracer, 500))
    assert tracer.reporter._worker is None, "a native thread has started a greenthread"  # type: ignore[attr-defined]
    report(tracer)
    assert tracer.flush(30)
    natively(lambda: report(tracer, 500))
    natively(lambda: flushed.append(tracer.flush(30)))
    assert flushed == [True] * 4
    assert not touched, touched
    assert tracer.flush(30)
    assert guard.counters["delivered"] == 4001


def patched_after_import() -> None:
    tracer = tracer_on(connect.reporter_for(CONNECTION_STRING, project="green", service="late"))
    report(tracer, 10)
    assert isinstance(tracer.reporter._worker, worker.GreenWorker)  # type: ignore[attr-defined]
    assert tracer.flush(30)
    assert guard.counters["delivered"] == 10


def loop_ends() -> None:
    """gevent.wait() waits for all that a service does, and the reporter is nothing of that."""
    import gevent

    tracer = Tracer("unnamed", connect.reporter_for(CONNECTION_STRING))
    report(tracer)
    assert tracer.flush(30)
    assert gevent.wait(timeout=30)
    report(tracer)
    assert tracer.flush(30)


if __name__ == "__main__":
    globals()[HOW]()
    print("fine", flush=True)
