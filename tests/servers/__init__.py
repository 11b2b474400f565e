# SPDX-License-Identifier: Apache-2.0
"""Real servers on private ports of 127.0.0.1, for tests, benchmarks and for trying things out.

Each stands in a file of its own and is one class with ``start``, ``stop``, ``kill``, ``restart`` and ``url``; only the
standard library is used. ``python3 -m tests.servers jaeger rabbit`` runs some until Ctrl-C.
"""

from tests.servers.base import Missing, Server, StartFailed, free_port
from tests.servers.elastic import Elasticsearch, Elasticsearch8, OpenSearch
from tests.servers.jaeger import Jaeger
from tests.servers.mariadb import MariaDB
from tests.servers.memcached import Memcached
from tests.servers.mongo import NX27017, FerretDB, MongoJava
from tests.servers.postgres import Postgres
from tests.servers.rabbit import Rabbit
from tests.servers.redis import Redis, RedisCluster, RedisSentinel

# A new server needs its file and a row here; its fixture is made from this table.
SERVERS: dict[str, type[Server]] = {
    cls.name: cls
    for cls in (
        Jaeger,
        Rabbit,
        MariaDB,
        Postgres,
        Redis,
        RedisCluster,
        RedisSentinel,
        Memcached,
        FerretDB,
        MongoJava,
        NX27017,
        Elasticsearch,
        Elasticsearch8,
        OpenSearch,
    )
}

__all__ = [
    "SERVERS",
    "Elasticsearch",
    "Elasticsearch8",
    "NX27017",
    "FerretDB",
    "Jaeger",
    "MariaDB",
    "Memcached",
    "Missing",
    "MongoJava",
    "OpenSearch",
    "Postgres",
    "Rabbit",
    "Redis",
    "RedisCluster",
    "RedisSentinel",
    "Server",
    "StartFailed",
    "free_port",
]
