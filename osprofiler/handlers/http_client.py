# SPDX-License-Identifier: Apache-2.0
"""A client's HTTP request: its span, the trace's context in its headers, and which answers are errors.

No library is known here. An adapter (a :class:`Library`) describes the request and the answer, and adds the headers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import SplitResult

from osprofiler import propagation
from osprofiler._runtime import guard
from osprofiler.context import current, scope
from osprofiler.context.points import Point
from osprofiler.context.trace_context import SAMPLED
from osprofiler.tracer import global_tracer

Outgoing = TypeVar("Outgoing")
Answer = TypeVar("Answer")
_Answer = TypeVar("_Answer", contravariant=True)

#: The lowest status that is an error of the client's span, as OpenTelemetry's semantic conventions have it. To the
#: server a 4xx is no error: see ``http_server``.
LOWEST_ERROR = 400


class Request(NamedTuple):
    """One request, as its span shows it."""

    name: str  # of the trace point
    method: str
    url: SplitResult
    info: Mapping[str, Any]  # of the start record
    tags: Mapping[str, Any]  # further ones, that only this library knows
    operation: str | None = None  # None: the usual one for a point of this name and info


class Response(NamedTuple):
    """The answer to a request, as its span shows it."""

    status: int
    info: Mapping[str, Any]  # of the stop record
    tags: Mapping[str, Any]  # further ones, that only this library knows


class Library(Protocol[Outgoing, _Answer]):
    """One HTTP library. Each method may raise: the request is sent all the same."""

    @property
    def name(self) -> str:
        """Names the library in the counters of faults."""

    @property
    def component(self) -> str:
        """The tag ``component``."""

    def request(self, outgoing: Outgoing) -> Request:
        """Describe a request that is about to be sent."""

    def with_headers(self, outgoing: Outgoing, headers: Mapping[str, str]) -> Outgoing:
        """Return the request to send, which has *headers* too."""

    def response(self, answer: _Answer) -> Response:
        """Describe an answer, without reading its body."""


def get_trace_id_headers() -> dict[str, str]:
    """The headers that carry the current trace on to a service that is called; none where no trace is on.

    A trace that is not sampled has only headers that say so.
    """
    if current.point.get() is None:
        return {}
    try:
        return propagation.write(scope.context())
    except Exception as fault:
        guard.swallow("web.headers", fault)
        return {}


def exchange(
    library: Library[Outgoing, Answer], here: Point, outgoing: Outgoing, send: Callable[[Outgoing], Answer]
) -> Answer:
    """Send a request by *send*, as a client span under *here* where that is sampled; return its answer.

    What *send* raises passes as it is.
    """
    point = None
    with guard.Harmless(f"{library.name}.start"):
        if here.origin.flags & SAMPLED:
            point = _open(library.component, here, library.request(outgoing))
        outgoing = library.with_headers(outgoing, get_trace_id_headers())
    try:
        answer = send(outgoing)
    except BaseException as fault:
        if point is not None:
            with guard.Harmless(f"{library.name}.stop"):
                point.end(fault=fault)
        raise
    if point is not None:
        with guard.Harmless(f"{library.name}.stop"):
            _close(point, library, answer)
    return answer


def _open(component: str, here: Point, request: Request) -> Point:
    tags = {
        "span.kind": "client",
        "component": component,
        "http.method": request.method,
        "http.url": _shown(request.url),
        **request.tags,
    }
    return global_tracer.get_tracer().open_point(
        here, request.name, request.info, operation=request.operation, tags=tags
    )


def _close(point: Point, library: Library[Any, Answer], answer: Answer) -> None:
    info: Mapping[str, Any] | None = None
    try:
        response = library.response(answer)
        info = response.info
        span = point.span
        if span is not None:
            span.set_tag("http.status_code", response.status)
            for name, value in response.tags.items():
                span.set_tag(name, value)
            if response.status >= LOWEST_ERROR:
                span.set_tag("error", True)
    finally:
        point.end(info)


def _shown(url: SplitResult) -> str:
    """*url* without its query, which may hold a token, and without user and password; the path of one without host."""
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}" if url.netloc else url.path
