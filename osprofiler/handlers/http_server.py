# SPDX-License-Identifier: Apache-2.0
"""A server's HTTP request: which trace it continues or begins, its span, and which answers are errors.

No server interface is known here. An adapter describes the request (:class:`Request`) and runs the application in
pieces (:attr:`Served.pieces`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from osprofiler import propagation
from osprofiler._runtime import guard, native
from osprofiler.config import Settings
from osprofiler.context import current
from osprofiler.context.origin import Origin
from osprofiler.context.pieces import Pieces
from osprofiler.context.points import Point
from osprofiler.records import names
from osprofiler.tracer import global_tracer

Raw = TypeVar("Raw")

#: The lowest status that is an error of the server's span, as OpenTelemetry's semantic conventions have it: with a 4xx
#: the server has done what it should.
LOWEST_ERROR = 500

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"))


class Request(Protocol):
    """One request, as its span shows it. Only what is needed is asked for."""

    @property
    def component(self) -> str:
        """The tag ``component``."""

    @property
    def fields(self) -> Mapping[str, str]:
        """The headers, by name in lower case."""

    @property
    def method(self) -> str: ...

    @property
    def scheme(self) -> str: ...

    @property
    def host(self) -> str:
        """Host and port as the client named them, else as the server knows them; without user and password."""

    @property
    def path(self) -> str:
        """Percent-encoded."""

    @property
    def query(self) -> str: ...


class Served:
    """One request that runs at a trace point of its own, or (None) in no trace."""

    __slots__ = ("_point", "pieces")

    def __init__(self, point: Point | None) -> None:
        self._point = point
        #: ``with served.pieces:`` runs a piece of the application.
        self.pieces = Pieces(point)

    def close(self, status: int | None, fault: BaseException | None, unread: bool, deliver: bool) -> None:
        """Close the trace point. Never raises.

        *status* is None where the application gave none; *unread*: the client did not take the whole body; *deliver*
        the spans of a native thread here, which takes a moment.
        """
        point = self._point
        if point is None or point.span is None:
            return
        try:
            if status is not None:
                point.span.set_tag("http.status_code", status)
                if status >= LOWEST_ERROR:
                    point.span.set_tag("error", True)
            if unread:
                point.span.set_tag(names.BODY_UNREAD, True)
            with self.pieces:
                point.end(fault=fault)
            self.pieces = Pieces(point)  # what the application still does stays below this request
            if deliver and native.is_extra_native_thread():
                from osprofiler.delivery import request_threads

                request_threads.after_request()
        except Exception as own:
            guard.swallow("web.end", own)


def accept(
    settings: Settings,
    name: str,
    keys: Sequence[str],
    asks: bool,
    describe: Callable[[Raw], Request],
    raw: Raw,
) -> Served | None:
    """How to run a request at points called *name*; None: just as it is.

    The adapter has asked its switch. *keys* are those that may ask for a trace. *asks*: the request has a header of
    ours. *describe* makes a description of *raw*, the request as the server knows it. Raises what *describe* raises.
    """
    here = current.point.get()
    inside = here is not None and here.span is not None and not here.span.finished
    samples = settings.samples and not inside
    if asks or settings.trust_incoming or samples:
        request = describe(raw)
        operation = f"{name} {request.method if request.method in _METHODS else 'other'}"  # clients make up methods
        sample = global_tracer.sample_for(operation) if samples else None
        incoming = propagation.read(request.fields, keys, sample=sample)
        if incoming is not None:
            return Served(_open(name, operation, request, here, incoming))
    if here is None or inside:
        return None
    return Served(None)  # a trace that was left behind in this worker is not this request's


def _open(name: str, operation: str, request: Request, here: Point | None, incoming: propagation.Incoming) -> Point:
    """The point of a request; what was current stays so until it runs."""
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
    }
    point = global_tracer.get_tracer().open_point(root, name, info, operation=operation, tags=tags, follows=follows)
    current.point.set(here)
    return point


def _is_same(one: Origin, other: Origin) -> bool:
    return one.trace_id == other.trace_id and one.parent_id == other.parent_id
