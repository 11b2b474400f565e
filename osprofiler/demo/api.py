# SPDX-License-Identifier: Apache-2.0
"""The API: accepts a request for a server, checks its image, stores the server, and casts the build."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Any

from oslo_config import cfg

from osprofiler.demo import rest, rpc
from osprofiler.demo.database import Database


class Api:
    """``POST /servers`` and ``GET /servers/ID``."""

    def __init__(self, name: str) -> None:
        self._database = Database(cfg.CONF.demo.db_url)
        self._conductor = rpc.Client(rpc.CONDUCTOR_TASKS)
        self._http = rest.Server(rest.application(self.handle), cfg.CONF.demo.http_workers)
        self.url: str | None = self._http.url

    def start(self) -> None:
        self._http.start()

    def stop(self) -> None:
        self._http.stop()
        self._database.close()

    def handle(self, method: str, path: str, body: Any) -> tuple[HTTPStatus, Any]:
        if method == "POST" and path == "/servers":
            return HTTPStatus.ACCEPTED, self._create(**body)
        if method == "GET" and path.startswith("/servers/"):
            server = self._database.get(path.removeprefix("/servers/"))
            return (HTTPStatus.OK, server) if server else (HTTPStatus.NOT_FOUND, {"error": "no such server"})
        return HTTPStatus.NOT_FOUND, {"error": "no such resource"}

    def _create(self, name: str, image: str, spawn_ms: int) -> dict[str, Any]:
        image_info = rest.call("GET", f"{cfg.CONF.demo.image_url}/images/{image}").json()
        server = {
            "id": str(uuid.uuid4()),
            "name": name,
            "image": image,
            "memory_mb": image_info["min_ram"],
            "spawn_ms": spawn_ms,
        }
        self._database.add(server["id"], name)
        self._conductor.cast({}, "build", server=server)
        return server
