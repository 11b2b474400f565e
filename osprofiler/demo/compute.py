# SPDX-License-Identifier: Apache-2.0
"""A compute host: fetches the image, and its hypervisor starts the server."""

from __future__ import annotations

import time
from typing import Any

from oslo_config import cfg

from osprofiler import profiler
from osprofiler.demo import rest, rpc
from osprofiler.demo.settings import COMPUTES


class HypervisorFailed(Exception):
    """The hypervisor did not start the server."""


class Compute:
    """RPC: ``free_mb`` (called) and ``build`` (cast by the conductor)."""

    url: str | None = None

    def __init__(self, name: str) -> None:
        self._rpc = rpc.Server(rpc.COMPUTE, name, _Endpoint(name, rpc.Client(rpc.CONDUCTOR)))

    def start(self) -> None:
        self._rpc.start()

    def stop(self) -> None:
        self._rpc.stop()


class _Endpoint:
    def __init__(self, host: str, conductor: rpc.Client) -> None:
        self._host = host
        self._conductor = conductor

    def free_mb(self, context: dict[str, Any]) -> int:
        """The free memory of this host, in MB: each host has more than the one before."""
        return 4096 * (1 + COMPUTES.index(self._host))

    def build(self, context: dict[str, Any], server: dict[str, Any]) -> None:
        """Build *server* on this host, and report success or failure to the conductor."""
        try:
            image = rest.call("GET", f"{cfg.CONF.demo.image_url}/images/{server['image']}/file").content
            spawn(server["name"], len(image), server["spawn_ms"])
        except Exception:
            self._update(context, server, "ERROR")
            raise
        self._update(context, server, "ACTIVE")

    def _update(self, context: dict[str, Any], server: dict[str, Any], status: str) -> None:
        self._conductor.call(context, "update", server_id=server["id"], status=status, host=self._host)


@profiler.trace("compute.spawn")
def spawn(name: str, image_bytes: int, spawn_ms: int) -> None:
    """Start the server, as a hypervisor's driver does. Raises HypervisorFailed."""
    with profiler.Trace("compute.define", info={"server": name}):
        time.sleep(spawn_ms / 4000)
    if cfg.CONF.demo.fault == "compute":
        raise HypervisorFailed(f"{name}: no space left for a disk of {image_bytes} bytes")
    profiler.annotate("defined", disk_bytes=image_bytes)
    with profiler.Trace("compute.power_on", info={"server": name}):
        time.sleep(spawn_ms * 3 / 4000)
