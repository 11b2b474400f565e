# SPDX-License-Identifier: Apache-2.0
"""The cost of a traced span in units that are the same on every machine: bytes, calls and locks, never times.

A change that makes a span dearer on purpose raises a bound here, and its message says why.
"""

import contextlib
import importlib
import json
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from oslo_context.context import RequestContext

from osprofiler import config, profiler, web
from osprofiler._runtime.wrapping import Target, Wrapping, own_class
from osprofiler.context import current
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.handlers import rpc
from osprofiler.instrumentation import layers, registry
from osprofiler.propagation.carriers import environ_key
from osprofiler.tracer import global_tracer
from tests.unit.core_kit import a_clean_process, kept_spans
from tests.unit.test_bench_rows import child

from benchmarks.sink import Sink  # isort: skip

#: Of a start with two values in info and its stop, with a queue behind them; 2026-11: 35 on CPython 3.11.
CALLS = 38
#: Of the reporter for such a span: to mask and to encode it for Jaeger; 2026-11: 32 on CPython 3.11.
DELIVERY_CALLS = 36
#: Of a request in the WSGI middleware, traced by headers in all formats; 2026-11: 355 on CPython 3.11.
WSGI_CALLS = 390
#: Of a message whose context says to trace it, at its receiver; 2026-11: 252 on CPython 3.11.
RPC_CALLS = 275
#: Of a decorated call that an exception passes through, after the first; 2026-11: 118 on CPython 3.11.
PASSING_CALLS = 130
#: Of a library's call whose layer is on while nothing is traced, above those of the library alone; 2026-11: 11 for
#: sqlite3's ``Connection.execute``, and 3 to 6 for the others.
RESTING_CALLS = 12
#: Bytes; 2026-11: 608 and 760 on CPython 3.11.
QUEUED_BYTES, OPEN_BYTES = 1024, 1024


def test_a_span_takes_less_than_a_kilobyte_and_no_lock() -> None:
    with Sink() as sink:
        (figures,) = child("memory.py", target=f"jaeger+{sink.url}")
    assert 200 < figures["queued_bytes"] < QUEUED_BYTES
    assert 200 < figures["open_bytes"] < OPEN_BYTES
    assert figures["locks"] == 0


@pytest.mark.parametrize(
    "info",
    [
        lambda n: {"n": n},
        lambda n: {"text": f"{n:3000}"},
        lambda n: {f"key {key}": n * 1000 + key for key in range(40)},
        lambda n: {"list": list(range(n * 1000, n * 1000 + 100))},
        lambda n: {"deep": [{"a": {"b": [n * 1000 + item]}} for item in range(30)]},
        lambda n: {"texts": [str(n * 1000 + item) for item in range(100)]},
    ],
    ids=["small", "text", "keys", "list", "deep", "texts"],
)
@pytest.mark.parametrize("logs", [0, 20])
def test_a_queue_takes_no_more_bytes_than_its_bound_says(info: Callable[[int], dict[str, Any]], logs: int) -> None:
    from osprofiler.context import scope
    from osprofiler.delivery.reporter import QueueReporter
    from tests.unit.reporting_kit import Obedient, Traced

    with a_clean_process(), scope.entered(None):
        reporter = QueueReporter(Obedient(), interval_s=3600.0)
        traced = Traced(reporter)

        def spans(numbers: range) -> None:
            for n in numbers:
                point = traced.tracer.open_point(traced.root, "point", info(n))
                for log in range(logs):
                    point.span.log_kv({"event": "retry", "attempt": n * 1000 + log})
                point.end()

        spans(range(100))  # what is made once
        before = reporter._queue.bytes
        tracemalloc.start()
        try:
            spans(range(100, 500))
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert 0.3 < held / (reporter._queue.bytes - before) < 1.5
        assert reporter.flush(30)
        reporter.close()


def test_the_measure_of_locks_sees_a_lock() -> None:
    code = """
import json, sys, threading
import memory
class Locking:
    lock = threading.Lock()
    def two_tags(self, n):
        self.lock.acquire(); self.lock.release()
print(json.dumps(memory.locks(Locking())))
"""
    from tests.unit.test_bench_rows import run

    assert json.loads(run("-c", code)) == 2000


def calls_of(function: Any, times: int = 50) -> float:
    """How many Python and C functions one call of *function* calls."""
    seen = 0

    def watch(frame: Any, event: str, argument: Any) -> None:
        nonlocal seen
        seen += event in ("call", "c_call")

    function()
    sys.setprofile(watch)
    try:
        for _ in range(times):
            function()
    finally:
        sys.setprofile(None)
    return seen / times


def point() -> None:
    profiler.start("point", {"n": 1, "text": "http://controller:8774/v2.1/servers"})
    profiler.stop()


def test_calls_of_a_traced_span() -> None:
    from osprofiler.delivery.reporter import QueueReporter
    from tests.unit.reporting_kit import Obedient

    with a_clean_process():
        reporter = QueueReporter(Obedient(), interval_s=3600.0)
        global_tracer.report_to(lambda: reporter)
        profiler.init("key")
        assert 10 < calls_of(point) <= CALLS
        profiler.clean()
        assert reporter.flush(30)
        reporter.close()


def test_calls_of_a_traced_request_and_message() -> None:
    with a_clean_process(), kept_spans():
        config.publish(hmac_keys=("key",))
        app = web.WsgiMiddleware(
            lambda environ, respond: respond("200 OK", [("Content-Length", "0")]) or [], "key", True
        )
        profiler.init("key")
        with profiler.Trace("root"):
            sent = {environ_key(name): value for name, value in web.get_trace_id_headers().items()}
            message = rpc.inject(dict.fromkeys(RequestContext().to_dict()))
        profiler.clean()
        environ = {**sent, "wsgi.url_scheme": "http"}
        setup_testing_defaults(environ)

        def request() -> None:
            app(dict(environ), lambda *_: None)

        def receive() -> None:
            incoming, _ = rpc.receive(message, "build")
            point = rpc.enter(incoming, rpc.Call("bench", "build", "compute", None, None, None), message, {})
            rpc.close(point)
            current.point.set(None)

        assert 100 < calls_of(request) <= WSGI_CALLS
        assert 100 < calls_of(receive) <= RPC_CALLS


def test_calls_of_the_reporter_for_a_span() -> None:
    from osprofiler.delivery import thrift_binary
    from osprofiler.delivery.encoding import Encoder
    from osprofiler.delivery.masking import applying

    with a_clean_process(), kept_spans() as kept:
        profiler.init("key")
        for _ in range(100):
            point()
        profiler.clean()
        spans = kept.finished
        encoder = Encoder(thrift_binary.process, thrift_binary.span)

        def deliver() -> None:
            applying.entries(spans)
            encoder.encode(spans)

        assert 10 < calls_of(deliver, times=5) / len(spans) <= DELIVERY_CALLS


def test_calls_of_an_exception_that_passes_through_a_point() -> None:
    def fail() -> None:
        raise LookupError

    def through(points: int) -> Any:
        call: Any = fail
        for _ in range(points):
            call = profiler.trace("point")(lambda inner=call: inner())

        def catching() -> None:
            with contextlib.suppress(LookupError):
                call()

        return catching

    with a_clean_process(), kept_spans():
        profiler.init("key")
        one, ten, fifty = (calls_of(through(points), times=5) for points in (1, 10, 50))
        profiler.clean()
    assert 10 < (fifty - ten) / 40 <= PASSING_CALLS
    assert (ten - one) / 9 <= PASSING_CALLS + 30  # the stack has more frames, up to its bound


def test_calls_at_rest() -> None:
    with a_clean_process():
        # The function itself, start and stop, and one read of the context variable in each and one more call in stop.
        assert calls_of(point) <= 7


def test_calls_of_an_unsampled_point() -> None:
    from osprofiler.context import scope

    with a_clean_process(), kept_spans() as kept:
        origin = Origin.from_ids(1, 2, flags=0)
        with scope.entered(Point(None, None, origin)):
            assert calls_of(point) <= 7
        assert kept.started == []


# Layers at rest


def resting(state: str) -> dict[str, int]:
    """The functions that one call of each library calls, by the name of its layer."""
    return {row["library"]: row["functions"] for row in child("resting.py", state=state, calls=1)}


def test_a_layer_that_is_off_adds_no_call_and_one_at_rest_few() -> None:
    alone, on = resting("alone"), resting("on")
    assert alone.keys() <= layers.SWITCHES.keys()
    assert resting("not installed") == alone
    assert resting("off") == alone
    assert {library: 0 < on[library] - alone[library] <= RESTING_CALLS for library in alone} == dict.fromkeys(
        alone, True
    )


@pytest.mark.parametrize("library", layers.SWITCHES)
def test_a_layer_that_is_turned_off_leaves_the_originals_in_place(library: str) -> None:
    module = importlib.import_module(f"osprofiler.instrumentation.{library}")
    targets = [target for each in vars(module).values() if isinstance(each, Wrapping) for target in each._targets]
    there = [target for target in targets if held(target) is not None]
    originals = [held(target) for target in there]
    assert originals, "none of its targets is in the library"
    registry.instrument(library)
    replaced = [held(target) for target in there]
    registry.uninstrument(library)
    assert all(new is not old for new, old in zip(replaced, originals, strict=True))
    assert all(held(target) is old for target, old in zip(there, originals, strict=True))


def held(target: Target) -> Any:
    """What is in the place of a target; None if this release of the library has no such place."""
    try:
        module = importlib.import_module(target.module)
    except ImportError:
        return None
    owner = own_class(module, target.owner) if target.owner else module
    return None if owner is None else vars(owner).get(target.name)
