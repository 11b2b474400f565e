# SPDX-License-Identifier: Apache-2.0
"""An RPC client and server of oslo.messaging over its in-memory transport, for who traces RPC."""

from __future__ import annotations

from typing import Any

import oslo_messaging
from oslo_config import cfg


class Endpoint:
    """What is called; it answers with its argument."""

    def bench(self, ctxt: dict[str, Any], n: int) -> int:
        return n


class Rpc:
    """Both sides, in this process. Configuration is the process's own, since oslo.messaging's tracing reads that."""

    def __init__(self) -> None:
        transport = oslo_messaging.get_rpc_transport(cfg.CONF, "fake://")
        target = oslo_messaging.Target(topic="bench", server="one")
        self._server = oslo_messaging.get_rpc_server(transport, target, [Endpoint()], executor="threading")
        self._server.start()
        self.client = oslo_messaging.get_rpc_client(transport, oslo_messaging.Target(topic="bench"))

    def call(self, n: int) -> None:
        """One call and its answer."""
        if self.client.call({}, "bench", n=n) != n:
            raise AssertionError("not the answer to this call")

    def stop(self) -> None:
        self._server.stop()
        self._server.wait()
