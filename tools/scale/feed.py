# SPDX-License-Identifier: Apache-2.0
"""A process that makes traces with this project's tracer, as a service does.

Each process begins traces, and continues those of the process before it: a trace has spans of two processes, sent to
two collectors. The context goes from one to the other in a carrier. Times come from the ``shape``.
"""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from queue import Empty
from typing import Any, NamedTuple

import opentracing
from oslo_config import cfg

from osprofiler import initializer, opentracing_compat, opts
from tools.scale.shape import Feed, Span

PROJECT = "scale"
_KEY = "signs nothing: carriers go from process to process"

_AT_ONCE = 100  # traces between two looks at the queue and at what has come in
_MOST_WAITING = 10_000  # spans; the tracer's queue has room for more, so it drops none
_PAUSE_S = 0.01


class Continued(NamedTuple):
    """Traces to continue: the process that began them, the number of the first one, and their carriers."""

    process: int
    first: int
    carriers: list[dict[str, str]]


class Result(NamedTuple):
    """What a process has done."""

    process: int
    trace_ids: list[str]  # of the traces that it began, by number; as Jaeger shows them
    counters: dict[str, int]
    processor_s: float  # what making and sending the spans took
    flushed: bool


def service(process: int) -> str:
    """Return the name of the service that this process is."""
    return f"service-{process + 1}"


def services(process: int, processes: int) -> tuple[str, str]:
    """Return the services of the traces that *process* begins, as Jaeger names them: the first and the called one."""
    return f"{PROJECT}-{service(process)}", f"{PROJECT}-{service((process + 1) % processes)}"


@dataclass(frozen=True)
class Ways:
    """How a process hears of the others: its inbox, the next one's inbox, the start of all, and where results go."""

    inbox: Queue[Continued | None]
    outbox: Queue[Continued | None]
    start: Barrier
    results: Queue[Result]


def run(feeds: list[Feed], process: int, store: str, ways: Ways, flush_s: float) -> None:
    """Make the traces of ``feeds[process]``, and continue those of the process before it. Puts a Result.

    At the end it waits *flush_s* seconds at most until its spans are delivered.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    tracer = _tracer(process, store)
    own, trace_ids, ended = feeds[process], [], False
    ways.start.wait()
    began_s = time.process_time()
    for first in range(0, own.traces, _AT_ONCE):
        carriers = []
        for number in range(first, min(first + _AT_ONCE, own.traces)):
            trace_id, carrier = _begin(tracer, own.trace(number))
            trace_ids.append(trace_id)
            carriers.append(carrier)
        ways.outbox.put(Continued(process, first, carriers))
        ended = _continue_all(tracer, feeds, ways.inbox, wait=False) or ended
    ways.outbox.put(None)
    if not ended:
        _continue_all(tracer, feeds, ways.inbox, wait=True)
    flushed = opentracing_compat.flush(flush_s)
    processor_s = time.process_time() - began_s
    ways.results.put(Result(process, trace_ids, opentracing_compat.counters(), processor_s, flushed))


def _tracer(process: int, store: str) -> Any:
    conf = cfg.ConfigOpts()
    opts.set_defaults(conf, enabled=True, connection_string=store, hmac_keys=_KEY)
    conf([], project=PROJECT, default_config_files=[])
    conf.set_override("sampler", "const:1", group="profiler")
    conf.set_override("trust_incoming", "all", group="profiler")
    initializer.init_from_conf(conf, None, PROJECT, service(process), f"host-{process + 1}")
    return opentracing_compat.get_tracer()


def _begin(tracer: Any, spans: list[Span]) -> tuple[str, dict[str, str]]:
    """Make the first service's spans of a trace. Returns its id, and the carrier of the call."""
    made = _make(tracer, [(place, span) for place, span in enumerate(spans) if not span.called], None)
    carrier: dict[str, str] = {}
    tracer.inject(made[-1].context, opentracing.Format.TEXT_MAP, carrier)
    return f"{made[-1].context.trace_id:032x}", carrier


def _continue_all(tracer: Any, feeds: list[Feed], inbox: Queue[Continued | None], *, wait: bool) -> bool:
    """Continue the traces in *inbox*, and if *wait*, those that come until the end. Returns whether that has come."""
    while True:
        _hold_back()
        try:
            continued = inbox.get(wait)
        except Empty:
            return False
        if continued is None:
            return True
        feed = feeds[continued.process]
        for number, carrier in enumerate(continued.carriers, continued.first):
            context = tracer.extract(opentracing.Format.TEXT_MAP, carrier)
            _make(tracer, [(place, span) for place, span in enumerate(feed.trace(number)) if span.called], context)


def _make(tracer: Any, spans: list[tuple[int, Span]], parent: Any) -> list[Any]:
    """Make *spans*, each with its place in the trace; those whose parent is elsewhere are children of *parent*."""
    made: dict[int, Any] = {}
    for place, span in spans:
        tags: dict[str, Any] = {"place": place, "flavor": "m1.tiny", "release": "2026.2"}
        if span.kind:
            tags["span.kind"] = span.kind
        if span.failed:
            tags["error"] = True
        above = made[span.above].context if span.above in made else parent
        made[place] = tracer.start_span(
            span.operation, child_of=above, tags=tags, start_time=_seconds(span.start_us), ignore_active_span=True
        )
    for place, span in spans:
        made[place].finish(_seconds(span.end_us))
    return list(made.values())


def _seconds(at_us: int) -> float:
    """*at_us* as OpenTracing takes it; the half keeps the microsecond where it is cut to an integer again."""
    return (at_us + 0.5) / 1e6


def _hold_back() -> None:
    """Wait while many spans wait for delivery: a service would drop spans then, a feed makes them later."""
    while opentracing_compat.counters().get("waiting", 0) > _MOST_WAITING:
        time.sleep(_PAUSE_S)
