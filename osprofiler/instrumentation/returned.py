# SPDX-License-Identifier: Apache-2.0
"""A plain function that returns what has yet to run: its point lasts as long as that coroutine, generator or future."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

from osprofiler._runtime import guard
from osprofiler.context import current, scope
from osprofiler.context.pieces import Pieces
from osprofiler.context.points import Point
from osprofiler.handlers.call import Call
from osprofiler.instrumentation.bodies import async_generator, generator


def go_on(call: Call, point: Point, here: Point, result: Any, unshared: bool) -> Any:
    """Let the point of a call that returned *result* go on with it; what the caller gets in its place.

    That is an object of the same type, or *result* itself where somebody else knows it, or has begun to run it.
    """
    try:
        kind = type(result)
        if kind in BODIES:
            if unshared and _is_fresh(result):
                running = BODIES[kind](Returned(call, point, result, here), result)()
                running.__name__, running.__qualname__ = result.__name__, result.__qualname__
                return running
        elif _is_pending(result):
            result.add_done_callback(Returned(call, point, None, here).future_done)
            return result
    except Exception as fault:
        guard.swallow("start", fault)
    call.done(point, result)
    return result


class Returned:
    """The point of a call that has returned, for what it returned: whoever runs that goes on with the point.

    It ends with it, also where nobody ever begins to run it.
    """

    is_open = True

    __slots__ = ("_at", "_body", "_point", "done", "failed")

    def __init__(self, call: Call, point: Point, body: Any, above: Point) -> None:
        at = current.point.get()
        current.point.set(above)
        self._at = at if at is not None and at.inside(point) else point  # what the call left open is inside still
        self._body = body
        self._point = point
        self.done = call.done
        self.failed = call.failed

    def begin(self, f: Any, args: Any, kwargs: Any) -> tuple[Point, Pieces, Any]:
        """As ``Call.begin``, for what there is already."""
        return self._point, Pieces(self._at), self._body

    async def run(self) -> Any:
        """Await what was returned."""
        with scope.entered(self._at):
            try:
                result = await self._body
            except BaseException as fault:
                self.failed(self._point, fault)
                raise
            self.done(self._point, result)
            return result

    def future_done(self, future: Any) -> None:
        """Close the point of a call that returned *future*, which is done."""
        with guard.Harmless("stop"):
            # Asked for by its public name, an exception counts as seen, and asyncio would not tell of it any more.
            fault = getattr(future, "_exception", None)
            if future.cancelled():
                fault = sys.modules["asyncio"].CancelledError()
            if fault is None:
                self.done(self._point, future.result())
            else:
                self.failed(self._point, fault)

    def __del__(self) -> None:
        with guard.Harmless("stop"):
            span = self._point.span
            if span is not None and span.end_tick is None:
                if inspect.iscoroutine(self._body):
                    self._body.close()  # or it would tell a second time that it was never awaited
                self._point.end()


# What a plain function may return that has yet to run: how its point goes on.
BODIES: dict[type, Callable[[Returned, Any], Callable[[], Any]]] = {
    types.CoroutineType: lambda rest, body: rest.run,
    types.GeneratorType: generator,
    types.AsyncGeneratorType: async_generator,
}


def _is_fresh(body: Any) -> bool:
    """Whether nobody has begun to run a coroutine or generator. Of an asynchronous generator that cannot be told."""
    if inspect.iscoroutine(body):
        return inspect.getcoroutinestate(body) == inspect.CORO_CREATED
    return not inspect.isgenerator(body) or inspect.getgeneratorstate(body) == inspect.GEN_CREATED


def _is_pending(result: Any) -> bool:
    """Whether *result* is a future of the event loop that runs here, and not done."""
    asyncio = sys.modules.get("asyncio")
    return (
        asyncio is not None
        and asyncio.isfuture(result)
        and not result.done()
        and result.get_loop() is asyncio._get_running_loop()
    )
