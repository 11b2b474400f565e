# SPDX-License-Identifier: Apache-2.0
"""A process's client of Redis. The server itself decides whether it is a client of one server or of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from osprofiler.drivers import errors, network

_CHUNK = 500  # keys in one round trip

#: The time-outs of a client of redis-py.
TIMEOUTS: dict[str, Any] = {
    "socket_connect_timeout": network.CONNECT_TIMEOUT_S,
    "socket_timeout": network.ANSWER_TIMEOUT_S,
}

#: First words of error replies that are not about the records: the server takes no writes now, or not from our account.
_UNAVAILABLE = frozenset(
    ("CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOAUTH", "NOPERM", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN")
)


class Client:
    """The client that ``connect(is_cluster)`` makes.

    *cluster*: whether the server is a node of a cluster; None: ask the server.
    """

    def __init__(self, connect: Callable[[bool], Any], cluster: bool | None = None) -> None:
        self._configured_cluster = cluster
        self._cluster = cluster  # None: not known yet
        self._client: network.PerProcess[Any] = network.PerProcess(lambda: connect(bool(self._cluster)))

    @classmethod
    def of(cls, client: Any) -> Client:
        """A Client that always returns *client*."""
        return cls(lambda _: client, is_cluster(client))

    def get(self) -> Any:
        """This process's ``redis.Redis`` or ``redis.RedisCluster``."""
        return self._client.get()

    def ready(self) -> Any:
        """The client for this server. The first call asks the server whether it is a node of a cluster."""
        if self._cluster is None:
            self._cluster = _is_node(self.get())
            if self._cluster:
                self._disconnect()
        return self.get()

    def pipeline(self) -> Any:
        """Commands for one round trip: a transaction, except in a cluster."""
        client = self.ready()
        return client.pipeline(transaction=not is_cluster(client))

    def keys(self, prefix: str) -> Iterator[list[Any]]:
        """The keys that begin with *prefix*, in chunks, each once."""
        seen: set[Any] = set()
        chunk: list[Any] = []
        for key in self.ready().scan_iter(match=_literal(prefix) + "*", count=_CHUNK):
            if key not in seen:  # a scan may give a key twice
                seen.add(key)
                chunk.append(key)
            if len(chunk) == _CHUNK:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def values(self, keys: list[Any]) -> list[Any]:
        """The texts under *keys*; None for a key without a text."""
        client = self.ready()
        values: list[Any] = (client.mget_nonatomic if is_cluster(client) else client.mget)(keys)
        return values

    def close(self) -> None:
        """Close the connections. The next server at the address may be another one."""
        self._disconnect()
        self._cluster = self._configured_cluster

    def _disconnect(self) -> None:
        client = self._client.take()
        if client is None:
            return
        if is_cluster(client):
            client.close()
        else:
            client.connection_pool.disconnect()


def text(value: Any) -> str:
    """*value*, a key or a member of a set, as text. Bytes that are not UTF-8 are shown as escapes."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def library() -> Any:
    """The module of redis-py. Raises CommandError if it is not installed."""
    return network.library("redis", "Redis", "redis", "redis")


def is_cluster(client: Any) -> bool:
    """Whether *client* is a client of a cluster."""
    return isinstance(client, library().RedisCluster)


def error_kind(error: Exception) -> errors.Kind:
    """The kind of an *error* of redis-py, for a batch."""
    kinds = library().exceptions
    unavailable = [kinds.ConnectionError, kinds.TimeoutError, kinds.ClusterError, kinds.RedisClusterException]
    unavailable += [kinds.TryAgainError, kinds.ReadOnlyError, kinds.NoPermissionError]
    unavailable += [getattr(kinds, "OutOfMemoryError", kinds.ReadOnlyError)]  # redis-py has it since 5.1
    if isinstance(error, tuple(unavailable)):
        return errors.StoreUnavailable
    if isinstance(error, kinds.DataError) or has_wrong_type(error):
        return errors.RecordsRefused
    if isinstance(error, kinds.ResponseError) and _reply(error).partition(" ")[0] in _UNAVAILABLE:
        return errors.StoreUnavailable
    return errors.kind_of(error)


def has_wrong_type(error: Exception) -> bool:
    """Whether *error* says that the value of a key has another type."""
    return _reply(error).startswith("WRONGTYPE")


def _reply(error: Exception) -> str:
    """The server's reply in *error*. For a command of a pipeline, redis-py puts the command before it."""
    return str(error).rpartition(" of pipeline caused error: ")[2]


def _is_node(client: Any) -> bool:
    """Whether the server of *client*, a client of one server, is a node of a cluster."""
    try:
        info = client.info("cluster")
    except library().ResponseError:  # our account may not ask that, or the server is a proxy
        return False
    return bool(info.get("cluster_enabled"))


def _literal(text: str) -> str:
    """A pattern of Redis that matches only *text*."""
    return "".join(f"\\{char}" if char in "*?[]\\^" else char for char in text)
