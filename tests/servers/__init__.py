# SPDX-License-Identifier: Apache-2.0
"""Real servers on private ports of 127.0.0.1, for tests, benchmarks and for trying things out.

Each stands in a file of its own and is one class with ``start``, ``stop``, ``kill``, ``restart`` and ``url``; only the
standard library is used. ``python3 -m tests.servers jaeger rabbit`` runs some until Ctrl-C.
"""

from tests.servers.base import Missing, Server, StartFailed, free_port
from tests.servers.jaeger import Jaeger
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres
from tests.servers.rabbit import Rabbit

# A new server needs its file and a row here; its fixture is made from this table.
SERVERS: dict[str, type[Server]] = {cls.name: cls for cls in (Jaeger, Rabbit, MariaDB, Postgres)}

__all__ = ["SERVERS", "Jaeger", "MariaDB", "Missing", "Postgres", "Rabbit", "Server", "StartFailed", "free_port"]
