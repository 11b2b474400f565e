# SPDX-License-Identifier: Apache-2.0
"""A plain function that returns a coroutine, generator or future: its point lasts until that has ended."""

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
    """Keep the point of a call open until its *result* has ended. Returns the object for the caller.

    This object has the type of *result*. It is *result* itself if other code has a reference to it (not *unshared*), or
    runs it already: then the point ends now, unless it is a future.
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
    """The point of a call that has returned a coroutine, generator or future.

    The code that runs the returned object runs inside the point. The point ends with that object, also if it never
    runs.
    """

    is_open = True

    __slots__ = ("_at", "_body", "_point", "done", "failed")

    def __init__(self, call: Call, point: Point, body: Any, above: Point) -> None:
        at = current.point.get()
        current.point.set(above)
        self._at = at if at is not None and at.inside(point) else point  # the call may have left inner points open
        self._body = body
        self._point = point
        self.done = call.done
        self.failed = call.failed

    def begin(self, f: Any, args: Any, kwargs: Any) -> tuple[Point, Pieces, Any]:
        """The same as ``Call.begin``, but the point and the body exist already."""
        return self._point, Pieces(self._at), self._body

    async def run(self) -> Any:
        """Await the returned coroutine."""
        with scope.entered(self._at):
            try:
                result = await self._body
            except BaseException as fault:
                self.failed(self._point, fault)
                raise
            self.done(self._point, result)
            return result

    def future_done(self, future: Any) -> None:
        """Close the point when the returned *future* is done."""
        with guard.Harmless("stop"):
            # The public exception() would tell asyncio that somebody has seen it: then asyncio does not log it.
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
                    self._body.close()  # or Python would warn twice that it was never awaited
                self._point.end()


# For each type of returned object, the wrapper that runs it inside the point.
BODIES: dict[type, Callable[[Returned, Any], Callable[[], Any]]] = {
    types.CoroutineType: lambda returned, body: returned.run,
    types.GeneratorType: generator,
    types.AsyncGeneratorType: async_generator,
}


def _is_fresh(body: Any) -> bool:
    """Whether a coroutine or generator has not run yet. True for every asynchronous generator: it does not tell."""
    if inspect.iscoroutine(body):
        return inspect.getcoroutinestate(body) == inspect.CORO_CREATED
    return not inspect.isgenerator(body) or inspect.getgeneratorstate(body) == inspect.GEN_CREATED


def _is_pending(result: Any) -> bool:
    """Whether *result* is a future of the event loop of this thread, and is not done."""
    asyncio = sys.modules.get("asyncio")
    return (
        asyncio is not None
        and asyncio.isfuture(result)
        and not result.done()
        and result.get_loop() is asyncio._get_running_loop()
    )
