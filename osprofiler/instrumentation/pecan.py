# SPDX-License-Identifier: Apache-2.0
"""Pecan: the template of a request's path, for the span of the middleware around it.

Pecan has no templates: it walks along the path from object to object. Segments that name an attribute stay as they
are. Those that an object takes as a value, in ``_lookup`` or as arguments of the controller, become parameters.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from osprofiler._runtime import guard
from osprofiler._runtime.wrapping import Method, Target, Wrapping
from osprofiler.context import current
from osprofiler.instrumentation import routes

#: The look-ups of the request that this flow of control routes: method, the segments before it, and those after it.
_lookups: ContextVar[list[tuple[Any, Sequence[str], Sequence[str]]] | None] = ContextVar(
    "osprofiler_pecan", default=None
)


def _route(original: Method) -> Method:
    def route(self: Any, req: Any, node: Any, path: str) -> Any:
        if current.sampled() is None:
            return original(self, req, node, path)
        lookups: list[tuple[Any, Sequence[str], Sequence[str]]] = []
        _lookups.set(lookups)
        try:
            result = original(self, req, node, path)
        finally:
            _lookups.set(None)
        with guard.Harmless("pecan.route"):
            controller, rest = result
            values = [*req.pecan.get("routing_args", ()), *filter(None, rest)]
            template = _template(path.split("/")[1:], lookups, controller, values)
            if template is not None:
                req.environ[routes.ROUTE] = template
        return result

    return route


def _look_up(original: Method) -> Method:
    def handle_lookup_traversal(obj: Any, args: Any) -> Any:
        result = original(obj, args)
        lookups = _lookups.get()
        if lookups is not None and result:
            with guard.Harmless("pecan.route"):
                lookups.append((obj, list(args), list(result[1])))
        return result

    return handle_lookup_traversal


def _template(
    segments: list[str],
    lookups: Sequence[tuple[Any, Sequence[str], Sequence[str]]],
    controller: Any,
    values: Sequence[str],
) -> str | None:
    """The template; None if a value of the controller is not a segment of the path."""
    shown = list(segments)
    for method, before, after in lookups:
        start, end = len(segments) - len(before), len(segments) - len(after)
        for place, name in zip(range(start, end), _names(method), strict=False):
            shown[place] = f"{{{name}}}"
    place = len(segments)
    for value, name in reversed(list(zip(values, _names(controller), strict=False))):
        place = next((each for each in range(place - 1, -1, -1) if shown[each] == value), -1)
        if place < 0:
            return None
        shown[place] = f"{{{name}}}"
    # The values of ``*rest`` are one parameter.
    return "/" + "/".join(
        text for at, text in enumerate(shown) if not (at and text[:1] == "{" and text == shown[at - 1])
    )


def _names(function: Any) -> Iterator[str]:
    """The names of the parameters that take segments, in their order; that of ``*rest`` again and again."""
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            while True:
                yield parameter.name
        if parameter.kind is not parameter.VAR_KEYWORD:
            yield parameter.name


_wrapping = Wrapping(
    Target("pecan.core", "PecanBase", "route", _route),
    Target("pecan.routing", "", "handle_lookup_traversal", _look_up),
)

instrument = _wrapping.install
uninstrument = _wrapping.uninstall
