# SPDX-License-Identifier: Apache-2.0
"""One request in the WSGI middleware, from the call of the application to the end of its body.

A WSGI application runs in pieces: the call, each chunk of the body, and the body's ``close``. Between two pieces the
same thread may run the server and other requests. Each piece enters the trace point of the request again, and restores
the former point at its end. Exceptions of the application and the server pass through unchanged.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from osprofiler.handlers.http_server import Served

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Call:
    """Runs an application inside the point of a request. It replaces the body if that is not complete at once."""

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
        """Call the application. Returns its body, or a body that enters the point again for each chunk."""
        try:
            with self._served.pieces:
                body = application(environ, self._respond)
        except BaseException as fault:
            self._end(fault)
            raise
        if _is_complete(body, environ):
            self._exhausted = True
            self._end()
            return body
        self._body = body
        return self

    def _respond(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        """The ``start_response`` for the application."""
        headers = self._served.response(headers)
        try:
            if exc_info is None:
                write = self._start_response(status, headers)
            else:
                self._fault = exc_info[1]
                write = self._start_response(status, headers, exc_info)
        finally:
            exc_info = None  # break the cycle of the traceback and this frame
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
            self._end(fault)  # some servers do not close a body that has raised
            raise

    def close(self) -> None:
        """Close the body and the point. The server calls it, also if it has not read the whole body."""
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
        # The server has not called close. Python collects the application's own body now too.
        self._end(deliver=False)

    def _end(self, fault: BaseException | None = None, deliver: bool = True) -> None:
        """Close the trace point, once. *deliver*: see ``Served.close``."""
        if self._ended:
            return
        self._ended = True
        fault, self._fault = fault or self._fault, None
        unread = fault is None and not self._exhausted
        self._served.close(self._status, fault, unread, deliver)


def _is_complete(body: Any, environ: WSGIEnvironment) -> bool:
    """Whether *body* needs no more code of the application.

    The middleware does not replace such a body: servers read the length of a list, and the kernel sends a file.
    """
    if isinstance(body, (list, tuple)):
        return not hasattr(body, "close")
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(body, io.IOBase) or (isinstance(wrapper, type) and isinstance(body, wrapper))
