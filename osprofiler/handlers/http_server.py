# SPDX-License-Identifier: Apache-2.0
"""An HTTP request at a server: the trace that it continues or begins, its span, and which responses are errors.

This module knows no server interface. An adapter describes the request (:class:`Request`) and runs the application in
pieces (:attr:`Served.pieces`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from osprofiler import propagation
from osprofiler._runtime import guard, native
from osprofiler.config import Settings, switches
from osprofiler.context import current
from osprofiler.context.identity import Identity
from osprofiler.context.origin import Origin
from osprofiler.context.pieces import Pieces
from osprofiler.context.points import Point
from osprofiler.context.undecided import Undecided
from osprofiler.handlers import openstack
from osprofiler.propagation.formats import Remote
from osprofiler.records import names
from osprofiler.tracer import global_tracer

if TYPE_CHECKING:
    from osprofiler.tracer.span import Span

Raw = TypeVar("Raw")

#: The lowest status that is an error of a server span, as in OpenTelemetry's semantic conventions. A 4xx is the
#: client's error.
LOWEST_ERROR = 500

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"))


class Request(Protocol):
    """One request, as its span shows it. The handler reads only the attributes that it needs."""

    @property
    def component(self) -> str:
        """The tag ``component``."""

    @property
    def fields(self) -> Mapping[str, str]:
        """The headers. The names are in lower case."""

    @property
    def peer(self) -> str | None:
        """The IP address at the other end of the connection; None if it is not known. No header has a say in it."""

    @property
    def outer_span(self) -> Remote | None:
        """The sampled span that another tracer of this process has made for the request, if it can be the parent."""

    @property
    def identity(self) -> Identity | None:
        """Who sends the request, by the service's own check; None: the check may still come."""

    @property
    def method(self) -> str: ...

    @property
    def scheme(self) -> str: ...

    @property
    def host(self) -> str:
        """Host and port: the client's ``Host`` header, or else the server's own. Without user and password."""

    @property
    def path(self) -> str:
        """Percent-encoded."""

    @property
    def query(self) -> str: ...

    @property
    def route(self) -> str | None:
        """The template of the path, such as ``/servers/{id}``; None if the framework does not tell it.

        It is asked for when the request ends, because the framework looks for its route meanwhile.
        """

    def service_context(self, response: Mapping[str, str]) -> Mapping[str, Any]:
        """What the service knows of the request, by the keys of oslo.context: ``request_id``, ``user_id`` and so on.

        It is asked for when the request ends, because the code behind this one learns it. *response* has the headers of
        the response, by name in lower case.
        """


class Served:
    """One request that runs at its own trace point, or in no trace (None)."""

    __slots__ = ("_point", "_request", "_response", "pieces")

    def __init__(self, point: Point | None, request: Request | None = None) -> None:
        self._point = point
        self._request = request
        self._response: Mapping[str, str] = {}
        #: ``with served.pieces:`` runs one piece of the application.
        self.pieces = Pieces(point)

    def response(self, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """The headers of the response to send: those of the application, *headers*, and those that name the trace.

        Never raises.
        """
        point = self._point
        if point is None or point.span is None:
            return headers
        try:
            if isinstance(point.origin, Undecided) and not point.origin.settle():
                return headers
            theirs = self._response = {name.lower(): value for name, value in headers}
            ours = propagation.response_headers(point.origin, point.span.span_id, point.span.flags)
            return [*headers, *[header for header in ours if header[0].lower() not in theirs]]
        except Exception as own:
            guard.swallow("web.response", own)
            return headers

    def responded(self, status: int | None) -> None:
        """End the span: its response is whole, and the application may still run. Never raises.

        Points that are open stay open. Points that are opened later follow from the span. :meth:`close` is still due.
        """
        point = self._point
        if point is None or point.span is None or point.span.finished:
            return
        try:
            if isinstance(point.origin, Undecided):
                point.origin.settle()
            self._describe(point.span, status)
            point.span.finish()
        except Exception as own:
            guard.swallow("web.end", own)

    def close(self, status: int | None, fault: BaseException | None, unread: bool, deliver: bool) -> None:
        """Close the trace point. Never raises.

        *status*: None if the application gave none. *unread*: the client did not read the whole body. *deliver*: if
        this is a native thread outside eventlet's hub, deliver its spans now, which takes a moment.
        """
        point = self._point
        if point is None or point.span is None:
            return
        try:
            if isinstance(point.origin, Undecided):
                point.origin.settle()
            if not point.span.finished:
                self._describe(point.span, status, unread)
            with self.pieces:
                point.end(fault=fault)
            self.pieces = Pieces(point)  # later points of the application stay below this request
            if deliver and native.is_extra_native_thread():
                from osprofiler.delivery import request_threads

                request_threads.after_request()
        except Exception as own:
            guard.swallow("web.end", own)

    def _describe(self, span: Span, status: int | None, unread: bool = False) -> None:
        tags: dict[str, Any] = {}
        if status is not None:
            tags["http.status_code"] = status
            if status >= LOWEST_ERROR:
                tags["error"] = True
        request = self._request
        if request is not None:
            try:
                if (route := request.route) is not None:
                    tags["http.route"] = route
            except Exception as own:
                guard.swallow("web.route", own)
            try:
                tags.update(openstack.of_context(request.service_context(self._response)))
            except Exception as own:
                guard.swallow("web.context", own)
        if unread:
            tags[names.BODY_UNREAD] = True
        span.set_tags(tags)


def accept(
    settings: Settings,
    name: str,
    keys: Sequence[str],
    asks: bool,
    describe: Callable[[Raw], Request],
    raw: Raw,
) -> Served | None:
    """Decide how a request runs: at a trace point called *name*, in no trace, or unchanged (None).

    Call it only while the adapter's switch is on. *keys*: the HMAC keys of the adapter's own configuration. *asks*:
    the request has a header of osprofiler. *describe* describes *raw*, the server's own object of the request; its
    exceptions reach the caller.
    """
    here = current.point.get()
    inside = here is not None and here.span is not None and not here.span.finished
    samples = settings.samples and not inside
    if asks or settings.trust_incoming or samples:
        request = describe(raw)
        # Clients can invent methods, and Jaeger lists every operation name.
        operation = f"{name} {request.method if request.method in _METHODS else 'other'}"
        sample = global_tracer.sample_for(operation, request) if samples else None
        sample_asked = global_tracer.sample_asked_for(operation, request) if samples and settings.rules else None
        incoming = propagation.read(
            request.fields,
            switches.wsgi_keys(keys),
            peer=request.peer if settings.trust_incoming else None,
            sample=sample,
            sample_asked=sample_asked,
            who=lambda: request.identity,
            outer=request.outer_span,
        )
        if incoming is not None:
            if incoming.below_outer and settings.opentelemetry == "parent":  # then that span stands for the request
                return Served(Point(None, here, incoming.origin), request)
            return Served(_open(name, operation, request, here, incoming), request)
    if here is None or inside:
        return None
    return Served(None)  # an earlier request left its trace in this worker


def _open(name: str, operation: str, request: Request, here: Point | None, incoming: propagation.Incoming) -> Point:
    """Open the point of a request. It becomes current only when the request runs."""
    root, follows = Point(None, here, incoming.origin), incoming.follows
    if not incoming.origin.sampled:
        return root
    if here is not None and here.span is not None and _is_same(here.origin, incoming.origin):
        root, follows = here, False  # a second middleware in one pipeline
    path, method, scheme = request.path, request.method, request.scheme
    info = {"request": {"path": path, "query": request.query, "method": method, "scheme": scheme}}
    tags = {
        "span.kind": "server",
        "component": request.component,
        "http.method": method,
        "http.url": f"{scheme}://{request.host}{path}",
        **openstack.of_path(path),
    }
    tracer = global_tracer.get_tracer()
    if isinstance(incoming.origin, Undecided):
        tracer.hold_undecided()
    point = tracer.open_point(root, name, info, operation=operation, tags=tags, follows=follows)
    current.point.set(here)
    return point


def _is_same(origin: Origin, other: Origin) -> bool:
    return origin.trace_id == other.trace_id and origin.parent_id == other.parent_id
