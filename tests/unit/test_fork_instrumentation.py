# SPDX-License-Identifier: Apache-2.0
"""Instrumentation by name, and where following work ends."""

import asyncio
import concurrent.futures
import contextvars
import functools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from osprofiler import config, opentracing_compat, profiler
from osprofiler.concurrency import isolation
from osprofiler.concurrency.branch_callable import BranchCallable, is_machinery, name_of
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.delivery.base import CallableReporter
from osprofiler.instrumentation import layers, registry
from osprofiler.tracer import global_tracer
from tests.unit.span_kit import Recorder, spans  # noqa: F401 (a fixture)
from tests.waiting import wait_until

KEY = "a key"


@pytest.fixture
def traced(spans: Recorder) -> Iterator[Recorder]:  # noqa: F811
    """Tracing is on; what the test instruments is off again after it."""
    profiler.init(KEY)
    yield spans
    registry.uninstrument()
    isolation.uninstall()
    profiler.clean()


def work() -> None:
    with profiler.Trace("work"):
        pass


def not_followed() -> int:
    """How many pieces of work the instrumentation has left out of traces so far."""
    return sum(count for name, count in opentracing_compat.counters().items() if name.startswith("not_followed."))


def own_name(span: Any) -> str:
    return str(span.name).rpartition(".")[2]


# By name


def test_names() -> None:
    models_and_rpc = {
        "asyncio",
        "eventlet",
        "futures",
        "futurist",
        "gevent",
        "logging",
        "messaging",
        "multiprocessing",
        "openstacksdk",
        "oslo_concurrency",
        "oslo_service",
        "subprocess",
        "threading",
    }
    assert registry.known() == sorted(models_and_rpc | layers.SWITCHES.keys())


def test_an_unknown_name_touches_nothing() -> None:
    before = threading.Thread.start
    with pytest.raises(ValueError, match=r"unknown name 'everything'; known names: .*asyncio, "):
        opentracing_compat.instrument("threading", "everything")
    with pytest.raises(ValueError, match="unknown name"):
        opentracing_compat.uninstrument("everything")
    assert threading.Thread.start is before
    assert registry.in_force() == []


def wrapped_here() -> list[Any]:
    from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
    from multiprocessing.pool import Pool
    from multiprocessing.process import BaseProcess

    loop = asyncio.BaseEventLoop
    return [
        threading.Thread.start,
        Executor.submit,
        ThreadPoolExecutor.submit,
        ProcessPoolExecutor.submit,
        ProcessPoolExecutor.map,
        Future.add_done_callback,
        BaseProcess.start,
        Pool.apply_async,
        Pool.imap,
        subprocess.Popen.__init__,
        loop.create_task,
        loop.call_soon,
        loop.call_at,
        loop.call_soon_threadsafe,
        loop.run_in_executor,
    ]


def test_the_very_originals_come_back() -> None:
    names = ("threading", "futures", "multiprocessing", "subprocess", "asyncio")
    before = wrapped_here()
    for _ in range(3):
        opentracing_compat.instrument(*names)
        opentracing_compat.instrument("threading")
    assert registry.in_force() == sorted(names)
    changed = wrapped_here()
    assert [one is other for one, other in zip(before, changed, strict=True)].count(True) == 1  # the abstract submit
    opentracing_compat.uninstrument()
    assert all(one is other for one, other in zip(before, wrapped_here(), strict=True))
    assert registry.in_force() == []


def test_what_two_names_share_goes_with_the_last() -> None:
    before = concurrent.futures.ThreadPoolExecutor.submit
    opentracing_compat.instrument("futures", "openstacksdk")
    opentracing_compat.uninstrument("futures")
    assert concurrent.futures.ThreadPoolExecutor.submit is not before
    opentracing_compat.uninstrument("openstacksdk")
    assert concurrent.futures.ThreadPoolExecutor.submit is before


def test_instrumenting_imports_no_library() -> None:
    program = (
        "import sys; from osprofiler.instrumentation import registry as i; "
        "i.instrument(*[name for name in i.known()]); "
        "print([m for m in ('eventlet', 'gevent', 'futurist', 'oslo_service', 'oslo_concurrency', 'openstack', "
        "'multiprocessing.pool', 'oslo_messaging', 'requests', 'redis', 'pymongo', 'jaeger_client', 'tornado') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# What is followed, and what is not


def test_without_a_trace_callables_pass_untouched(spans: Recorder) -> None:  # noqa: F811
    opentracing_compat.instrument("threading", "futures", "asyncio")
    try:
        seen: list[Any] = []
        future: concurrent.futures.Future[None] = concurrent.futures.Future()
        future.add_done_callback(seen.append)
        assert future._done_callbacks[0] == seen.append  # type: ignore[attr-defined]
        assert not isinstance(future._done_callbacks[0], BranchCallable)  # type: ignore[attr-defined]
        thread = threading.Thread(target=work)
        thread.start()
        assert "run" not in vars(thread)
        thread.join()
        timer = threading.Timer(0, work)
        timer.start()
        timer.join()
        assert timer.function is work
    finally:
        opentracing_compat.uninstrument()
    assert spans.started == []


def test_unsampled_goes_along_and_records_nothing(spans: Recorder) -> None:  # noqa: F811
    opentracing_compat.instrument("threading")
    seen: list[Point | None] = []
    try:
        with scope.entered(Point(None, None, Origin.from_ids(5, 6, flags=0))):
            thread = threading.Thread(target=lambda: seen.append(current.point.get()))
            thread.start()
            thread.join()
    finally:
        opentracing_compat.uninstrument()
    assert seen[0] is not None
    assert (seen[0].origin.trace_id, seen[0].origin.sampled) == (5, False)
    assert spans.started == []


def test_under_the_reporter_nothing_is_recorded(traced: Recorder) -> None:
    opentracing_compat.instrument("threading")
    with scope.entered(scope.SUPPRESSED):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert traced.started == []


def test_a_pool_made_in_a_request_outlives_it(traced: Recorder) -> None:
    """Its workers, threads and processes, are no branches of the request, and later work is not in its trace."""
    opentracing_compat.instrument("threading", "futures", "multiprocessing")
    isolation.install()
    with profiler.Trace("request"):
        pool = concurrent.futures.ThreadPoolExecutor(1)
        pool.submit(work).result()
    profiler.clean()
    assert [own_name(span) for span in traced.started] == ["request", "work", "work"]
    assert pool.submit(lambda: current.point.get()).result() is None
    pool.shutdown()


def test_a_thread_that_a_library_keeps_its_connection_in_is_no_branch(traced: Recorder) -> None:
    pymongo = pytest.importorskip("pymongo")
    opentracing_compat.instrument("threading")
    with profiler.Trace("request"):
        client = pymongo.MongoClient("mongodb://127.0.0.1:1", serverSelectionTimeoutMS=1)
        with pytest.raises(pymongo.errors.ServerSelectionTimeoutError):
            client.admin.command("ping")
    assert [span.name for span in traced.started] == ["request"]
    client.close()


def test_a_timer_that_goes_on_setting_itself_leaves_the_trace(traced: Recorder) -> None:
    opentracing_compat.instrument("threading")
    before = not_followed()
    rounds = []
    ended, over = threading.Event(), threading.Event()

    def tick() -> None:
        ended.wait()
        rounds.append(current.point.get() is not None)
        if len(rounds) == 5:
            over.set()
        else:
            threading.Timer(0, tick).start()

    with profiler.Trace("request"):
        threading.Timer(0.001, tick).start()
    ended.set()
    over.wait()
    wait_until(lambda: len(traced.started) == len(traced.finished))
    assert rounds == [True, False, False, False, False], "only what the request set runs in its trace"
    assert not_followed() == before + 1, "the rounds after it have no trace to be left out of"


def test_work_that_sets_itself_and_could_be_waited_for_leaves_it_too(traced: Recorder) -> None:
    """Each round has a handle, so its branch is a child; but after the request's end nobody waits for it."""
    opentracing_compat.instrument("futures")
    before = not_followed()
    rounds: list[bool] = []
    over = threading.Event()
    pool = concurrent.futures.ThreadPoolExecutor(1)
    go_on = threading.Event()

    def tick() -> None:
        go_on.wait()
        rounds.append(current.point.get() is not None)
        if len(rounds) == 5:
            over.set()
        else:
            pool.submit(tick)  # it begins when this has ended: there is one worker

    with profiler.Trace("request"):
        pool.submit(tick)
    go_on.set()
    over.wait()
    pool.shutdown()
    assert rounds == [True, False, False, False, False]
    assert not_followed() == before + 1


def test_work_handed_on_by_detached_work_is_followed_while_it_is_awaited(traced: Recorder) -> None:
    opentracing_compat.instrument("futures")
    before = not_followed()
    with profiler.Trace("request"):
        fork = profiler.fork("cast", detached=True)
        branch = fork.branch()

    def cast() -> None:
        with branch, concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(work).result()

    thread = threading.Thread(target=cast)
    thread.start()
    thread.join()
    inner = next(span for span in traced.finished if own_name(span) == "work" and span.name != "work")
    assert inner.parent_span_id == branch.span_id
    assert not inner.follows
    assert not_followed() == before


def test_a_context_given_by_hand_is_entered_outside_the_branch(traced: Recorder) -> None:
    opentracing_compat.instrument("futures")
    other: contextvars.ContextVar[int] = contextvars.ContextVar("other")
    other.set(7)

    def inside() -> tuple[int, Any]:
        here = current.point.get()
        return other.get(), here and here.span and here.span.parent_span_id

    with profiler.Trace("request"), concurrent.futures.ThreadPoolExecutor(1) as pool:
        request = current.point.get()
        assert request is not None
        assert request.span is not None
        context = contextvars.copy_context()
        assert pool.submit(context.run, inside).result() == (7, request.span.span_id)
        assert pool.submit(functools.partial(context.run, inside)).result() == (7, request.span.span_id)
    assert sum(own_name(span) == "inside" for span in traced.finished) == 2


def test_arguments_may_be_given_by_name(traced: Recorder) -> None:
    opentracing_compat.instrument("subprocess", "futures")
    called: list[Any] = []
    for traced_or_not in (lambda: profiler.init(KEY), profiler.clean):
        traced_or_not()
        assert subprocess.run(args=["true"], check=True).returncode == 0
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(work).add_done_callback(fn=called.append)
    assert len(called) == 2


def test_work_that_is_given_by_name_is_a_branch(traced: Recorder) -> None:
    opentracing_compat.instrument("asyncio")

    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, func=work)

    with profiler.Trace("request"):
        asyncio.run(main())
    inner, branch = (span for span in traced.finished if own_name(span) == "work")
    assert branch.name == f"{__name__}.work"
    assert inner.parent_span_id == branch.span_id


def test_a_cancelled_future_or_task_makes_no_span(traced: Recorder) -> None:
    opentracing_compat.instrument("futures", "asyncio")
    started = []

    async def inside() -> None:
        started.append(1)

    async def main() -> None:
        task = asyncio.create_task(inside())
        task.cancel()
        await asyncio.wait([task])
        loop = asyncio.get_running_loop()
        loop.call_later(3600, work).cancel()

    with profiler.Trace("request"):
        asyncio.run(main())
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            gate = threading.Event()
            pool.submit(gate.wait)
            waiting = pool.submit(work)
            assert waiting.cancel()
            gate.set()
    assert started == []
    assert {own_name(span) for span in traced.finished} == {"request", "main", "wait"}


def test_a_task_left_behind_ends_with_its_loop(traced: Recorder) -> None:
    """Its branch ends as well, in its own place, when the coroutine is thrown away."""
    opentracing_compat.instrument("asyncio")

    async def endless() -> None:
        with profiler.Trace("inside"):
            await asyncio.get_running_loop().create_future()

    async def main() -> Any:
        task = asyncio.get_running_loop().create_task(endless())
        await asyncio.sleep(0)
        return task.get_coro()

    loop = asyncio.new_event_loop()
    with profiler.Trace("request"):
        coroutine = loop.run_until_complete(main())
        coroutine.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.close()
    profiler.clean()
    assert traced.by_name("inside").parent_span_id == next(
        span.span_id for span in traced.finished if own_name(span) == "endless"
    )


def test_a_task_is_its_own_coroutine_to_whoever_looks(traced: Recorder) -> None:
    opentracing_compat.instrument("asyncio")

    async def inside() -> str:
        return asyncio.current_task().get_coro().__qualname__  # type: ignore[union-attr]

    async def main() -> str:
        task = asyncio.create_task(inside(), name="mine")
        assert task.get_name() == "mine"
        assert "inside" in repr(task)
        assert asyncio.iscoroutine(task.get_coro())
        return await task

    with profiler.Trace("request"):
        assert asyncio.run(main(), debug=True).endswith("inside")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="a task's context can be given since Python 3.11")
def test_tasks_that_share_a_context_keep_apart(traced: Recorder) -> None:
    opentracing_compat.instrument("asyncio")

    async def inside(name: str) -> None:
        for turn in range(3):
            with profiler.Trace(f"{name} {turn}"):
                await asyncio.sleep(0)

    async def main() -> None:
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.create_task(inside(name), context=context) for name in "ab"))

    with profiler.Trace("request"):
        asyncio.run(main())
    for name in "ab":
        above = {traced.by_name(f"{name} {turn}").parent_span_id for turn in range(3)}
        assert len(above) == 1
    assert traced.by_name("a 0").parent_span_id != traced.by_name("b 0").parent_span_id


def test_done_callbacks_can_still_be_removed(traced: Recorder) -> None:
    opentracing_compat.instrument("eventlet", "asyncio")
    import eventlet

    called: list[Any] = []
    with profiler.Trace("request"):
        thread = eventlet.spawn(int)
        thread.link(called.append)
        assert thread.unlink(called.append)
        thread.wait()

        async def main() -> None:
            future = asyncio.get_running_loop().create_future()
            future.add_done_callback(called.append)
            assert future.remove_done_callback(called.append) == 1
            future.set_result(None)

        asyncio.run(main())
    assert called == []


def test_a_killed_greenthread_that_never_ran_makes_no_span(traced: Recorder) -> None:
    opentracing_compat.instrument("eventlet")
    import eventlet

    with profiler.Trace("request"):
        eventlet.spawn(work).kill()
        eventlet.spawn(work).cancel()
        eventlet.sleep(0)
    assert traced.names() == ["request"]


# gevent


def test_gevent_is_left_as_it_was(traced: Recorder) -> None:
    from gevent import hub, pool, threadpool

    def placed() -> list[Any]:
        return [pool.GroupMappingMixin.map, threadpool.ThreadPool.spawn, hub.TrackedRawGreenlet, hub.RawGreenlet]

    before = placed()
    for _ in range(2):
        opentracing_compat.instrument("gevent")
        assert all(one is not other for one, other in zip(before, placed(), strict=True))
        opentracing_compat.uninstrument("gevent")
        assert all(one is other for one, other in zip(before, placed(), strict=True))
    with profiler.Trace("request"):
        greenlet = gevent_spawn(work)
        assert vars(greenlet)["_run"] is work
        greenlet.join()


def gevent_spawn(*args: Any) -> Any:
    import gevent

    return gevent.spawn(*args)


def test_links_of_greenlets_can_still_be_removed(traced: Recorder) -> None:
    opentracing_compat.instrument("gevent")
    called: list[Any] = []
    with profiler.Trace("request"):
        greenlet = gevent_spawn(int)
        greenlet.link(called.append)
        greenlet.link(own_name)
        greenlet.unlink(called.append)
        greenlet.unlink(own_name)
        assert not greenlet.has_links()
        greenlet.get()
    assert called == []


def test_links_of_either_kind_are_followed(traced: Recorder) -> None:
    import gevent

    opentracing_compat.instrument("gevent")
    with profiler.Trace("request"):
        good, bad = gevent_spawn(int), gevent_spawn(int, "no number")
        good.link_value(lambda _: work())
        bad.link_exception(callback=lambda _: work())
        bad.link_value(lambda _: work())
        gevent.joinall([good, bad])
        gevent.sleep(0.01)
    assert traced.names().count("work") == 2
    assert sum(span.follows for span in traced.finished) == 2


def test_a_killed_greenlet_that_never_ran_makes_no_span(traced: Recorder) -> None:
    opentracing_compat.instrument("gevent")
    with profiler.Trace("request"):
        gevent_spawn(work).kill()
    assert traced.names() == ["request"]


def test_a_greenlet_that_goes_on_spawning_itself_leaves_the_trace(traced: Recorder) -> None:
    import gevent
    from gevent.event import Event

    opentracing_compat.instrument("gevent")
    rounds: list[bool] = []
    over = Event()

    def tick() -> None:
        rounds.append(current.point.get() is not None)
        if len(rounds) == 5:
            over.set()
        else:
            gevent.spawn_later(0.001, tick)

    with profiler.Trace("request"):
        gevent.spawn_later(0.001, tick)
    assert over.wait(60)
    assert rounds == [True, False, False, False, False]


def test_a_context_given_to_a_greenlet_is_entered_outside_the_branch(traced: Recorder) -> None:
    opentracing_compat.instrument("gevent")
    other: contextvars.ContextVar[int] = contextvars.ContextVar("other")
    other.set(7)

    def inside(own: int) -> tuple[int, int, Any]:
        here = current.point.get()
        return other.get(), own, here and here.span and here.span.parent_span_id

    with profiler.Trace("request"):
        request = current.point.get()
        assert request is not None
        assert request.span is not None
        assert gevent_spawn(contextvars.copy_context().run, inside, 8).get() == (7, 8, request.span.span_id)


def test_gevent_asks_name_servers_without_a_branch(traced: Recorder) -> None:
    from gevent import socket

    opentracing_compat.instrument("gevent")
    with profiler.Trace("request"):
        assert socket.getaddrinfo("localhost", 80)
    assert traced.names() == ["request"]


def test_what_gevent_keeps_is_in_nobody_s_trace(traced: Recorder) -> None:
    """A greenlet starts without a trace; threads of a pool and the hub keep none of those left on in them."""
    import gevent
    from gevent.threadpool import ThreadPoolExecutor

    isolation.install()
    seen: list[bool] = []

    def leave_on(*_: object) -> None:
        profiler.init("another key")

    def look() -> None:
        seen.append(current.point.get() is not None)

    with profiler.Trace("request"):
        gevent_spawn(look).join()
        pool = ThreadPoolExecutor(1)
        future = pool.submit(leave_on)
        future.add_done_callback(leave_on)
        future.result()
        pool.submit(look).result()
        gevent.sleep(0.01)
        gevent.get_hub().loop.run_callback(look)
        gevent.sleep(0.01)
        pool.shutdown()
    assert seen == [False, False, False]


def test_a_looping_call_leaves_the_trace_with_the_request(traced: Recorder) -> None:
    program = """
import threading
from osprofiler import profiler, opentracing_compat
from osprofiler.context import current
from osprofiler.concurrency import isolation
from oslo_service import backend
backend.init_backend(backend.BackendType.THREADING)
from oslo_service import loopingcall
isolation.install()
opentracing_compat.instrument("oslo_service")
seen, beat, go_on = [], threading.Semaphore(0), threading.Semaphore(0)
def tick():
    seen.append(current.point.get() is not None)
    beat.release()
    go_on.acquire()
loop = loopingcall.FixedIntervalLoopingCall(tick)
profiler.init("a key")
with profiler.Trace("request"):
    loop.start(0.001)
    for _ in range(3):
        beat.acquire(); go_on.release()
    beat.acquire()
profiler.clean()
for _ in range(3):
    go_on.release(); beat.acquire()
loop.stop(); go_on.release(); loop.wait()
print(seen)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == str([True] * 4 + [False] * 3)


# Processes


def test_open_points_of_the_parent_are_not_the_forked_child_s(traced: Recorder) -> None:
    read, write = os.pipe()
    tracer = global_tracer.get_tracer()
    with profiler.Trace("request"):
        profiler.start("bare")
        inherited = profiler.fork("fork").branch("inherited")
        pid = os.fork()
        if not pid:
            tracer.report_to(CallableReporter(lambda record: os.write(write, f"{record['name']}\n".encode()) and None))
            try:
                with profiler.Trace("child"):
                    pass
                profiler.stop()
                with inherited:
                    pass
                raise SystemExit  # unwinds nothing of the parent's: it is caught here
            except SystemExit:
                profiler.stop()
                profiler.clean()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        profiler.stop()
        with inherited:
            pass
    os.close(write)
    with os.fdopen(read) as told:
        names = told.read().split()
    assert names == ["child-start", "child-stop", "inherited-start", "inherited-stop"]
    assert sorted(traced.names()) == ["bare", "inherited", "request"]


@pytest.mark.parametrize("given", [None, {"PATH": os.environ.get("PATH", ""), "OWN": "1"}])
def test_a_program_finds_the_trace_in_its_environment(traced: Recorder, given: dict[str, str] | None) -> None:
    config.publish(hmac_keys=(KEY,))
    opentracing_compat.instrument("subprocess")
    before = dict(os.environ)
    show = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
    with profiler.Trace("request"):
        here = current.point.get()
        assert here is not None
        assert here.span is not None
        told = subprocess.run(show, env=given, capture_output=True, text=True, check=True).stdout
    found = json.loads(told)
    trace_id, span_id = f"{here.origin.trace_id:032x}", f"{here.span.span_id:016x}"
    assert found["TRACEPARENT"] == f"00-{trace_id}-{span_id}-01"
    assert found["UBER_TRACE_ID"].startswith(f"{trace_id}:{span_id}:")
    assert found["X_TRACE_CONTEXT"]
    assert "X_TRACE_BRANCH" not in found
    assert KEY not in told
    assert (found.get("OWN") == "1") is (given is not None)
    assert dict(os.environ) == before


def test_arguments_of_programs_are_not_recorded(traced: Recorder) -> None:
    from oslo_concurrency import processutils

    opentracing_compat.instrument("oslo_concurrency")
    with profiler.Trace("request"):
        processutils.execute("true", "--password=hush")
        with pytest.raises(processutils.ProcessExecutionError):
            processutils.execute("false", "--password=hush")
    good, bad = [span for span in traced.finished if span.name == "execute"]
    assert good.operation_name == "execute true"
    assert bad.own_tags["error"] is True
    assert "hush" not in str([good.start_info, good.own_tags])


# Names


class Callable_:
    def __call__(self) -> None: ...

    def method(self) -> None: ...


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (work, f"{__name__}.work"),
        (functools.partial(functools.partial(work)), f"{__name__}.work"),
        (Callable_(), f"{__name__}.Callable_"),
        (Callable_().method, f"{__name__}.Callable_.method"),
        (Callable_, f"{__name__}.Callable_"),
        (os.getpid, "posix.getpid"),
    ],
)
def test_a_branch_is_called_as_its_function(function: Callable[..., Any], name: str) -> None:
    assert name_of(function) == name


@pytest.mark.parametrize(
    ("function", "machinery"),
    [
        (work, False),
        (functools.partial(work, 1), False),
        (Callable_(), False),
        ([].append, True),
        (threading.Event().set, False),
        (asyncio.sleep, True),
        (concurrent.futures.wait, True),
        (functools.partial(concurrent.futures.wait), True),
    ],
)
def test_machinery(function: Callable[..., Any], machinery: bool) -> None:
    assert is_machinery(function) is machinery
