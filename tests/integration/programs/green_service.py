# SPDX-License-Identifier: Apache-2.0
"""``green_service.py HOW CONNECTION_STRING``: a service under eventlet whose tracing has something to wait for.

A heartbeat greenthread counts. Tracing must not stop it: each way waits until tracing is stuck or at work, then for
so many beats, and shows that tracing is stuck still. Prints ``fine``.
"""

import logging
import os
import sys

import eventlet

HOW, CONNECTION_STRING = sys.argv[1:3]

if HOW != "patched_after_import":
    eventlet.monkey_patch()

from collections.abc import Callable, Sequence  # noqa: E402
from typing import Any  # noqa: E402

from osprofiler import _guard, _settings  # noqa: E402
from osprofiler.drivers.base import Driver  # noqa: E402
from osprofiler.opentracing_compat.reporting import connect, worker  # noqa: E402
from osprofiler.opentracing_compat.reporting.reporter import QueueReporter  # noqa: E402
from osprofiler.opentracing_compat.scope import Origin, Point  # noqa: E402
from osprofiler.opentracing_compat.tracer import Tracer  # noqa: E402

if HOW == "patched_after_import":
    eventlet.monkey_patch()

_settings.publish(flush_interval_s=0.0, flush_timeout_s=0.5)
ORIGIN = Origin.from_osprofiler("key")
BEATS = 0


def heartbeat() -> None:
    global BEATS
    while True:
        BEATS += 1
        eventlet.sleep(0.001)


def until(condition: Callable[[], Any]) -> None:
    """Wait for *condition*, in the manner of a greenthread; a deadline ends a program that would wait for ever."""
    with eventlet.Timeout(60):
        while not condition():
            eventlet.sleep(0.001)


def beats(number: int) -> None:
    goal = BEATS + number
    until(lambda: goal <= BEATS)


def tracer_on(reporter: Any) -> Tracer:
    eventlet.spawn(heartbeat)
    return Tracer("unnamed", reporter)


def report(tracer: Tracer, number: int = 1) -> None:
    for _ in range(number):
        tracer.open_point(Point(None, None, ORIGIN), "p").end()


def hung_collector() -> None:
    """It takes the connection and never answers."""
    server = eventlet.listen(("127.0.0.1", 0))
    reporter = connect.reporter_for(f"jaeger+http://127.0.0.1:{server.getsockname()[1]}")
    assert isinstance(reporter, QueueReporter)
    tracer = tracer_on(reporter)
    report(tracer)
    connection, _ = server.accept()
    connection.recv(10)
    report(tracer, 5000)
    beats(300)
    assert reporter.pending() == 5001, reporter.pending()
    assert not tracer.flush(0.1)
    connection.close()


def slow_name_server() -> None:
    """Waited for in C, as services do that turn eventlet's own resolver off."""
    import socket

    native: Any = eventlet.patcher.original("socket")
    look_up, sleep = native.getaddrinfo, eventlet.patcher.original("time").sleep
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

    native.getaddrinfo = socket.getaddrinfo = slow
    eventlet.spawn(heartbeat)
    beats(1)
    named = CONNECTION_STRING.replace("127.0.0.1", "collector.test", 1)
    for connection_string in (named, named.replace("jaeger+http", "jaeger")):
        tracer = Tracer("unnamed", connect.reporter_for(connection_string))
        report(tracer)
        tracer.flush(30)
    assert meanwhile == [True, True]
    assert _guard.counters["delivered"] == 1


def unreachable_collector_and_a_handler_that_yields() -> None:
    class Yielding(logging.Handler):
        lines = 0

        def emit(self, record: logging.LogRecord) -> None:
            eventlet.sleep(0.01)
            Yielding.lines += 1

    logging.getLogger().addHandler(Yielding())
    tracer = tracer_on(connect.reporter_for("jaeger+http://127.0.0.1:9"))
    report(tracer, 100)
    until(lambda: Yielding.lines)
    report(tracer, 100)
    beats(100)
    assert Yielding.lines == 1


class Blocking(Driver):
    """A store whose client waits in C: for a byte in a pipe, without eventlet's knowledge."""

    blocking = True
    pipe = os.pipe()
    written = 0

    @classmethod
    def get_name(cls) -> str:
        return "blockingtest"

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        real_read(Blocking.pipe[0], 1)
        Blocking.written += len(records)


real_read = eventlet.patcher.original("os").read


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
    """Threads that eventlet knows nothing of only append; nothing of theirs touches what is patched."""
    threading = eventlet.patcher.original("threading")
    tracer = tracer_on(connect.reporter_for(CONNECTION_STRING, project="green", service="native"))
    touched: list[str] = []
    flushed: list[bool] = []

    def natively(work: Callable[[], Any]) -> None:
        def run() -> None:
            work()
            if hasattr(eventlet.hubs._threadlocal, "hub"):
                touched.append("eventlet has made a hub for a native thread")

        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: not any(thread.is_alive() for thread in threads))

    natively(lambda: report(tracer, 500))
    assert tracer.reporter._worker is None, "a native thread has started a greenthread"  # type: ignore[attr-defined]
    report(tracer)
    assert tracer.flush(30)
    natively(lambda: report(tracer, 500))
    natively(lambda: flushed.append(tracer.flush(30)))
    assert flushed == [True] * 4
    assert not touched, touched
    assert tracer.flush(30)
    assert _guard.counters["delivered"] == 4001


def patched_after_import() -> None:
    tracer = tracer_on(connect.reporter_for(CONNECTION_STRING, project="green", service="late"))
    report(tracer, 10)
    assert isinstance(tracer.reporter._worker, worker.GreenWorker)  # type: ignore[attr-defined]
    assert tracer.flush(30)
    assert _guard.counters["delivered"] == 10


if __name__ == "__main__":
    globals()[HOW]()
    print("fine", flush=True)
