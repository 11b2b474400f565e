# SPDX-License-Identifier: Apache-2.0
"""`trace` on coroutines and asynchronous generators, and under eventlet."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from osprofiler import profiler
from tests.unit.core_kit import Caught

pytestmark = pytest.mark.usefixtures("osprofiler_process")


@profiler.trace("agen", hide_result=False)
async def numbers(limit: int) -> AsyncIterator[int]:
    for index in range(limit):
        with profiler.Trace("step"):
            await asyncio.sleep(0)
        yield index


def test_a_coroutine_is_open_until_it_ends(records: Caught) -> None:
    order: list[str] = []

    @profiler.trace("coroutine", hide_result=False)
    async def work(a: int) -> int:
        order.extend(records.paths())
        await asyncio.sleep(0)
        with profiler.Trace("inside"):
            await asyncio.sleep(0)
        return a + 1

    async def main() -> int:
        profiler.init("key")
        pending = work(1)
        assert records == []
        return await pending

    assert asyncio.run(main()) == 2
    assert order == ["coroutine!"]
    assert records.paths() == ["coroutine", "coroutine/inside"]
    assert records.stop_of("coroutine")["info"]["function"]["result"] == "2"


def test_concurrent_coroutines(records: Caught) -> None:
    @profiler.trace("work")
    async def work(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
            with profiler.Trace(f"step of {turns}"):
                await asyncio.sleep(0)

    async def main() -> None:
        profiler.init("key")
        with profiler.Trace("request"):
            await asyncio.gather(*(work(turns) for turns in (1, 2, 3)))

    asyncio.run(main())
    paths = records.paths()
    assert sorted(set(paths)) == ["request", "request/work", *(f"request/work/step of {turns}" for turns in (1, 2, 3))]
    assert [paths.count(f"request/work/step of {turns}") for turns in (1, 2, 3)] == [1, 2, 3]


def test_a_cancelled_coroutine_is_an_error(records: Caught) -> None:
    entered = asyncio.Event()

    @profiler.trace("waiting")
    async def wait() -> None:
        entered.set()
        await asyncio.Event().wait()

    async def main() -> None:
        profiler.init("key")
        task = asyncio.create_task(wait())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert records.stop_of("waiting")["info"]["etype"] == "asyncio.exceptions.CancelledError"


def test_an_object_whose_call_is_a_coroutine(records: Caught) -> None:
    class Job:
        async def __call__(self) -> int:
            await asyncio.sleep(0)
            assert records.paths() == ["job!"]
            return 5

    async def main() -> int:
        profiler.init("key")
        return await profiler.trace("job")(Job())()

    assert asyncio.run(main()) == 5
    assert records.paths() == ["job"]


def test_an_asynchronous_generator(records: Caught) -> None:
    async def main() -> list[int]:
        profiler.init("key")
        got = []
        async for number in numbers(2):
            with profiler.Trace("loop"):
                got.append(number)
        return got

    assert asyncio.run(main()) == [0, 1]
    assert records.paths() == ["agen", "agen/step", "loop", "agen/step", "loop"]


def test_an_asynchronous_generator_that_nobody_resumes(records: Caught) -> None:
    async def main() -> None:
        profiler.init("key")
        await numbers(2).aclose()

    asyncio.run(main())
    assert records == []


def test_an_asynchronous_generator_left_half_way(records: Caught) -> None:
    async def main() -> None:
        profiler.init("key")
        running = numbers(3)
        await anext(running)
        await asyncio.create_task(running.aclose())  # another task, with a copy of this context

    asyncio.run(main())
    assert records.paths() == ["agen", "agen/step"]
    assert "etype" not in records.stop_of("agen")["info"]


def test_an_asynchronous_generator_that_the_loop_closes(records: Caught) -> None:
    running = numbers(3)

    async def main() -> None:
        profiler.init("key")
        await anext(running)

    asyncio.run(main())
    assert records.paths() == ["agen", "agen/step"]


def test_send_and_throw_into_an_asynchronous_generator(records: Caught) -> None:
    @profiler.trace("echo")
    async def echo() -> AsyncIterator[str]:
        word = "ready"
        while True:
            try:
                word = yield word
            except ValueError as fault:
                word = f"caught {fault}"

    async def main() -> list[str]:
        profiler.init("key")
        running = echo()
        got = [await anext(running), await running.asend("one"), await running.athrow(ValueError("two"))]
        with pytest.raises(KeyError):
            await running.athrow(KeyError("three"))
        return got

    assert asyncio.run(main()) == ["ready", "one", "caught two"]
    assert records.stop_of("echo")["info"]["etype"] == "KeyError"


EVENTLET = """
import eventlet
eventlet.monkey_patch()
from osprofiler import notifier, profiler
from tests.unit.core_kit import Caught

records = Caught()
notifier.set(records.append)

@profiler.trace("work")
def work(turns):
    for _ in range(turns):
        eventlet.sleep(0)
        with profiler.Trace(f"step of {turns}"):
            eventlet.sleep(0)

def request(turns):
    assert profiler.get() is None
    profiler.init("key")
    work(turns)
    profiler.clean()

pool = eventlet.GreenPool(2)  # greenthreads are reused
for turns in (1, 2, 3, 4):
    pool.spawn(request, turns)
pool.waitall()

def timed_out():
    profiler.init("key")
    try:
        with eventlet.Timeout(0.01), profiler.Trace("slow"):
            eventlet.sleep(30)
    except eventlet.Timeout:
        profiler.clean()
        return True

assert eventlet.spawn(timed_out).wait()
assert profiler.get() is None
paths = records.paths()
assert [paths.count(f"work/step of {turns}") for turns in (1, 2, 3, 4)] == [1, 2, 3, 4], paths
assert paths.count("work") == 4 and paths.count("slow") == 1, paths
assert len({record["base_id"] for record in records}) == 5
print("whole")
"""


def test_greenthreads_are_flows_of_their_own() -> None:
    done = subprocess.run([sys.executable, "-c", EVENTLET], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "whole", done.stderr
