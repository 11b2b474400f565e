# SPDX-License-Identifier: Apache-2.0
"""The conductor: chooses a host for a server, casts the build to it, and stores the result."""

from __future__ import annotations

from typing import Any

from oslo_config import cfg

from osprofiler.demo import rpc, scheduler
from osprofiler.demo.database import Database
from osprofiler.demo.settings import COMPUTES


class Conductor:
    """RPC: ``build`` (cast by the API) and ``update`` (called by the computes)."""

    url: str | None = None

    def __init__(self, name: str) -> None:
        self._database = Database(cfg.CONF.demo.db_url)
        computes = {host: rpc.Client(rpc.COMPUTE, host) for host in COMPUTES}
        self._servers = (
            rpc.Server(rpc.CONDUCTOR, name, _Records(self._database)),
            rpc.Server(rpc.CONDUCTOR_TASKS, name, _Tasks(self._database, computes)),
        )

    def start(self) -> None:
        for server in self._servers:
            server.start()

    def stop(self) -> None:
        for server in self._servers:
            server.stop()
        self._database.close()


class _Records:
    def __init__(self, database: Database) -> None:
        self._database = database

    def update(self, context: dict[str, Any], server_id: str, status: str, host: str) -> None:
        """Store the status of a server."""
        self._database.update(server_id, status=status, host=host)


class _Tasks:
    def __init__(self, database: Database, computes: dict[str, rpc.Client]) -> None:
        self._database = database
        self._computes = computes

    def build(self, context: dict[str, Any], server: dict[str, Any]) -> None:
        """Choose the best host, and cast the build of *server* to it."""
        try:
            host = scheduler.select_host(
                list(self._computes),
                lambda host: int(self._computes[host].call(context, "free_mb")),
                server["memory_mb"],
                cfg.CONF.demo.model,
            )
            self._database.claim(server["id"], host, server["memory_mb"])
        except Exception:
            self._database.update(server["id"], status="ERROR")
            raise
        self._computes[host].cast(context, "build", server=server)
