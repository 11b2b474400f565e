# SPDX-License-Identifier: Apache-2.0
"""A Redis with a password and a TLS port; one with a replica, watched over by a Sentinel; and a cluster."""

import itertools
import os
import subprocess
from pathlib import Path
from typing import ClassVar

from tests.servers.base import Server, free_port, program
from tests.servers.certificate import make_certificate
from tests.waiting import wait_until

_PASSWORD = "of-redis"
_SLOTS = 16384


class Redis(Server):
    """Redis that wants a password: in clear at ``url``, with TLS at ``tls_url``. A stop keeps data, a kill does not."""

    name: ClassVar[str] = "redis"

    def __init__(self, replica_of: "Redis | None" = None) -> None:
        super().__init__()
        self.port = free_port()
        self.tls_port = free_port()
        self._replica_of = replica_of
        self._numbers = itertools.count(1)

    @classmethod
    def check(cls) -> None:
        program("redis-server", install="redis-server")
        program("openssl", install="openssl")

    @property
    def url(self) -> str:
        """Return the connection string of the database that all share."""
        return self._url("redis", self.port, 0)

    def fresh_url(self) -> str:
        """Return the connection string of a database that nobody has used."""
        return self._url("redis", self.port, next(self._numbers))

    @property
    def tls_url(self) -> str:
        """Return the connection string over TLS, which trusts the server's own certificate."""
        return f"{self._url('rediss', self.tls_port, 0)}?ssl_ca_certs={self.certificate}"

    @property
    def certificate(self) -> Path:
        """Return the file of the server's certificate, signed by itself."""
        return self.data / "certificate.pem"

    def ask(self, *words: str) -> str:
        """Return what the server answers to one command."""
        return ask(self.port, *words, password=_PASSWORD)

    def _url(self, scheme: str, port: int, number: int) -> str:
        return f"{scheme}://:{_PASSWORD}@127.0.0.1:{port}/{number}"

    def _prepare(self) -> None:
        make_certificate(self, self.certificate, self.data / "key.pem")

    def _settings(self) -> dict[str, str]:
        return {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "tls-port": str(self.tls_port),
            "tls-cert-file": str(self.certificate),
            "tls-key-file": str(self.data / "key.pem"),
            "tls-auth-clients": "no",
            "databases": "10000",
            "dir": str(self.data),
            "save": "3600 1",  # what is there is saved at a stop, and hardly ever before
            "requirepass": _PASSWORD,
            "masterauth": _PASSWORD,
            "repl-diskless-sync-delay": "0",
        }

    def _command(self) -> list[str]:
        command = [program("redis-server", install="redis-server")]
        for key, value in self._settings().items():
            command += [f"--{key}", value]
        if self._replica_of is not None:
            command += ["--replicaof", f"127.0.0.1 {self._replica_of.port}"]
        return command

    def _answers(self) -> bool:
        return "PONG" in self.ask("PING")


class RedisSentinel(Server):
    """A Sentinel over a master and its replica; ``master`` may be killed, and the replica takes its place."""

    name: ClassVar[str] = "redis_sentinel"

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()
        self.master = Redis()
        self.replica = Redis(replica_of=self.master)

    @classmethod
    def check(cls) -> None:
        Redis.check()
        program("redis-sentinel", install="redis-sentinel")

    @property
    def url(self) -> str:
        """Return the connection string that names the Sentinel."""
        return f"redissentinel://:{_PASSWORD}@127.0.0.1:{self.port}/0"

    def master_port(self) -> int:
        """Return the port of what the Sentinel takes for the master."""
        return int(ask(self.port, "SENTINEL", "get-master-addr-by-name", "mymaster").split()[1])

    def start(self) -> None:
        self.master.start()
        self.replica.start()
        wait_until(lambda: "master_link_status:up" in self.replica.ask("INFO", "replication"), what="replication")
        super().start()

    def close(self) -> None:
        super().close()
        self.replica.close()
        self.master.close()

    def _prepare(self) -> None:
        (self.data / "sentinel.conf").write_text(
            f"bind 127.0.0.1\nport {self.port}\ndir {self.data}\n"
            f"sentinel monitor mymaster 127.0.0.1 {self.master.port} 1\n"
            f"sentinel auth-pass mymaster {_PASSWORD}\n"
            "sentinel down-after-milliseconds mymaster 500\n"
            "sentinel failover-timeout mymaster 5000\n"
        )

    def _command(self) -> list[str]:
        return [program("redis-sentinel", install="redis-sentinel"), str(self.data / "sentinel.conf")]

    def _answers(self) -> bool:
        return str(self.replica.port) in ask(self.port, "SENTINEL", "replicas", "mymaster")


class _Node(Redis):
    """A node of a cluster. All have the certificate of the *first* and talk with one another over TLS: else they would
    not tell clients their TLS ports."""

    def __init__(self, first: "_Node | None" = None) -> None:
        super().__init__()
        self.bus_port = free_port()
        self._first = first

    @property
    def certificate(self) -> Path:
        return self._first.certificate if self._first else super().certificate

    def _prepare(self) -> None:
        if self._first is None:
            super()._prepare()

    def fresh_url(self) -> str:
        raise NotImplementedError("a cluster has one database")

    def _settings(self) -> dict[str, str]:
        return {
            **super()._settings(),
            "databases": "1",
            "cluster-enabled": "yes",
            "cluster-port": str(self.bus_port),
            "tls-cluster": "yes",
            "tls-key-file": str(self.certificate.with_name("key.pem")),
            "tls-ca-cert-file": str(self.certificate),
        }


class RedisCluster(Server):
    """A cluster of so many *shards* without replicas, a password and a TLS port each; ``url`` names one of them."""

    name: ClassVar[str] = "redis_cluster"

    def __init__(self, shards: int = 3) -> None:
        super().__init__()
        first = _Node()
        self.nodes = [first, *(_Node(first) for _ in range(shards - 1))]
        self._made = False

    @classmethod
    def check(cls) -> None:
        Redis.check()

    @property
    def url(self) -> str:
        """Return the connection string that names one node."""
        return self.nodes[-1].url

    @property
    def tls_url(self) -> str:
        """Return the connection string that names one node, over TLS."""
        return self.nodes[-1].tls_url

    def flush(self) -> None:
        """Remove all keys."""
        for node in self.nodes:
            node.ask("FLUSHALL")

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        if not self._made:
            self._meet()
            self._made = True
        wait_until(self.serves, self.start_timeout_s, self.name)

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()

    def close(self) -> None:
        for node in self.nodes:
            node.close()
        super().close()

    def _meet(self) -> None:
        first, bounds = self.nodes[0], [_SLOTS * at // len(self.nodes) for at in range(len(self.nodes) + 1)]
        for epoch, node in enumerate(self.nodes, 1):
            node.ask("CLUSTER", "ADDSLOTSRANGE", str(bounds[epoch - 1]), str(bounds[epoch] - 1))
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(epoch))
        for node in self.nodes[1:]:
            node.ask("CLUSTER", "MEET", "127.0.0.1", str(first.port), str(first.bus_port))

    def _answers(self) -> bool:
        return all("cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self.nodes)


def ask(port: int, *words: str, password: str = "") -> str:
    """Return what the Redis or Sentinel at *port* answers to one command; OSError if it does not."""
    account = {"REDISCLI_AUTH": password} if password else {}
    done = subprocess.run(
        [program("redis-cli", install="redis-tools"), "-h", "127.0.0.1", "-p", str(port), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, **account},
    )
    if done.returncode:
        raise OSError(done.stdout.strip())
    return done.stdout
