# SPDX-License-Identifier: Apache-2.0
"""One request through the WSGI middleware, from the application's call to the end of its body.

A WSGI application runs in pieces: its call, then each chunk of its body, then the body's ``close``, with the server
and other requests on the same thread in between. Each piece re-enters the request's trace point and leaves nothing
behind. What the application or the server raises passes as it is.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from osprofiler.handlers.http_server import Served

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Call:
    """Runs an application at the point of a request, and stands for its body where that is not whole at once."""

    __slots__ = (
        "_body",
        "_chunks",
        "_ended",
        "_exhausted",
        "_fault",
        "_served",
        "_start_response",
        "_status",
    )

    def __init__(self, served: Served, start_response: StartResponse) -> None:
        self._served = served
        self._start_response = start_response
        self._status: int | None = None
        self._fault: BaseException | None = None
        self._body: Iterable[bytes] = ()
        self._chunks: Iterator[bytes] | None = None
        self._exhausted = False
        self._ended = False

    def run(self, application: WSGIApplication, environ: WSGIEnvironment) -> Iterable[bytes]:
        """Call the application, and return its body, or one that re-enters the point for each chunk."""
        try:
            with self._served.pieces:
                body = application(environ, self._respond)
        except BaseException as fault:
            self._end(fault)
            raise
        if _is_whole(body, environ):
            self._exhausted = True
            self._end()
            return body
        self._body = body
        return self

    def _respond(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        """The ``start_response`` that the application gets."""
        try:
            if exc_info is None:
                write = self._start_response(status, headers)
            else:
                self._fault = exc_info[1]
                write = self._start_response(status, headers, exc_info)
        finally:
            exc_info = None  # or it and this frame keep each other alive
        if status[:3].isdecimal():
            self._status = int(status[:3])
        return write

    def __iter__(self) -> Call:
        return self

    def __next__(self) -> bytes:
        try:
            with self._served.pieces:
                if self._chunks is None:
                    self._chunks = iter(self._body)
                return next(self._chunks)
        except StopIteration:
            self._exhausted = True
            raise
        except BaseException as fault:
            self._end(fault)  # some servers never close a body that has raised
            raise

    def close(self) -> None:
        """What the server calls when it is done with the body, read to its end or not."""
        close = getattr(self._body, "close", None)
        try:
            if close is not None:
                with self._served.pieces:
                    close()
        except BaseException as fault:
            self._end(fault)
            raise
        self._end()

    def __del__(self) -> None:
        # A server that forgot to close. The application's own body is then collected too.
        self._end(deliver=False)

    def _end(self, fault: BaseException | None = None, deliver: bool = True) -> None:
        """Close the trace point, once. *deliver*: where nobody else can, which takes a moment."""
        if self._ended:
            return
        self._ended = True
        fault, self._fault = fault or self._fault, None
        unread = fault is None and not self._exhausted
        self._served.close(self._status, fault, unread, deliver)


def _is_whole(body: Any, environ: WSGIEnvironment) -> bool:
    """Whether no line of the application runs for *body* any more.

    Such a body is handed on as it is: servers take its length from a list, and send a file from inside the kernel.
    """
    if isinstance(body, (list, tuple)):
        return not hasattr(body, "close")
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(body, io.IOBase) or (isinstance(wrapper, type) and isinstance(body, wrapper))
