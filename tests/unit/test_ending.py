# SPDX-License-Identifier: Apache-2.0
"""Spans that end while the process ends are delivered or counted, and the process does end."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.reporting_kit import unaccounted

#: Far more than a process needs to end, and it never ends where this fails.
DEADLINE_S = 60

STORES = ["jaeger://127.0.0.1", "jaeger+http://127.0.0.1:1", "otlp://127.0.0.1:1", "redis://127.0.0.1:1",
          "mongodb://127.0.0.1:1", "elasticsearch://127.0.0.1:1", "messaging://"]  # fmt: skip

# ``tell`` writes the counters; it needs nothing that the end of the interpreter takes away first.
_BEGIN = """
import atexit, json, os, sys
from oslo_config import cfg
from osprofiler.tracer import global_tracer
from osprofiler import initializer, notifier, opts, opentracing_compat, profiler
def tell(counters=opentracing_compat.counters, write=os.write, dumps=json.dumps):
    write(1, dumps(counters()).encode() + b"\\n")
def serve(store, **settings):
    opts.set_defaults(cfg.CONF, enabled=True, hmac_keys="a key that is long enough", connection_string=store)
    cfg.CONF([], project="shop")
    for name, value in {"flush_timeout": 0.5, **settings}.items():
        cfg.CONF.set_override(name, value, group="profiler")
    initializer.init_from_conf(cfg.CONF, None, "shop", "till", "h")
class Client:
    def close(self, point=profiler.Trace("close"), tell=tell):
        with point:
            pass
        tell()
    __del__ = close
"""


def _run(program: str, *arguments: str, patched: bool = False) -> tuple[list[dict[str, int]], str]:
    """The counters that *program* printed, each time, and its log. *patched*: by eventlet."""
    begin = f"import eventlet; eventlet.monkey_patch(){_BEGIN}" if patched else _BEGIN
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", begin + program, *arguments],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()], ended.stderr


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/traces.db"


@pytest.mark.parametrize("store", [*STORES, "sqlite"])
def test_the_first_point_in_a_finalizer_at_the_end_is_counted_as_lost(store: str, sqlite: str) -> None:
    program = """
serve(sys.argv[1])
profiler.init("a key that is long enough")
client = Client()
"""
    (last,), _ = _run(program, sqlite if store == "sqlite" else store)
    assert (last["started"], last["dropped.exit"]) == (1, 1)
    assert unaccounted(last) == 0


def test_a_finalizer_after_earlier_points_neither_waits_nor_is_uncounted(sqlite: str) -> None:
    program = """
serve(sys.argv[1], flush_timeout=1000)
profiler.init("a key that is long enough")
with profiler.Trace("work"):
    pass
client = Client()
flush = opentracing_compat.flush
class Flusher:
    def __del__(self, flush=flush, tell=tell):
        assert flush() is False
        tell()
client.flusher = Flusher()
"""
    told, _ = _run(program, sqlite)
    assert (told[-1]["started"], told[-1]["delivered"], told[-1]["dropped.exit"]) == (2, 1, 1)


def test_a_trace_that_begins_in_a_finalizer_starts_no_thread(tmp_path: Path, sqlite: str) -> None:
    """The code that begins a unit of work starts the threads of the sampler and of the policy file."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("services: {}\n")
    program = """
import time
from osprofiler import config
serve(sys.argv[1], sampler="remote:http://127.0.0.1:1/sampling", policy_file=sys.argv[2])
class Service:
    def __del__(self, fresh=config.fresh, sample=global_tracer.sample_for("GET"), tell=tell,
                touch=os.utime, path=sys.argv[2], watch=initializer._follower._watch):
        touch(path, (1, 1))
        watch._late_at = 0.0
        watch._worker = None
        fresh()
        sample(1)
        tell()
service = Service()
"""
    (last,), _ = _run(program, sqlite, str(policy))
    assert not [name for name in last if name.startswith("fault")], last


def test_blocking_work_is_done_in_place_once_the_process_ends() -> None:
    program = """
import threading
from osprofiler._runtime import ending, native
here = threading.get_native_id()
assert native.call_in_native_thread(threading.get_native_id) != here
ending.begin()
assert native.call_in_native_thread(threading.get_native_id) == here
"""
    _run(program, patched=True)


@pytest.mark.parametrize("worked", [True, False])
@pytest.mark.parametrize("patched", [True, False])
def test_a_point_in_an_atexit_function_that_runs_later_is_delivered(worked: bool, patched: bool, sqlite: str) -> None:
    program = """
def bye():
    profiler.init("a key that is long enough")
    with profiler.Trace("clean up"):
        pass
    tell()
atexit.register(bye)
serve(sys.argv[1], flush_timeout=30)
if sys.argv[2] == "True":
    profiler.init("a key that is long enough")
    with profiler.Trace("work"):
        pass
"""
    (last,), log = _run(program, sqlite, str(worked), patched=patched)
    assert last["started"] == last["delivered"] == 1 + worked
    assert unaccounted(last) == 0
    assert not [name for name in last if name.startswith(("dropped", "fault"))]
    assert not log


@pytest.mark.parametrize("store", ["jaeger://127.0.0.1", "jaeger+http://127.0.0.1:1", "redis://127.0.0.1:1"])
def test_a_point_after_the_end_whose_store_is_away_is_counted(store: str) -> None:
    program = """
def bye():
    profiler.init("a key that is long enough")
    with profiler.Trace("clean up"):
        pass
    tell()
atexit.register(bye)
serve(sys.argv[1])
profiler.init("a key that is long enough")
with profiler.Trace("work"):
    pass
"""
    (last,), log = _run(program, store)
    assert (last["started"], last["open"], last.get("waiting")) == (2, 0, None)
    assert unaccounted(last) == 0
    assert ("the process ends before 1 spans were delivered" in log) == ("dropped.exit" in last)


def test_a_child_of_multiprocessing_delivers_what_its_later_finalizers_report(tmp_path: Path, sqlite: str) -> None:
    program = """
import multiprocessing, multiprocessing.util
serve(sys.argv[1], flush_interval=1000.0, flush_timeout=30)
def bye():
    profiler.init("a key that is long enough")
    with profiler.Trace("clean up"):
        pass
    tell()
def child():
    multiprocessing.util.Finalize(None, bye, exitpriority=-1)
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join()
"""
    (last,), _ = _run(program, sqlite)
    assert last["started"] == last["delivered"] == 1


@pytest.mark.parametrize("patched", [True, False])
def test_points_that_are_never_stopped_are_open_and_said(patched: bool, sqlite: str) -> None:
    program = """
import gc, opentracing
serve(sys.argv[1], flush_timeout=30)
atexit.register(tell)
profiler.init("a key that is long enough")
for _ in range(100):
    profiler.start("never stopped")
for _ in range(10):
    opentracing.global_tracer().start_span("dropped")
gc.collect()
tell()
"""
    told, log = _run(program, sqlite, patched=patched)
    assert [each["open"] for each in told] == [each["started"] for each in told] == [110, 110]
    assert "the process ends with 110 spans that were started but not stopped" in log


def test_what_an_exit_leaves_is_counted_and_said_in_spans() -> None:
    program = """
def bye():
    tell()
atexit.register(bye)
serve("redis://127.0.0.1:1")
profiler.init("a key that is long enough")
for _ in range(100):
    with profiler.Trace("work"):
        pass
profiler.start("open")
for name in ("made-start", "made-stop"):
    notifier.notify({"name": name, "base_id": "b", "trace_id": "t", "parent_id": "b"})
tell()
"""
    (while_running, last), log = _run(program)
    assert (while_running["waiting"], while_running["open"], while_running["records"]) == (102, 1, 2)
    assert (last["dropped.exit"], last["dropped_starts.exit"], last["open"]) == (102, 101, 1)
    assert unaccounted(while_running) == 0
    assert unaccounted(last) == 0
    assert "the process ends before 101 spans and 2 records were delivered" in log
