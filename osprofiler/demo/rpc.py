# SPDX-License-Identifier: Apache-2.0
"""RPC between the demo's roles, over the transport of ``transport_url``: RabbitMQ, or memory within one process."""

from __future__ import annotations

import functools
from typing import Any

import oslo_messaging
from oslo_config import cfg

# Two topics, each with its own threads: a build waits for a host, and the host waits for the conductor's update. In
# one pool of threads, builds could take all threads and block the updates.
CONDUCTOR = "demo-conductor"
CONDUCTOR_TASKS = "demo-conductor-tasks"
COMPUTE = "demo-compute"

_CALL_TIMEOUT_S = 60


@functools.cache
def transport() -> Any:
    """The process's connection to the message bus."""
    return oslo_messaging.get_rpc_transport(cfg.CONF)


def _executor() -> str:
    return "eventlet" if cfg.CONF.demo.model == "eventlet" else "threading"


class Server:
    """Serves the public methods of *endpoint* on *topic*, under the name *server*."""

    def __init__(self, topic: str, server: str, endpoint: object) -> None:
        target = oslo_messaging.Target(topic=topic, server=server)
        self._server = oslo_messaging.get_rpc_server(transport(), target, [endpoint], executor=_executor())

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        """Finish the received messages, and stop."""
        self._server.stop()
        self._server.wait()


class Client:
    """Calls the methods served on *topic*; if *server* is given, only on this server."""

    def __init__(self, topic: str, server: str | None = None) -> None:
        target = oslo_messaging.Target(topic=topic, server=server)
        self._client = oslo_messaging.get_rpc_client(transport(), target, timeout=_CALL_TIMEOUT_S)

    def call(self, context: dict[str, Any], method: str, /, **arguments: Any) -> Any:
        """Send, and wait for the answer. Raises oslo.messaging's RemoteError for an exception on the other side."""
        return self._client.call(context, method, **arguments)

    def cast(self, context: dict[str, Any], method: str, /, **arguments: Any) -> None:
        """Send, and do not wait for an answer."""
        self._client.cast(context, method, **arguments)
