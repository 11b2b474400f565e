# SPDX-License-Identifier: Apache-2.0
"""A process's client of a Redis: one for a single server or for a cluster, as the server turns out to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from osprofiler.drivers import errors, network

_CHUNK = 500  # keys asked for in one round trip

#: How a client of redis-py waits.
WAITS: dict[str, Any] = {
    "socket_connect_timeout": network.CONNECT_TIMEOUT_S,
    "socket_timeout": network.ANSWER_TIMEOUT_S,
}

#: First words of answers that are not about the records: no write is taken at present, or none from this account.
_UNAVAILABLE = frozenset(
    ("CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOAUTH", "NOPERM", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN")
)


class Client:
    """The client that *connect* makes, which is told whether the server is a node of a cluster.

    *cluster* is None where the server is to be asked that.
    """

    def __init__(self, connect: Callable[[bool], Any], cluster: bool | None = None) -> None:
        self._given_cluster = cluster
        self._cluster = cluster  # None: not known yet
        self._client: network.PerProcess[Any] = network.PerProcess(lambda: connect(bool(self._cluster)))

    @classmethod
    def of(cls, client: Any) -> Client:
        """One that always gives *client*."""
        return cls(lambda _: client, is_cluster(client))

    def get(self) -> Any:
        """This process's ``redis.Redis`` or ``redis.RedisCluster``."""
        return self._client.get()

    def ready(self) -> Any:
        """The client that fits the server, which is asked for that once there is something to say to it."""
        if self._cluster is None:
            self._cluster = _is_node(self.get())
            if self._cluster:
                self._disconnect()
        return self.get()

    def pipeline(self) -> Any:
        """Commands for one round trip; all or none is done, unless they go to several shards."""
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
        """The texts under *keys*; None where there is none."""
        client = self.ready()
        values: list[Any] = (client.mget_nonatomic if is_cluster(client) else client.mget)(keys)
        return values

    def close(self) -> None:
        """Give back the connections. The address may lead to another server next time."""
        self._disconnect()
        self._cluster = self._given_cluster

    def _disconnect(self) -> None:
        client = self._client.take()
        if client is None:
            return
        if is_cluster(client):
            client.close()
        else:
            client.connection_pool.disconnect()


def library() -> Any:
    """redis-py. Raises CommandError where it is not installed."""
    try:
        import redis
    except ImportError as fault:
        raise network.missing("Redis", "redis", "redis") from fault
    return redis


def is_cluster(client: Any) -> bool:
    """Whether *client* is one of a cluster."""
    return isinstance(client, library().RedisCluster)


def error_kind(error: Exception) -> errors.Kind:
    """What *error*, of redis-py's, means for a batch."""
    kinds = library().exceptions
    unavailable = [kinds.ConnectionError, kinds.TimeoutError, kinds.ClusterError, kinds.RedisClusterException]
    unavailable += [kinds.TryAgainError, kinds.ReadOnlyError, kinds.NoPermissionError]
    unavailable += [getattr(kinds, "OutOfMemoryError", kinds.ReadOnlyError)]  # redis-py has it since 5.1
    if isinstance(error, tuple(unavailable)):
        return errors.StoreUnavailable
    if isinstance(error, kinds.DataError) or has_wrong_type(error):
        return errors.RecordsRefused
    if isinstance(error, kinds.ResponseError) and _answer(error).partition(" ")[0] in _UNAVAILABLE:
        return errors.StoreUnavailable
    return errors.kind_of(error)


def has_wrong_type(error: Exception) -> bool:
    """Whether *error* says that a key holds a value of another type."""
    return _answer(error).startswith("WRONGTYPE")


def _answer(error: Exception) -> str:
    """What the server answered; redis-py puts the command before it if it was one of a pipeline."""
    return str(error).rpartition(" of pipeline caused error: ")[2]


def _is_node(client: Any) -> bool:
    """Whether *client*, a plain one, leads to a node of a cluster."""
    try:
        info = client.info("cluster")
    except library().ResponseError:  # not for us to ask: an account with few rights, or a proxy
        return False
    return bool(info.get("cluster_enabled"))


def _literal(text: str) -> str:
    """*text* as a pattern of Redis that matches only it."""
    return "".join(f"\\{char}" if char in "*?[]\\^" else char for char in text)
