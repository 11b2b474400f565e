# SPDX-License-Identifier: Apache-2.0
"""Adapters of asyncio, and of AnyIO on top of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from osprofiler.testing.concurrency.model import Model

Work = Callable[[], object]


async def step(work: Work) -> object:
    """Run *work* in the second step of a task."""
    await asyncio.sleep(0)
    return work()


class Tasks(Model):
    title = "asyncio.create_task"
    instrumentation: ClassVar[tuple[str, ...]] = ("asyncio",)

    def __init__(self) -> None:
        self._inside: list[asyncio.Task[Any]] = []

    def run(self, works: Sequence[Work]) -> None:
        asyncio.run(self._main(works))

    async def _main(self, works: Sequence[Work]) -> None:
        self.mark()
        await self.hand_over(works)
        while self._inside:
            await asyncio.wait([self._inside.pop()])

    async def hand_over(self, works: Sequence[Work]) -> None:
        """Run *works* in the running loop."""
        await asyncio.wait([asyncio.create_task(step(work)) for work in works])

    def run_inside(self, works: Sequence[Work]) -> None:
        """Start tasks for *works*. The work itself cannot wait for them, so the run waits at its end."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            type(self)().run(works)
        else:
            self._inside += [loop.create_task(step(work)) for work in works]


class Gathered(Tasks):
    title = "asyncio.gather"

    async def hand_over(self, works: Sequence[Work]) -> None:
        await asyncio.gather(*(step(work) for work in works), return_exceptions=True)


class TaskGroups(Tasks):
    title = "asyncio.TaskGroup"

    async def hand_over(self, works: Sequence[Work]) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined,unused-ignore]
                for work in works:
                    group.create_task(step(work))


class LoopExecutor(Tasks):
    title = "asyncio, run_in_executor"

    async def hand_over(self, works: Sequence[Work]) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(None, work) for work in works), return_exceptions=True)


class ToThread(Tasks):
    title = "asyncio.to_thread"
    # The coroutine is awaited, not a task. It inherits the context without any instrumentation.

    async def hand_over(self, works: Sequence[Work]) -> None:
        for work in works:
            with contextlib.suppress(Exception):
                await asyncio.to_thread(work)


class LoopCallbacks(Tasks):
    title = "asyncio, call_soon and call_later"
    reference = "FollowsFrom"

    async def hand_over(self, works: Sequence[Work]) -> None:
        loop = asyncio.get_running_loop()
        ends = [loop.create_future() for _ in works]
        for number, (work, end) in enumerate(zip(works, ends, strict=True)):
            if number % 2:
                loop.call_later(0.001, _signalling(work, end))
            else:
                loop.call_soon(_signalling(work, end))
        await asyncio.wait(ends)

    def run_inside(self, works: Sequence[Work]) -> None:
        loop = asyncio.get_running_loop()
        for work in works:
            loop.call_soon(work)
            self._inside.append(loop.create_task(asyncio.sleep(0.001)))


def _signalling(work: Work, end: asyncio.Future[Any]) -> Callable[..., None]:
    def callback(*_: object) -> None:
        try:
            work()
        finally:
            end.set_result(None)

    return callback


class TaskCallbacks(LoopCallbacks):
    title = "asyncio, done-callback"

    async def hand_over(self, works: Sequence[Work]) -> None:
        loop = asyncio.get_running_loop()
        ends = [loop.create_future() for _ in works]
        for work, end in zip(works, ends, strict=True):
            settled = loop.create_future()
            settled.add_done_callback(_signalling(work, end))
            settled.set_result(None)
        await asyncio.wait(ends)


class AnyioToThread(Model):
    title = "anyio.to_thread.run_sync"
    # AnyIO runs the work in a copy of its caller's context.
    follows = "inherited"

    def run(self, works: Sequence[Work]) -> None:
        import anyio

        anyio.run(self._main, works)

    async def _main(self, works: Sequence[Work]) -> None:
        from anyio import to_thread

        self.mark()
        for work in works:
            with contextlib.suppress(Exception):
                await to_thread.run_sync(work)

    def run_inside(self, works: Sequence[Work]) -> None:
        type(self)().run(works)
