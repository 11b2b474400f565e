# SPDX-License-Identifier: Apache-2.0
"""Sessions of requests whose requests end: each has one deadline for the whole, and a bound on its answer.

They can also be left behind by a forked child, and their wait for a name server stops no greenthread.

urllib3 closes what a pool holds when the interpreter ends, in a forked child too, and takes the lock of the pool's
queue for that. A thread of the parent that held it at the time of the fork (the reporter's takes it with each request)
never gives it back in the child, which then would not end.
"""

from __future__ import annotations

import collections
import contextlib
import email.utils
import io
import netrc  # noqa: F401  # requests imports it with its first request, in whatever thread that is sent
import queue
import socket
import time
from typing import Any

import requests
import requests.adapters
import urllib3.exceptions

from osprofiler._runtime import deadlines, native

#: How much of an answer is taken, unless a session is told otherwise: a trace of half a million spans.
ANSWER_BYTES = 1 << 30

_READ_BYTES = 1 << 16

#: So much is sent under one time-out: a TLS record.
_SEND_BYTES = 1 << 14


class _Idle:
    """What urllib3 asks of the queue of a pool's idle connections (``queue.LifoQueue``'s manners), without a lock.

    It never waits: requests makes pools that make a connection where none is idle, and drop one that is too many.
    """

    def __init__(self, maxsize: int) -> None:
        self._most = maxsize
        self._connections: collections.deque[Any] = collections.deque()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        try:
            return self._connections.pop()
        except IndexError:
            raise queue.Empty from None

    def put(self, connection: Any, block: bool = True, timeout: float | None = None) -> None:
        if len(self._connections) >= self._most:
            raise queue.Full
        self._connections.append(connection)

    def qsize(self) -> int:
        return len(self._connections)


class _Timed:
    """A connection whose waits share the deadline of the request at hand: those for addresses and the TLS handshake,
    for sending, and for each piece of a proxy's and the server's answer.

    The host's name is looked up here, since urllib3's own look-up stops all greenthreads.
    """

    def _new_conn(self: Any) -> Any:
        connect = super()._new_conn  # type: ignore[misc]
        name, connect_s = self._dns_host, self.timeout
        try:
            *others, last = [entry[4][0] for entry in native.resolve(name, self.port, socket.SOCK_STREAM)]
        except socket.gaierror as fault:
            raise urllib3.exceptions.NewConnectionError(self, f"cannot resolve {name}: {fault}") from fault
        try:
            for self._dns_host in others:
                self.timeout = deadlines.left(connect_s)
                with contextlib.suppress(urllib3.exceptions.HTTPError):
                    return _armed(connect())
            self._dns_host = last
            self.timeout = deadlines.left(connect_s)
            return _armed(connect())
        finally:
            self._dns_host, self.timeout = name, connect_s

    def send(self: Any, data: bytes) -> None:
        for begin in range(0, len(data), _SEND_BYTES):
            if self.sock is not None:
                _armed(self.sock)
            super().send(data[begin : begin + _SEND_BYTES])  # type: ignore[misc]

    def response_class(self: Any, sock: Any, /, *args: Any, **kwargs: Any) -> Any:
        response = super().response_class(sock, *args, **kwargs)  # type: ignore[misc]
        response.fp = io.BufferedReader(_Reader(response.fp.detach(), sock))
        return response


class _Reader(io.RawIOBase):
    """What *raw* reads from *sock*, each time with no more patience than the deadline leaves."""

    def __init__(self, raw: io.RawIOBase, sock: Any) -> None:
        self._raw = raw
        self._socket = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        _armed(self._socket)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _armed(sock: Any) -> Any:
    sock.settimeout(deadlines.left())
    return sock


class _Adapter(requests.adapters.HTTPAdapter):
    def __init__(self, answer_bytes: int) -> None:
        self._answer_bytes = answer_bytes
        super().__init__()

    def init_poolmanager(self, /, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _with_ours(self.poolmanager)

    def proxy_manager_for(self, /, proxy: str, **kwargs: Any) -> Any:
        return _with_ours(super().proxy_manager_for(proxy, **kwargs))

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        answer = super().send(request, True, timeout, verify, cert, proxies)
        try:
            answer._content = self._read(answer)
        except requests.RequestException as fault:
            fault.response = answer
            raise
        finally:
            answer.close()  # a connection that was not read to the end of its answer is closed
        return answer

    def _read(self, answer: requests.Response) -> bytes:
        content = bytearray()
        for chunk in answer.iter_content(_READ_BYTES):
            content += chunk
            if len(content) > self._answer_bytes:
                raise requests.RequestException(f"the answer is longer than {self._answer_bytes} bytes")
        return bytes(content)


def _with_ours(manager: Any) -> Any:
    """*manager* of pools, which makes such as have our queue and our connections."""
    manager.pool_classes_by_scheme = {
        scheme: kind if kind.QueueCls is _Idle else _ours(kind)
        for scheme, kind in manager.pool_classes_by_scheme.items()
    }
    return manager


def _ours(pool: Any) -> Any:
    connection = type(pool.ConnectionCls.__name__, (_Timed, pool.ConnectionCls), {})
    return type(pool.__name__, (pool,), {"QueueCls": _Idle, "ConnectionCls": connection})


class Session(requests.Session):
    """Requests with ``timeout=(connect_s, whole_s)``: seconds for a connection to one address, and for all of the
    request, redirections and the last byte of the answer included. There is no streaming.

    Raises requests.Timeout when the time is up. An answer that breaks off, or is too long, raises another
    RequestException, whose ``response`` has the status and headers.
    """

    def __init__(self, answer_bytes: int) -> None:
        super().__init__()
        for prefix in ("https://", "http://"):
            self.mount(prefix, _Adapter(answer_bytes))

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        with deadlines.until(time.monotonic() + kwargs["timeout"][1]):
            whole_s = deadlines.left()
            try:
                # A green TLS socket waits several times within one call, each time with all of its time-out.
                with native.time_limit(whole_s):
                    return super().send(request, **kwargs)
            except OSError as fault:  # requests' own faults are of this kind
                if deadlines.passed():
                    raise requests.ReadTimeout(f"no whole answer in {whole_s:.3g} s", request=request) from fault
                raise


def retry_after_s(answer: requests.Response) -> float | None:
    """For how many seconds the server that gave *answer* wants to be left alone; None if it does not say."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isdecimal() and text.isascii():
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(when.timestamp() - time.time(), 0.0)


def session(answer_bytes: int = ANSWER_BYTES) -> Session:
    """A new session that takes answers of up to *answer_bytes*."""
    return Session(answer_bytes)
