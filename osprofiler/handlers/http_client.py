# SPDX-License-Identifier: Apache-2.0
"""An HTTP request of a client: its span, the trace context in its headers, and which responses are errors.

This module knows no library. An adapter (a :class:`Library`) describes the request and the response, and adds the
headers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar
from urllib.parse import SplitResult

from osprofiler import propagation
from osprofiler._runtime import guard
from osprofiler.config import on_request
from osprofiler.context import current, scope
from osprofiler.context.points import Point
from osprofiler.context.trace_context import SAMPLED
from osprofiler.handlers.call import close
from osprofiler.tracer import global_tracer

Outgoing = TypeVar("Outgoing")
LibraryResponse = TypeVar("LibraryResponse")
_LibraryResponse = TypeVar("_LibraryResponse", contravariant=True)

#: The lowest status that is an error of a client span, as in OpenTelemetry's semantic conventions. A server span has
#: another limit: see ``http_server``.
LOWEST_ERROR = 400

_PORTS = {"http": 80, "https": 443}


class RequestPoint(Point):
    """The point of a request: a library that sends it by another library is inside."""

    __slots__ = ()


class Request(NamedTuple):
    """One request, as its span shows it."""

    name: str  # of the trace point
    method: str
    url: SplitResult
    info: Mapping[str, Any]  # of the start record
    tags: Mapping[str, Any]  # additional tags of this library
    operation: str | None = None  # None: the tracer derives it from the name and the info
    point_class: type[RequestPoint] = RequestPoint


class Response(NamedTuple):
    """The response to a request, as its span shows it."""

    status: int
    info: Mapping[str, Any]  # of the stop record
    tags: Mapping[str, Any]  # additional tags of this library


class Library(Protocol[Outgoing, _LibraryResponse]):
    """One HTTP library. If a method raises, the request is still sent."""

    @property
    def name(self) -> str:
        """The name of the library in the counters of faults."""

    @property
    def component(self) -> str:
        """The tag ``component``."""

    def request(self, outgoing: Outgoing) -> Request:
        """Describe a request before it is sent."""

    def with_headers(self, outgoing: Outgoing, headers: Mapping[str, str]) -> Outgoing:
        """Return the request to send: *outgoing* with *headers* added."""

    def response(self, received: _LibraryResponse) -> Response:
        """Describe a response, without reading its body."""


def get_trace_id_headers(points: str | Iterable[str] | None = None) -> dict[str, str]:
    """The headers that pass the current trace on to another service. Empty if no trace is on.

    If the trace is not sampled, they only tell the service that. *points*: what this request asks the services to show
    beyond their settings, such as ``sql,redis``; each shows what its ``on_request`` lets it, and what the key may ask.
    """
    # *points* is not keyword-only: CPython takes longer to call with those, and most calls come without a trace.
    if current.point.get() is None:
        return {}
    try:
        context = scope.context()
        if points is not None and context is not None:
            context = context._replace(asked=context.asked | on_request.names(points))
        return propagation.write(context)
    except Exception as fault:
        guard.swallow("web.headers", fault)
        return {}


def describe(method: str, url: SplitResult) -> Request:
    """Describe a request in the shape that all HTTP libraries have in common."""
    port = url.port or _PORTS.get(url.scheme)
    info = {
        "method": method,
        "query": url.query,
        "path": url.path,
        "hostname": url.hostname,
        "port": port or "",
        "scheme": url.scheme,
    }
    tags = {"peer.hostname": url.hostname or "", "peer.port": port or 0}
    return Request(url.scheme, method, url, {"requests": info}, tags)


def describe_status(status: int) -> Response:
    """Describe a response in the shape that all HTTP libraries have in common."""
    return Response(status, {"requests": {"status_code": status}}, {})


def exchange(
    library: Library[Outgoing, LibraryResponse],
    here: Point,
    outgoing: Outgoing,
    send: Callable[[Outgoing], LibraryResponse],
) -> LibraryResponse:
    """Call *send* with the request and the trace's headers, inside a client span if *here* is sampled.

    Returns the response. An exception of *send* reaches the caller unchanged.
    """
    point, outgoing = _begin(library, here, outgoing)
    try:
        received = send(outgoing)
    except BaseException as fault:
        _fail(point, library, fault)
        raise
    _finish(point, library, received)
    return received


async def exchange_async(
    library: Library[Outgoing, LibraryResponse],
    here: Point,
    outgoing: Outgoing,
    send: Callable[[Outgoing], Awaitable[LibraryResponse]],
) -> LibraryResponse:
    """Do the same as :func:`exchange` for a *send* that is awaited."""
    point, outgoing = _begin(library, here, outgoing)
    try:
        received = await send(outgoing)
    except BaseException as fault:
        _fail(point, library, fault)
        raise
    _finish(point, library, received)
    return received


def _begin(
    library: Library[Outgoing, LibraryResponse], here: Point, outgoing: Outgoing
) -> tuple[Point | None, Outgoing]:
    """Open the span, if *here* is sampled, and add the headers. Never raises."""
    point = None
    with guard.Harmless(f"{library.name}.start"):
        if here.origin.flags & SAMPLED:
            point = _open(library.component, here, library.request(outgoing))
        outgoing = library.with_headers(outgoing, get_trace_id_headers())
    return point, outgoing


def _fail(point: Point | None, library: Library[Any, Any], fault: BaseException) -> None:
    if point is not None:
        close(point, fault, f"{library.name}.stop")


def _finish(point: Point | None, library: Library[Any, LibraryResponse], received: LibraryResponse) -> None:
    if point is not None:
        with guard.Harmless(f"{library.name}.stop"):
            _conclude(point, library, received)


def _open(component: str, here: Point, request: Request) -> Point:
    tags = {
        "span.kind": "client",
        "component": component,
        "http.method": request.method,
        "http.url": url_text(request.url),
        **request.tags,
    }
    return global_tracer.get_tracer().open_point(
        here, request.name, request.info, request.point_class, operation=request.operation, tags=tags
    )


def _conclude(point: Point, library: Library[Any, LibraryResponse], received: LibraryResponse) -> None:
    info: Mapping[str, Any] | None = None
    try:
        response = library.response(received)
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


def url_text(url: SplitResult) -> str:
    """*url* without user, password and query: these may hold secrets. Only the path, if *url* has no host."""
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}" if url.netloc else url.path
