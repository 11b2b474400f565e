# SPDX-License-Identifier: Apache-2.0
"""Run the measurements: each contender in processes of its own, repetitions interleaved, so that what else the
machine does falls on all of them alike."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks import arrived
from benchmarks.child.resting import STATES
from benchmarks.environments import ROOT, Contender
from benchmarks.figures import Figures
from benchmarks.sink import Sink
from tests.servers import Jaeger

CHILD = ROOT / "benchmarks" / "child"
_TIMEOUT_S = 300


@dataclasses.dataclass(frozen=True)
class Size:
    """How much of everything: of a full run, or of a quick one."""

    bursts: int  # of the rows with goals, in one process
    repetitions: int  # of these rows, each in a process of its own
    other_bursts: int  # of the rest
    others: int  # repetitions of the rest
    calls: int  # of one burst
    sustained: int  # spans in one go
    burst: int  # spans of the burst that must not lose any
    requests: int  # of a latency run
    rate: int  # requests a second
    stored: int  # spans of the trace that `trace show` shows
    traces: int  # in a large store
    trace_spans: int  # of each of them
    loops: int  # of a single call, timed at once; 0: as many as pyperf finds fit, in one more process for each


FULL = Size(
    bursts=5,
    repetitions=5,
    other_bursts=5,
    others=3,
    calls=1000,
    sustained=20_000,
    burst=100_000,
    requests=3000,
    rate=200,
    stored=100_000,
    traces=10_000,
    trace_spans=100,
    loops=0,
)
QUICK = Size(
    bursts=2,
    repetitions=3,
    other_bursts=1,
    others=1,
    calls=1000,
    sustained=4_000,
    burst=10_000,
    requests=50,
    rate=100,
    stored=5_000,
    traces=200,
    trace_spans=20,
    loops=2_000,
)

_GOALS = [("two_tags", "loop", 1)]
_OTHERS = [
    ("ten_tags", "loop", 1),
    ("with_log", "loop", 1),
    ("traced", "loop", 1),
    ("nested", "loop", 1),
    ("two_tags", "threads", 1),
    ("two_tags", "threads", 8),
    ("two_tags", "threads", 64),
    ("two_tags", "tasks", 8),
    ("wsgi", "loop", 1),
    ("rpc", "loop", 1),
]


def name_of(operation: str, flow: str, flows: int) -> str:
    return operation if flow == "loop" else f"{operation}, {flows} {flow if flow != 'green' else 'greenthreads'}"


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def child(
    contender: Contender, script: str, order: dict[str, Any], timeout_s: int = _TIMEOUT_S
) -> list[dict[str, Any]]:
    """Run one of the scripts in ``child`` in the contender's environment; its lines of JSON."""
    done = subprocess.run(
        [str(contender.python()), str(CHILD / script), json.dumps({"module": contender.module, **order})],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        env=contender.environ(),
        cwd=CHILD,
    )
    if done.returncode:
        raise RuntimeError(f"{contender.name}: {script}: status {done.returncode}:\n{done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def target(contender: Contender, jaeger: Jaeger, sink: Sink) -> str:
    """Where *contender* delivers, in its own words."""
    return {
        "jaeger_http": jaeger.url,
        "jaeger_udp": jaeger.udp_url,
        "otlp": jaeger.otlp_url if contender.module != "osprofiler4" else jaeger.otlp_url.replace("http", "otlp", 1),
        "agent": sink.url,
        "": "",
    }[contender.target]


def spans(contenders: Iterable[Contender], size: Size, figures: Figures) -> None:
    """Traced spans: wall and CPU time of each, and whether they arrived."""
    for repetition in range(max(size.repetitions, size.others)):
        works = []
        if repetition < size.repetitions:
            works += [_work(size.bursts, size.calls, *one) for one in _GOALS]
        if repetition < size.others:
            works += [_work(size.other_bursts, _calls(one, size), *one) for one in _OTHERS]
            works.append({**_work(1, size.sustained, *_GOALS[0]), "name": "two_tags, sustained"})
        for contender in contenders:
            say(f"spans, repetition {repetition + 1}: {contender.title}")
            deliver(contender, works, figures)
            if repetition < size.others:
                green = _work(size.other_bursts, size.calls, "two_tags", "green", 8)
                deliver(contender, [green], figures, eventlet=True)


def _calls(work: tuple[str, str, int], size: Size) -> int:
    operation, flow, _ = work
    if flow == "threads":
        return size.sustained // 2  # or what is measured is how long 64 threads take to wake up
    return size.calls // {"nested": 10, "rpc": 100}.get(operation, 1)


def _work(bursts: int, calls: int, operation: str, flow: str, flows: int) -> dict[str, Any]:
    return {
        "name": name_of(operation, flow, flows),
        "operation": operation,
        "flow": flow,
        "flows": flows,
        "bursts": bursts,
        "calls": calls,
    }


def deliver(contender: Contender, works: list[dict[str, Any]], figures: Figures, eventlet: bool = False) -> None:
    """One process of *contender* that does those of *works* that it can, to collectors of its own."""
    works = [work for work in works if not contender.only or work["operation"] in contender.only]
    if not works:
        return
    with Jaeger() as jaeger, Sink() as sink:
        order = {"target": target(contender, jaeger, sink), "service": "bench", "work": works, "eventlet": eventlet}
        try:
            *results, last = child(contender, "spans.py", order)
        except (RuntimeError, subprocess.TimeoutExpired) as fault:
            figures.notes.append(f"{contender.name}{' with eventlet' if eventlet else ''}: {str(fault)[-300:]}")
            return
        for result in results:
            figures.add_all(contender.name, result)
        wrong = _wrong(contender, jaeger, sink, last["made"])
    where = f"{contender.name} with eventlet" if eventlet else contender.name
    for line in wrong:
        # A loss of ours is a fault of this run; one of others is told beside their figures.
        (figures.wrong if contender.of_this_tree else figures.notes).append(f"{where}: {line}")


def _wrong(contender: Contender, jaeger: Jaeger, sink: Sink, made: dict[str, int]) -> list[str]:
    service = "bench-" if contender.module == "osprofiler4" else "bench"
    if contender.target == "agent":
        return arrived.from_datadog(sink.datadog_spans(), made)
    if contender.name == "stock-otlp":
        # Its names are cut and its info is left out: only their number can be checked.
        spans = sum(len(trace["spans"]) for trace in jaeger.traces(service))
        return [] if spans >= sum(made.values()) else [f"{spans} of {sum(made.values())} spans arrived"]
    timeout_s = 60 if contender.of_this_tree else 3
    return arrived.from_jaeger(jaeger, service, made, timeout_s) if contender.target else []


def micro(contenders: Iterable[Contender], size: Size, figures: Figures) -> None:
    """Single calls, by pyperf; each repetition is a set of pyperf's own processes."""
    import pyperf

    for repetition in range(size.others):
        for contender in contenders:
            say(f"calls, repetition {repetition + 1}: {contender.title}")
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "out.json"
                effort = ["--processes=1", "--values=3", "--warmups=1", "--min-time=0.01", f"--loops={size.loops}"]
                command = [str(contender.python()), str(CHILD / "micro.py"), "--quiet", *effort, "-o", str(out)]
                subprocess.run(
                    [*command, "--inherit-environ=BENCH_MODULE,PYTHONPATH"],
                    check=True,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={**contender.environ(), "BENCH_MODULE": contender.module},
                    cwd=CHILD,
                    timeout=_TIMEOUT_S,
                )
                for bench in pyperf.BenchmarkSuite.load(str(out)).get_benchmarks():
                    for value in bench.get_values():
                        figures.add(contender.name, bench.get_name(), "ns", value * 1e9)


def resting(contender: Contender, size: Size, figures: Figures) -> None:
    """One call of each library that has a layer, while nothing is traced, in each state of the layer."""
    for repetition in range(size.others):
        for state in STATES:
            say(f"layers at rest, repetition {repetition + 1}: {state}")
            for row in child(contender, "resting.py", {"state": state, "calls": size.calls}):
                figures.add(contender.name, f"{row['library']}: {state}", "rest_ns", row["ns"])
                figures.add(contender.name, f"{row['library']}: {state}", "rest_calls", row["functions"])


def memory(contenders: Iterable[Contender], figures: Figures) -> None:
    for contender in contenders:
        say(f"memory: {contender.title}")
        with Jaeger() as jaeger, Sink() as sink:
            (result,) = child(contender, "memory.py", {"target": target(contender, jaeger, sink), "service": "bench"})
        for unit, value in result.items():
            figures.add(contender.name, "memory", unit, value)


def burst(contender: Contender, size: Size, figures: Figures) -> None:
    """One burst as fast as it goes: what became of every span."""
    say(f"burst of {size.burst:,}: {contender.title}")
    work = {**_work(1, size.burst, *_GOALS[0]), "name": "burst"}
    with Jaeger() as jaeger, Sink() as sink:
        order = {"target": target(contender, jaeger, sink), "service": "bench", "work": [work]}
        result, last = child(contender, "spans.py", order)
        counts, made = last["counts"], last["made"]["two_tags"] + 2  # with the two roots
        lost = sum(number for name, number in counts.items() if name.startswith("dropped."))
        out = counts.get("delivered", 0) + counts.get("sent", 0)
        figures.add(contender.name, "burst", "lost", lost)
        figures.add(contender.name, "burst", "uncounted", made - out - lost)
        figures.add_all(contender.name, result)
        there = sum(len(trace["spans"]) for trace in jaeger.traces("bench"))
        figures.add(contender.name, "burst", "arrived", there / made)


def imports(contenders: Iterable[tuple[Contender, str]], size: Size, figures: Figures) -> None:
    """Milliseconds that a new interpreter takes for an import, above starting at all."""
    for _ in range(size.repetitions):
        for contender, module in contenders:
            for row, code in (("empty", "pass"), (module, f"import {module}")):
                begin = time.perf_counter()
                subprocess.run([str(contender.python()), "-c", code], check=True, env=contender.environ(), cwd=CHILD)
                figures.add(contender.name, f"import {row}", "ms", (time.perf_counter() - begin) * 1e3)


def latency(contenders: Iterable[Contender], size: Size, figures: Figures) -> None:
    """A service over HTTP that calls another thread of its own for each request, asked at a fixed rate."""
    for repetition in range(size.others):
        for contender in contenders:
            for traced in (False, True):
                if traced and contender.name == "bare":
                    continue
                say(f"latency, repetition {repetition + 1}: {contender.title}{', traced' if traced else ''}")
                with Jaeger() as jaeger, Sink() as sink:
                    order = {"target": target(contender, jaeger, sink), "service": "bench", "traced": traced}
                    order |= {"rate": size.rate, "requests": size.requests}
                    for result in child(contender, "service.py", order):
                        for unit, value in result.items():
                            figures.add(contender.name, "traced" if traced else "not traced", unit, value)


def show(contender: Contender, size: Size, figures: Figures) -> None:
    """``osprofiler trace show`` on a large trace in the embedded store."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/traces.db"
        say(f"trace show, {size.stored:,} spans")
        (made,) = child(contender, "fill.py", {"target": url, "service": "bench", "spans": size.stored})
        lost = sum(number for name, number in made["counts"].items() if name.startswith("dropped."))
        if lost:
            figures.wrong.append(f"the embedded store: {lost} records lost")
        for kind in ("--json", "--html"):
            begin = time.perf_counter()
            command = [str(contender.python()), "-m", "osprofiler.cmd.shell", "trace", "show", made["base_id"]]
            command += ["--connection-string", url, kind, "--out", os.devnull]
            done = subprocess.run(command, env=contender.environ(), check=False, capture_output=True, text=True)
            if done.returncode:
                figures.wrong.append(f"trace show {kind}: {done.stderr[-300:]}")
            figures.add(contender.name, f"trace show {kind}", "s", time.perf_counter() - begin)
