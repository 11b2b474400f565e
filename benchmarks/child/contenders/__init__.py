# SPDX-License-Identifier: Apache-2.0
"""One module a tracer: how a service would use it, idiomatically and with its own defaults where they lose nothing."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

#: What the second tag of every span says: as long as a short URL.
TEXT = "http://controller:8774/v2.1/servers"

#: Operation: how many spans one call makes.
OPERATIONS = {"two_tags": 1, "ten_tags": 1, "with_log": 1, "traced": 1, "nested": 10, "wsgi": 1, "rpc": 2}


#: What is measured call by call: a callable, or one with the context that it is called in and, of a long one, of how
#: many loops one is made.
Rows: TypeAlias = (
    "dict[str, Callable[[], Any] | tuple[Callable[[], Any], Callable[[], Any]]"
    " | tuple[Callable[[], Any], Callable[[], Any], int]]"
)


def ten(n: int) -> dict[str, Any]:
    """Ten tags: the number, the text and eight of the kinds that services set."""
    return {
        "n": n,
        "text": TEXT,
        "component": "bench",
        "user": "a2b4c6d8",
        "project": "demo",
        "attempt": 1,
        "ratio": 0.5,
        "cached": False,
        "region": "one",
        "zone": "nova",
    }


class Contender:
    """A tracer at work. Operations get a number that no other call of the same operation in this process gets.

    A subclass defines those of :data:`OPERATIONS` that it can do.
    """

    #: Keeps its current span in a thread-local only, so that tasks of one thread would share it.
    by_thread = False

    def __init__(self, target: str, service: str) -> None:
        """Deliver to *target* ("" nowhere) as *service*."""

    @contextlib.contextmanager
    def root(self) -> Iterator[None]:
        """A span called ``root``, current for the block, in a trace of its own."""
        yield

    def flush(self) -> None:
        """Return when all spans that ended are delivered."""

    def counts(self) -> dict[str, int]:
        """What it says itself of spans sent and lost."""
        return {}

    def drain(self) -> None:
        """Let what ended be sent, between two bursts; for who cannot flush and go on."""
        self.flush()

    def micro(self) -> Rows:
        """What is measured call by call, by row."""
        return {}

    def requests(self) -> dict[str, Any]:
        """``app``, a WSGI application as this tracer wraps it, and ``environ``, what a traced request has."""
        return {}

    def operations(self) -> list[str]:
        return [name for name in OPERATIONS if hasattr(self, name)]


def load(module: str, target: str, service: str) -> Contender:
    """The contender that *module* defines."""
    made: Contender = importlib.import_module(f"contenders.{module}").Made(target, service)
    return made


def hello(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """The WSGI application that every middleware is put around."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


def environ(n: int, **more: str) -> dict[str, Any]:
    """A WSGI request as a server gives it, with the number in its query."""
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/v2.1/servers",
        "QUERY_STRING": f"n={n}",
        "SERVER_NAME": "controller",
        "SERVER_PORT": "8774",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "controller:8774",
        "HTTP_ACCEPT": "*/*",
        "HTTP_USER_AGENT": "bench",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        **more,
    }


def answer(app: Any, request: dict[str, Any]) -> None:
    """One request through *app*, its body read and closed as a server does."""
    body = app(request, _start_response)
    for _ in body:
        pass
    close = getattr(body, "close", None)
    if close is not None:
        close()


def _start_response(status: str, headers: list[Any], exc_info: Any = None) -> Callable[[bytes], None]:
    return _write


def _write(data: bytes) -> None:
    return
