# SPDX-License-Identifier: Apache-2.0
"""A span for each call of a method: what many adapters have in common.

An adapter says which methods are wrapped, and how the point of a call is opened (:class:`Calls`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.handlers.call import Closing


class Calls(NamedTuple):
    """How the calls of a method become spans."""

    layer: str  # whose faults are counted, as ``fault.<layer>.start``
    #: Opens the point of a call. It gets the point that :attr:`here` returns, and the arguments, the first of which is
    #: the object. None: the call has no span.
    open_point: Callable[[Point, tuple[Any, ...], dict[str, Any]], Point | None]
    block: type[Closing] = Closing  # runs the call, and closes its point
    here: Callable[[], Point | None] = current.sampled  # the point under which a call that is made now has a span
    error_in: Callable[[Any], BaseException | None] | None = None  # the error in a result that is not raised

    def entered(self, here: Point, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Closing:
        """The block that runs one call."""
        point = None
        with guard.Harmless(f"{self.layer}.start"):
            point = self.open_point(here, args, kwargs)
        return self.block(point)


def blocking(calls: Calls) -> Callable[[Method], Method]:
    """Make a span for each call of a method."""
    find_here, error_in = calls.here, calls.error_in

    def wrap(original: Method) -> Method:
        def call(*args: Any, **kwargs: Any) -> Any:
            here = find_here()
            if here is None:
                return original(*args, **kwargs)
            with calls.entered(here, args, kwargs) as block:
                result = original(*args, **kwargs)
                block.error = None if error_in is None else error_in(result)
                return result

        return call

    return wrap


def awaited(calls: Calls) -> Callable[[Method], Method]:
    """Make a span for each call of a coroutine method."""
    find_here, error_in = calls.here, calls.error_in

    def wrap(original: Method) -> Method:
        async def call(*args: Any, **kwargs: Any) -> Any:
            here = find_here()
            if here is None:
                return await original(*args, **kwargs)
            with calls.entered(here, args, kwargs) as block:
                result = await original(*args, **kwargs)
                block.error = None if error_in is None else error_in(result)
                return result

        return call

    return wrap
