# SPDX-License-Identifier: Apache-2.0
"""Sessions of requests that a forked child can leave behind, and whose wait for a name server stops no greenthread.

urllib3 closes what a pool holds when the interpreter ends, in a forked child too, and takes the lock of the pool's
queue for that. A thread of the parent that held it at the time of the fork (the reporter's takes it with each request)
never gives it back in the child, which then would not end.
"""

from __future__ import annotations

import collections
import contextlib
import queue
import socket
from typing import Any

import requests
import requests.adapters
import urllib3.exceptions

from osprofiler import _native


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


class _ByAddress:
    """A connection whose host's name urllib3 does not look up itself, in a process that eventlet has patched."""

    def _new_conn(self: Any) -> Any:
        connect = super()._new_conn  # type: ignore[misc]
        if not _native.patched():
            return connect()
        name = self._dns_host
        *others, last = [entry[4][0] for entry in _native.addresses(name, self.port, socket.SOCK_STREAM)]
        try:
            for self._dns_host in others:
                with contextlib.suppress(urllib3.exceptions.HTTPError):
                    return connect()
            self._dns_host = last
            return connect()
        finally:
            self._dns_host = name


class _Adapter(requests.adapters.HTTPAdapter):
    def init_poolmanager(self, /, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _without_locks(self.poolmanager)

    def proxy_manager_for(self, /, proxy: str, **kwargs: Any) -> Any:
        return _without_locks(super().proxy_manager_for(proxy, **kwargs))


def _without_locks(manager: Any) -> Any:
    """*manager* of pools, which makes such as have our queue and our connections."""
    manager.pool_classes_by_scheme = {
        scheme: kind if kind.QueueCls is _Idle else _ours(kind)
        for scheme, kind in manager.pool_classes_by_scheme.items()
    }
    return manager


def _ours(pool: Any) -> Any:
    connection = type(pool.ConnectionCls.__name__, (_ByAddress, pool.ConnectionCls), {})
    return type(pool.__name__, (pool,), {"QueueCls": _Idle, "ConnectionCls": connection})


def session() -> requests.Session:
    """A new session, as ``requests.Session()`` but for its pools."""
    made = requests.Session()
    for prefix in ("https://", "http://"):
        made.mount(prefix, _Adapter())
    return made
