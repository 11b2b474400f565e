# SPDX-License-Identifier: Apache-2.0
"""Sessions of requests with one deadline for each whole request, and a limit on the size of its response.

Name resolution in these sessions does not block other greenthreads. A forked child may abandon them.

When the interpreter ends, also in a forked child, urllib3 closes the connections of its pools, and takes the lock of
the pool's queue for that. If a thread of the parent held this lock during the fork (the reporter takes it for each
request), nobody releases it in the child, and the child would never end. So our pools use a queue without a lock.
"""

from __future__ import annotations

import collections
import contextlib
import io
import netrc  # noqa: F401  # otherwise requests imports it in the thread that sends the first request
import queue
import socket
import time
from typing import Any

import requests
import requests.adapters
import urllib3.exceptions

from osprofiler._runtime import deadlines, native

#: The default limit on the size of a response: a trace of half a million spans.
RESPONSE_BYTES = 1 << 30

_READ_BYTES = 1 << 16

#: The size of a piece that is sent under one time-out: a TLS record.
_SEND_BYTES = 1 << 14


class _Idle:
    """The queue of a pool's idle connections: the part of ``queue.LifoQueue`` that urllib3 uses, without a lock.

    It never waits: the pools of requests create a connection if none is idle, and drop one if the queue is full.
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
    """A connection whose waits share the deadline of the current request.

    The waits: for the addresses and the TLS handshake, for sending, and for each piece of a response of the proxy or
    the server. The class resolves the host's name itself, since urllib3 would block all greenthreads.
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
    """Reads *raw*, whose socket is *sock*; each read has only the time that the deadline leaves."""

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
    def __init__(self, response_bytes: int) -> None:
        self._response_bytes = response_bytes
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
        response = super().send(request, True, timeout, verify, cert, proxies)
        try:
            response._content = self._read(response)
        except requests.RequestException as fault:
            fault.response = response
            raise
        finally:
            response.close()  # closes the connection, unless its response was read to the end
        return response

    def _read(self, response: requests.Response) -> bytes:
        content = bytearray()
        for chunk in response.iter_content(_READ_BYTES):
            content += chunk
            if len(content) > self._response_bytes:
                raise requests.RequestException(f"the response is longer than {self._response_bytes} bytes")
        return bytes(content)


def _with_ours(manager: Any) -> Any:
    """Make the pool manager *manager* create pools with our queue and our connections; return it."""
    manager.pool_classes_by_scheme = {
        scheme: kind if kind.QueueCls is _Idle else _ours(kind)
        for scheme, kind in manager.pool_classes_by_scheme.items()
    }
    return manager


def _ours(pool: Any) -> Any:
    connection = type(pool.ConnectionCls.__name__, (_Timed, pool.ConnectionCls), {})
    return type(pool.__name__, (pool,), {"QueueCls": _Idle, "ConnectionCls": connection})


class Session(requests.Session):
    """A session for requests with ``timeout=(connect_s, whole_s)``. It does not stream.

    ``connect_s``: seconds for a connection to one address. ``whole_s``: seconds for the whole request, from the first
    connection over redirections to the last byte of the response. Raises requests.Timeout when the time is up. A
    response that breaks off, or is too long, raises another RequestException, whose ``response`` has the status and
    headers.
    """

    def __init__(self, response_bytes: int) -> None:
        super().__init__()
        for prefix in ("https://", "http://"):
            self.mount(prefix, _Adapter(response_bytes))

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        with deadlines.until(time.monotonic() + kwargs["timeout"][1]):
            whole_s = deadlines.left()
            try:
                # A green TLS socket waits several times in one call, and each wait has the full time-out.
                with native.time_limit(whole_s):
                    return super().send(request, **kwargs)
            except OSError as fault:  # the base class of requests' own errors
                if deadlines.passed():
                    raise requests.ReadTimeout(f"no whole response in {whole_s:.3g} s", request=request) from fault
                raise


def session(response_bytes: int = RESPONSE_BYTES) -> Session:
    """Make a session that accepts responses of up to *response_bytes*."""
    return Session(response_bytes)
