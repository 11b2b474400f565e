# SPDX-License-Identifier: Apache-2.0
"""Units of work: a reused worker neither finds nor keeps a trace, in every executor that services use."""

import concurrent.futures
import contextvars
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import thread as stdlib_threads
from pathlib import Path
from typing import Any

import futurist
import pytest
from futurist import _utils as futurist_utils
from futurist import periodics

from osprofiler import profiler
from osprofiler.concurrency import isolation
from osprofiler.context import current, scope

PROGRAMS = Path(__file__).parent / "programs"
BASE = "7bbd2d5c-3c54-4d45-8a9c-9a4b3d1f0a01"
OTHER = "7bbd2d5c-3c54-4d45-8a9c-9a4b3d1f0a02"


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    isolation.install()
    with scope.entered(None):
        yield
    isolation.uninstall()


def seen() -> str | None:
    """The trace that the code which calls this stands in."""
    here = profiler.get()
    return here.get_base_id() if here is not None else None


def leak(base_id: str = OTHER) -> str | None:
    """What services' own serializers and wrappers do in a worker: turn tracing on, and never off."""
    before = seen()
    profiler.init("key", base_id=base_id)
    return before


def leak_and_fail() -> None:
    leak()
    raise KeyError("the work's own")


POOLS: dict[str, Callable[[], Any]] = {
    "concurrent.futures": lambda: concurrent.futures.ThreadPoolExecutor(1),
    "futurist": lambda: futurist.ThreadPoolExecutor(1),
    "futurist dynamic": lambda: futurist.DynamicThreadPoolExecutor(2),
    "processes": lambda: concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")),
}


@pytest.fixture(params=POOLS)
def pool(request: pytest.FixtureRequest) -> Iterator[Any]:
    with POOLS[request.param]() as executor:
        yield executor


def test_a_worker_keeps_nothing_of_the_work_before(pool: Any) -> None:
    assert [pool.submit(leak).result() for _ in range(5)] == [None] * 5


def test_nor_when_the_work_raised(pool: Any) -> None:
    with pytest.raises(KeyError, match="the work's own"):
        pool.submit(leak_and_fail).result()
    assert pool.submit(seen).result() is None


def test_a_worker_does_not_find_its_submitters_trace(pool: Any) -> None:
    # A process pool forks its worker right here, with a copy of this flow's context.
    profiler.init("key", base_id=BASE)
    assert pool.submit(seen).result() is None
    assert seen() == BASE


@pytest.mark.parametrize("name", ["concurrent.futures", "futurist"])
def test_without_it_the_trace_does_stay(name: str) -> None:
    isolation.uninstall()
    with POOLS[name]() as executor:
        assert [executor.submit(leak).result() for _ in range(2)] == [None, OTHER]


def test_work_submitted_before_the_install_is_covered() -> None:
    isolation.uninstall()
    go, found = threading.Event(), []
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        executor.submit(go.wait)
        for _ in range(2):
            executor.submit(lambda: found.append(leak()))
        isolation.install()
        go.set()
    assert found == [None, None]


def test_inline_work_is_in_the_submitters_trace_and_leaves_it_intact() -> None:
    executor = futurist.SynchronousExecutor()
    profiler.init("key", base_id=BASE)
    before = current.point.get()
    assert executor.submit(seen).result() == BASE
    assert executor.submit(leak).result() == BASE
    assert isinstance(executor.submit(leak_and_fail).exception(), KeyError)
    assert current.point.get() is before


def test_a_pool_fed_from_inline_work_is_a_pool_still() -> None:
    executor = futurist.SynchronousExecutor()
    profiler.init("key", base_id=BASE)
    with futurist.ThreadPoolExecutor(1) as pool:
        assert executor.submit(lambda: pool.submit(seen).result()).result() is None


def test_a_worker_that_was_started_from_inline_work_with_a_copy_of_its_context_is_one_too() -> None:
    profiler.init("key", base_id=BASE)
    future: concurrent.futures.Future[str | None] = concurrent.futures.Future()

    def start_worker() -> None:
        context = contextvars.copy_context()  # what Python 3.14 can be told to do for every thread
        worker = threading.Thread(target=context.run, args=(futurist_utils.WorkItem(future, seen).run,))
        worker.start()
        worker.join()

    futurist.SynchronousExecutor().submit(start_worker).result()
    assert future.result() is None


@pytest.mark.parametrize("name", POOLS)
def test_callbacks_leave_nothing_where_they_run(name: str) -> None:
    found: list[str | None] = []
    with POOLS[name]() as executor:
        for _ in range(3):
            future = executor.submit(seen)
            future.add_done_callback(lambda _: found.append(leak()))
            assert future.result() is None
        assert executor.submit(seen).result() is None
    # One that was late ran here, in this flow, as a plain call does; the others began with nothing.
    profiler.clean()
    assert len(found) == 3


def test_a_callback_run_by_whoever_cancels_leaves_that_flow_as_it_was() -> None:
    profiler.init("key", base_id=BASE)
    before = current.point.get()
    future: concurrent.futures.Future[None] = concurrent.futures.Future()
    future.add_done_callback(lambda _: leak())
    future.cancel()
    assert current.point.get() is before


def test_a_periodic_task_never_keeps_a_trace() -> None:
    found: list[str | None] = []

    @periodics.periodic(0.001, run_immediately=True)
    def task() -> None:
        found.append(leak())
        if len(found) == 4:
            worker.stop()

    worker = periodics.PeriodicWorker([(task, (), {})])
    profiler.init("key", base_id=BASE)
    worker.start()
    assert found == [None] * 4
    assert seen() == BASE


def test_install_is_idempotent_and_uninstall_puts_the_originals_back() -> None:
    isolation.uninstall()
    targets: list[tuple[type, str]] = [
        (stdlib_threads._WorkItem, "run"),
        (futurist_utils.WorkItem, "run"),
        (futurist.SynchronousExecutor, "submit"),
    ]
    originals = [vars(owner)[name] for owner, name in targets]
    isolation.install()
    first = [vars(owner)[name] for owner, name in targets]
    isolation.install()
    assert [vars(owner)[name] for owner, name in targets] == first
    assert all(new is not old for new, old in zip(first, originals, strict=True))
    isolation.uninstall()
    isolation.uninstall()
    assert [vars(owner)[name] for owner, name in targets] == originals


def test_whoever_wrapped_after_us_is_not_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, calls = futurist_utils.WorkItem.run, []

    def theirs(self: Any) -> None:
        calls.append(self)
        ours(self)

    monkeypatch.setattr(futurist_utils.WorkItem, "run", theirs)
    isolation.uninstall()
    with futurist.ThreadPoolExecutor(1) as pool:
        assert [pool.submit(leak).result() for _ in range(2)] == [None, OTHER]  # off, through both layers
        isolation.install()
        assert [pool.submit(leak).result() for _ in range(3)][1:] == [None, None]
    assert len(calls) == 5


def test_a_faulty_scope_manager_costs_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    class Faulty:
        def get(self) -> None:
            raise RuntimeError("no scope today")

        set = get

    monkeypatch.setattr(scope, "current", Faulty())
    with futurist.ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: "done").result() == "done"


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("model", ["threading", "eventlet"])
def test_looping_calls_and_green_pools_in_a_process_of_their_own(model: str, order: str) -> None:
    """Installed before or after the libraries are imported, with native threads and in a monkey-patched process."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROGRAMS / "isolated_service.py"), model, order],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout.split()) == (0, ["pool", "loop", "alive"]), done.stderr
