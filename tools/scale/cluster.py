# SPDX-License-Identifier: Apache-2.0
"""The programs of a large Jaeger on one machine, each after those that it needs."""

import contextlib
from collections.abc import Callable, Sequence

from tests.servers import OpenSearch, Server
from tests.servers.kafka import Kafka
from tools.scale.roles import TOPIC, Collector, Ingester, QueryService


class Cluster:
    """A context manager: collectors, Kafka, an ingester, OpenSearch, a query service, on free ports of 127.0.0.1.

    *say* is called with a text before each step. Raises tests.servers.Missing and StartFailed.
    """

    def __init__(self, collectors: int, partitions: int, shards: int, say: Callable[[str], None]) -> None:
        self._numbers = collectors, partitions, shards
        self._say = say
        self._running = contextlib.ExitStack()
        self.servers: dict[str, Server] = {}
        self.collectors: list[Collector] = []
        self.index_url = self.query_url = ""
        self.broker: Kafka

    def __enter__(self) -> "Cluster":
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self._running.close)
            self._start()
            on_failure.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def _start(self) -> None:
        collectors, partitions, shards = self._numbers
        self._say("starting OpenSearch and Kafka")
        index, broker = OpenSearch(megabytes=1024, lives_long=True), Kafka(TOPIC, partitions)
        self._run(index)
        self._run(broker)
        self.broker = broker
        self.index_url = f"http://127.0.0.1:{index.port}"
        self._say(f"starting {collectors} collectors, the ingester and the query service")
        ingester = Ingester(broker.url, self.index_url, shards)
        query = QueryService(self.index_url, shards)
        self._run(ingester)  # it makes the templates of the indices
        self._run(query)
        self.query_url = query.url
        self.collectors = [Collector(broker.url) for _ in range(collectors)]
        for number, collector in enumerate(self.collectors, 1):
            self._run(collector, f"collector {number}")

    def _run(self, server: Server, name: str = "") -> None:
        self.servers[name or server.name] = self._running.enter_context(server)

    def store(self, wire: str = "jaeger", number: int = 0) -> str:
        """Return the connection string that writes to the collector *number* and reads from the query service."""
        collector = self.collectors[number % len(self.collectors)]
        return f"{collector.address(wire)}?query={self.query_url}"

    def addresses(self) -> Sequence[tuple[str, str]]:
        """Return what to call each address, and the address."""
        collectors = [
            (f"collector {number}, {wire}", collector.address(wire))
            for number, collector in enumerate(self.collectors, 1)
            for wire in ("jaeger", "otlp")
        ]
        return [
            *collectors,
            ("Kafka", self.broker.url),
            ("OpenSearch", self.index_url),
            ("query service", self.query_url),
            ("connection string", self.store()),
        ]
