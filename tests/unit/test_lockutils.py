# SPDX-License-Identifier: Apache-2.0
"""Locks of oslo.concurrency: a span for each wait, and none for a lock that is free."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from oslo_concurrency import lockutils

from osprofiler import profiler
from osprofiler.context import current, scope
from osprofiler.context.origin import Origin
from osprofiler.context.points import Point
from osprofiler.instrumentation import registry
from osprofiler.testing.recorder import KEY
from tests.unit.span_kit import Recorder, spans  # noqa: F401
from tests.waiting import wait_until

Lock = Callable[..., Any]

HOLDER = """
import sys
from oslo_concurrency import lockutils
with lockutils.external_lock("volume", "shop", sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""

GREEN = Path(__file__).parent / "programs" / "green_locks.py"

OF_THREADS = pytest.mark.parametrize("settings", [{}, {"fair": True}], ids=["internal", "fair"])


@pytest.fixture
def lock(spans: Recorder, tmp_path: Path) -> Iterator[Lock]:  # noqa: F811
    """``lockutils.lock`` with a folder for its files, in a trace."""
    # The first one imports eventlet. A thread that does this never ends for those who join it.
    lockutils.ReaderWriterLock()
    registry.instrument("lockutils")
    profiler.init(KEY)

    def lock(name: str, **settings: Any) -> Any:
        return lockutils.lock(name, "shop", lock_path=str(tmp_path), **settings)

    yield lock
    profiler.clean()
    registry.uninstrument()


@contextmanager
def held_by_a_thread(**settings: Any) -> Iterator[Callable[[], None]]:
    """A block in which a thread has the lock until a function, the value of the block, is called."""
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with lockutils.lock("volume", **settings):
            held.set()
            assert free.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)
    try:
        yield free.set
    finally:
        free.set()
        thread.join()


@contextmanager
def freed_when_waited_for(free: Callable[[], None], spans: Recorder) -> Iterator[None]:  # noqa: F811
    """A block with a thread that calls *free* when the span of a wait has begun."""
    thread = threading.Thread(target=lambda: (wait_until(lambda: bool(spans.started), what="a wait"), free()))
    thread.start()
    yield
    thread.join()


@OF_THREADS
def test_a_wait_for_another_thread_is_a_span(lock: Lock, spans: Recorder, settings: dict[str, Any]) -> None:  # noqa: F811
    with held_by_a_thread(**settings) as free, freed_when_waited_for(free, spans), lock("volume", **settings):
        assert [span.name for span in spans.finished] == ["lock"], "the span ends when the lock is acquired"
    (span,) = spans.finished
    assert span.operation_name == "lock wait"
    assert span.own_tags["lock.name"] == "volume"
    assert span.own_tags["lock.kind"] == ("fair" if settings else "internal")


def test_a_wait_for_another_process_is_a_span(lock: Lock, spans: Recorder, tmp_path: Path) -> None:  # noqa: F811
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with freed_when_waited_for(holder.stdin.close, spans), lock("volume", external=True):
            pass
    (span,) = spans.finished
    assert (span.own_tags["lock.name"], span.own_tags["lock.kind"]) == ("volume", "external")


@OF_THREADS
def test_a_decorated_function_waits_in_a_span(lock: Lock, spans: Recorder, settings: dict[str, Any]) -> None:  # noqa: F811
    @lockutils.synchronized("volume", **settings)
    def attach() -> str:
        with profiler.Trace("attach"):
            return "attached"

    with held_by_a_thread(**settings) as free, freed_when_waited_for(free, spans):
        assert attach() == "attached"
    assert spans.tree() == [("lock", None), ("attach", None)]


@pytest.mark.parametrize("settings", [{}, {"fair": True}, {"external": True}, {"blocking": False}], ids=str)
def test_a_free_lock_has_no_span(lock: Lock, spans: Recorder, settings: dict[str, Any]) -> None:  # noqa: F811
    for _ in range(3):
        with lock("volume", **settings):
            pass
    assert spans.started == []


def test_a_fair_lock_may_be_entered_again(lock: Lock, spans: Recorder) -> None:  # noqa: F811
    with lock("volume", fair=True), lock("volume", fair=True):
        pass
    assert spans.started == []


def test_a_lock_that_is_not_waited_for_has_no_span(lock: Lock, spans: Recorder) -> None:  # noqa: F811
    with held_by_a_thread(), pytest.raises(lockutils.AcquireLockFailedException), lock("volume", blocking=False):
        pass
    assert spans.started == []


def test_a_wait_that_is_broken_off_is_an_error(lock: Lock, spans: Recorder, tmp_path: Path) -> None:  # noqa: F811
    broken = KeyboardInterrupt()

    class Breaking(lockutils.Semaphores):
        def get(self, name: str) -> Any:
            return Broken()

    class Broken(threading.Semaphore):
        def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
            if blocking:
                raise broken
            return False

    before = current.point.get()
    with pytest.raises(KeyboardInterrupt) as raised, lock("volume", semaphores=Breaking()):
        pass
    assert raised.value is broken
    assert current.point.get() is before
    assert spans.finished[0].own_tags["error"] is True


def test_a_lock_is_still_one(lock: Lock, spans: Recorder, tmp_path: Path) -> None:  # noqa: F811
    semaphore = lockutils.internal_lock("volume")
    assert isinstance(semaphore, threading.Semaphore)
    with semaphore:
        assert not semaphore.acquire(blocking=False)
    file = lockutils.external_lock("volume", "shop", str(tmp_path))
    assert isinstance(file, lockutils.InterProcessLock)
    with file:
        assert file.acquired
    assert not file.acquired
    with lock("volume", external=True) as held:
        assert held.exists()
    lockutils.remove_external_lock_file("volume", "shop", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_without_a_sampled_trace_the_locks_are_the_library_s_own(lock: Lock, tmp_path: Path) -> None:
    for point in (None, Point(None, None, Origin.from_osprofiler(KEY, flags=0)), scope.SUPPRESSED):
        with scope.entered(point):
            assert type(lockutils.internal_lock("volume")) is threading.Semaphore
            assert type(lockutils.internal_fair_lock("volume")) is lockutils.ReaderWriterLock
            assert type(lockutils.external_lock("volume", "shop", str(tmp_path))) is lockutils.InterProcessLock


def test_uninstrumented_it_is_the_library_s_own(lock: Lock, spans: Recorder) -> None:  # noqa: F811
    names = ("internal_lock", "internal_fair_lock", "external_lock")
    registry.instrument("lockutils")
    with held_by_a_thread() as free, freed_when_waited_for(free, spans), lock("volume"):
        pass
    assert len(spans.finished) == 1
    registry.uninstrument("lockutils")
    assert [hasattr(getattr(lockutils, name), "__wrapped__") for name in names] == [False] * 3


def test_greenthreads_of_eventlet_wait_in_a_span() -> None:
    done = subprocess.run([sys.executable, str(GREEN)], capture_output=True, text=True, check=True, timeout=120)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row.pop("kind") for row in rows] == ["internal", "fair", "external"]
    for row in rows:
        assert row == {
            "happened": ["one wants", "one has", "two wants", "one leaves", "two has", "two leaves"],
            "spans": [["lock wait", "two"], ["one", None], ["two", None]],
            "clean": [True, True],
        }
