# SPDX-License-Identifier: Apache-2.0
"""Tracing of dogpile.cache: a span for each value that a region gets or creates, and one for its creation.

The time of the outer span without the creation is that of the backend, or of the wait while another thread or process
creates the value. Keys are not shown: they contain arguments of functions, such as tokens.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from osprofiler._runtime import arguments, guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current
from osprofiler.context.points import Point
from osprofiler.handlers import step
from osprofiler.handlers.call import Closing, callable_name

#: The name of the points.
_NAME = "dogpile.cache"

_CREATOR = 1, "creator"  # its place among the arguments: the keys, the creator

#: The tag that says whether the value was in the cache, so that it was not created.
_HIT = "cache.hit"


def _calls(verb: str) -> Callable[[Method], Method]:
    """Make a span for each call of the method *verb*, and for the creation in it."""

    def wrap(original: Method) -> Method:
        def method(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            here = current.sampled()
            creator = arguments.given(args, kwargs, *_CREATOR)
            point = None if here is None else _opened(here, verb, self, creator)
            if point is None:
                return original(self, *args, **kwargs)
            args, kwargs = arguments.replaced(args, kwargs, *_CREATOR, _creation(point, creator))
            with Closing(point):
                return original(self, *args, **kwargs)

        return method

    return wrap


def _opened(here: Point, verb: str, region: Any, creator: Any) -> Point | None:
    with guard.Harmless("dogpile.start"):
        return _open(here, verb, creator, {_HIT: True, "cache.region": region.name})
    return None


def _open(here: Point, verb: str, creator: Any, tags: Mapping[str, Any]) -> Point:
    tags = {"component": _NAME, "code.function": callable_name(creator), **tags}
    return step.open_point(here, _NAME, f"{_NAME} {verb}", tags)


def _creation(outer: Point, creator: Callable[..., Any]) -> Callable[..., Any]:
    """*creator*, which opens a point of its own. A runner of the region may call it later, in another thread."""

    @functools.wraps(creator)
    def create(*args: Any, **kwargs: Any) -> Any:
        point = None
        with guard.Harmless("dogpile.create"):
            if outer.span is not None and not outer.is_over:
                outer.span.set_tag(_HIT, False)
            here = current.sampled()
            if here is not None:
                point = _open(here, "create", creator, {})
        with Closing(point):
            return creator(*args, **kwargs)

    return create


_REGION = "dogpile.cache.region", "CacheRegion"
_wrapping = Wrapping(*(Target(*_REGION, name, _calls(name)) for name in ("get_or_create", "get_or_create_multi")))

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
