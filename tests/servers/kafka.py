# SPDX-License-Identifier: Apache-2.0
"""One node of Apache Kafka 4, broker and controller in one process."""

import signal
import socket
from typing import ClassVar

from tests.servers import java
from tests.servers.base import Server, free_port


class Kafka(Server):
    """Kafka without authentication, with one *topic* of so many *partitions*."""

    name: ClassVar[str] = "kafka"
    stop_signal: ClassVar[signal.Signals] = signal.SIGKILL  # an orderly end waits for clients that are already gone

    def __init__(self, topic: str, partitions: int = 1) -> None:
        super().__init__()
        self._port = free_port()
        self._controller_port = free_port()
        self._topic, self._partitions = topic, partitions
        self._has_topic = self.data / "has-topic"
        self._properties = self.data / "server.properties"

    @classmethod
    def check(cls) -> None:
        java.folder("kafka")

    @property
    def url(self) -> str:
        """Return the broker's address, as clients take it."""
        return f"127.0.0.1:{self._port}"

    @property
    def topic_bytes(self) -> int:
        """Return the size of the topic on disk."""
        return sum(file.stat().st_size for file in self.data.glob(f"node/{self._topic}-*/*.log"))

    def _prepare(self) -> None:
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "log.dirs": self.data / "node",
            "listeners": f"PLAINTEXT://{self.url},CONTROLLER://127.0.0.1:{self._controller_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self._controller_port}",
            "num.partitions": self._partitions,
            "group.initial.rebalance.delay.ms": 0,
            # There is one node.
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
        }
        self._properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))

    def _command(self) -> list[str]:
        arguments = [str(self._properties), self.url, self._topic, str(self._has_topic)]
        return java.command("kafka", *arguments, megabytes=256)

    def _answers(self) -> bool:
        with socket.create_connection(("127.0.0.1", self._port), timeout=5):  # it listens when it takes requests
            return self._has_topic.exists()
