# SPDX-License-Identifier: Apache-2.0
"""`trace` on plain functions that return coroutines, generators or futures: the point stays open, the type stays."""

import asyncio
import contextlib
import gc
import inspect
import types
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

import pytest

from osprofiler import profiler
from osprofiler.context import current
from tests.unit.core_kit import Caught

pytestmark = pytest.mark.usefixtures("osprofiler_process")

traced = profiler.trace("point", hide_result=False)


async def work(result: Any) -> Any:
    with profiler.Trace("inside"):
        await asyncio.sleep(0)
    if isinstance(result, BaseException):
        raise result
    return result


def numbers(limit: int) -> Generator[int, Any, str]:
    got = []
    for index in range(limit):
        with profiler.Trace("step"):
            got.append((yield index))
    return f"got {got}"


async def async_numbers(limit: int) -> AsyncIterator[int]:
    for index in range(limit):
        with profiler.Trace("step"):
            await asyncio.sleep(0)
        yield index


def plainly(f: Callable[..., Any]) -> Callable[..., Any]:
    """A traced plain function that returns the result of *f*."""
    return traced(lambda *args: f(*args))


def in_a_trace(body: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        profiler.init("key")
        before = current.point.get()
        result = await body()
        assert current.point.get() is before
        return result

    return asyncio.run(main())


# Coroutines


def test_the_point_goes_on_with_a_coroutine(records: Caught) -> None:
    async def body() -> Any:
        running = plainly(work)(5)
        assert inspect.iscoroutine(running)
        assert (running.__name__, running.__qualname__) == ("work", "work")
        with profiler.Trace("between"):
            pass
        return await running

    assert in_a_trace(body) == 5
    assert records.paths() == ["point", "between", "point/inside"]
    assert [record["name"] for record in records][-2:] == ["inside-stop", "point-stop"]
    assert records.stop_of("point")["info"]["function"]["result"] == "5"


def test_a_coroutine_that_fails(records: Caught) -> None:
    fault = LookupError("no valid host")

    async def body() -> Any:
        return await plainly(work)(fault)

    with pytest.raises(LookupError) as raised:
        in_a_trace(body)
    assert raised.value is fault
    assert records.stop_of("point")["info"]["etype"] == "LookupError"
    profiler.clean()


def test_a_coroutine_that_is_awaited_somewhere_else(records: Caught) -> None:
    async def body() -> Any:
        one, two = plainly(work)(1), plainly(work)(2)
        with profiler.Trace("later"):
            inside = current.point.get()
            results = [await one, await asyncio.create_task(two)]
            assert current.point.get() is inside
        return results

    assert in_a_trace(body) == [1, 2]
    assert sorted(records.paths()) == ["later", "point", "point", "point/inside", "point/inside"]


def test_what_the_call_itself_left_open_stays_inside(records: Caught) -> None:
    @traced
    def opening() -> Any:
        profiler.start("bare")
        return work(1)

    in_a_trace(opening)
    assert records.paths() == ["point", "point/bare", "point/bare/inside"]


@pytest.mark.parametrize(("leave", "told"), [("dropped", 1), ("closed", 0)])
def test_a_coroutine_that_nobody_awaits(records: Caught, leave: str, told: int) -> None:
    async def body() -> None:
        running = plainly(work)(1)
        if leave == "closed":
            running.close()
        del running
        gc.collect()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        in_a_trace(body)
    assert [str(one.message) for one in caught] == ["coroutine 'work' was never awaited"] * told
    caught.clear()  # a warning has a reference to its coroutine
    assert records.paths() == ["point"]


def test_a_cancelled_coroutine(records: Caught) -> None:
    async def body() -> None:
        task = asyncio.ensure_future(plainly(lambda: asyncio.sleep(3600))())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    in_a_trace(body)
    assert records.stop_of("point")["info"]["etype"] == "asyncio.exceptions.CancelledError"


# Generators


def test_the_point_goes_on_with_a_generator(records: Caught) -> None:
    profiler.init("key")
    running = plainly(numbers)(2)
    assert inspect.isgenerator(running)
    assert (running.__name__, running.__qualname__) == ("numbers", "numbers")
    assert next(running) == 0
    with profiler.Trace("between"):
        assert running.send("x") == 1
    with pytest.raises(StopIteration) as stop:
        running.send("y")
    assert stop.value.value == "got ['x', 'y']"
    assert records.paths() == ["point", "point/step", "between", "point/step"]
    assert "got ['x', 'y']" in records.stop_of("point")["info"]["function"]["result"]


@pytest.mark.parametrize("leave", ["close", "forget", "close unbegun", "forget unbegun"])
def test_a_generator_that_is_left(records: Caught, leave: str) -> None:
    profiler.init("key")
    running: Any = plainly(numbers)(5)
    if "unbegun" not in leave:
        next(running)
    if "close" in leave:
        running.close()
    del running
    gc.collect()
    (stop,) = [record for record in records.stops if record["name"] == "point-stop"]
    assert "etype" not in stop["info"]
    assert all(not path.endswith("!") for path in records.paths())


def test_throw_into_a_generator(records: Caught) -> None:
    profiler.init("key")
    running = plainly(numbers)(5)
    next(running)
    fault = KeyError("x")
    with pytest.raises(KeyError) as raised:
        running.throw(fault)
    assert raised.value is fault
    assert records.stop_of("point")["info"]["etype"] == "KeyError"


def test_an_awaitable_generator_stays_awaitable(records: Caught) -> None:
    @types.coroutine
    def pause() -> Generator[Any, Any, str]:
        with profiler.Trace("inside"):
            yield from asyncio.sleep(0).__await__()
        return "resumed"

    async def body() -> str:
        running = plainly(pause)()
        assert inspect.isawaitable(running)
        return await running  # type: ignore[no-any-return]

    assert in_a_trace(body) == "resumed"
    assert records.paths() == ["point", "point/inside"]


def test_the_point_goes_on_with_an_asynchronous_generator(records: Caught) -> None:
    async def body() -> list[int]:
        running = plainly(async_numbers)(2)
        assert inspect.isasyncgen(running)
        assert running.__name__ == "async_numbers"
        got = []
        async for number in running:
            with profiler.Trace("loop"):
                got.append(number)
        return got

    assert in_a_trace(body) == [0, 1]
    assert records.paths() == ["point", "point/step", "loop", "point/step", "loop"]


# An object that other code knows is returned unchanged


@pytest.mark.parametrize("make", [work, numbers, async_numbers])
def test_what_is_shared_is_the_same_object(records: Caught, make: Callable[[Any], Any]) -> None:
    shared = make(1)
    profiler.init("key")
    assert plainly(lambda: shared)() is shared
    assert records.paths() == ["point"]
    if inspect.iscoroutine(shared):
        shared.close()


def test_a_generator_that_runs_already_is_the_same_object(records: Caught) -> None:
    made: list[int] = []

    @traced
    def primed() -> Generator[int, Any, str]:
        running = numbers(3)
        next(running)
        made.append(id(running))
        return running

    profiler.init("key")
    running = primed()
    assert id(running) == made[0]
    assert running.send("first") == 1
    assert records.paths()[0] == "point"


@pytest.mark.parametrize("make", [work, numbers, async_numbers])
def test_without_a_trace_nothing_is_put_around(make: Callable[[Any], Any]) -> None:
    made: list[int] = []

    def call() -> Any:
        result = make(1)
        made.append(id(result))
        return result

    result = traced(call)()
    assert id(result) == made[0]
    if inspect.iscoroutine(result):
        result.close()


class Request:
    """An awaitable with more methods: no other object can replace it."""

    def __await__(self) -> Iterator[None]:
        yield


def test_another_awaitable_is_the_same_object_and_its_point_ends_with_the_call(records: Caught) -> None:
    request = Request()
    profiler.init("key")
    assert plainly(lambda: request)() is request
    assert records.paths() == ["point"]


class Hostile(type):
    __hash__ = None  # type: ignore[assignment]

    def __getattr__(cls, name: str) -> Any:
        raise RuntimeError(name)


def test_a_class_that_cannot_be_asked_hurts_nobody(records: Caught) -> None:
    result = Hostile("Hostile", (), {})()
    profiler.init("key")
    assert plainly(lambda: result)() is result
    assert records.paths() == ["point"]


# Futures


def test_a_task_is_the_same_object_and_its_point_lasts_as_long(records: Caught) -> None:
    tasks: list[Any] = []

    def begin(result: Any) -> Any:
        tasks.append(asyncio.ensure_future(work(result)))
        return tasks[0]

    async def body() -> Any:
        task = plainly(begin)(7)
        assert task is tasks[0]
        assert records.paths() == ["point!"]
        return await task

    assert in_a_trace(body) == 7
    assert records.paths() == ["point", "point/inside"]
    assert records.stop_of("point")["info"]["function"]["result"] == "7"


def test_a_future_that_fails_is_still_told_of_by_asyncio(records: Caught) -> None:
    told: list[str] = []

    async def body() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: told.append(context["message"]))
        future = plainly(loop.create_future)()
        future.set_exception(LookupError("x"))
        await asyncio.sleep(0)
        assert records.stop_of("point")["info"]["etype"] == "LookupError"
        del future
        gc.collect()

    in_a_trace(body)
    assert told == ["Future exception was never retrieved"]


@pytest.mark.parametrize(
    ("end", "etype"),
    [
        (lambda future: future.cancel(), "asyncio.exceptions.CancelledError"),
        (lambda future: None, None),
    ],
    ids=["cancelled", "forgotten"],
)
def test_a_future_that_never_has_a_result(records: Caught, end: Callable[[Any], Any], etype: str | None) -> None:
    async def body() -> None:
        future = plainly(asyncio.get_running_loop().create_future)()
        assert records.paths() == ["point!"]
        end(future)
        await asyncio.sleep(0)
        del future
        gc.collect()

    in_a_trace(body)
    assert records.stop_of("point")["info"].get("etype") == etype


def test_a_future_that_is_done(records: Caught) -> None:
    async def body() -> None:
        future = asyncio.get_running_loop().create_future()
        future.set_result(1)
        assert plainly(lambda: future)() is future
        assert records.paths() == ["point"]

    in_a_trace(body)


# async with


def test_a_block_of_async_with(records: Caught) -> None:
    async def body() -> None:
        async with profiler.Trace("block"):
            await work(1)
        with contextlib.suppress(LookupError):
            async with profiler.Trace("failing"):
                raise LookupError

    in_a_trace(body)
    assert records.paths() == ["block", "block/inside", "failing"]
    assert records.stop_of("failing")["info"]["etype"] == "LookupError"
