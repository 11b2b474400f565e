# SPDX-License-Identifier: Apache-2.0
"""The roles of Jaeger's program in a large installation: collector, ingester, query service."""

from typing import Any, ClassVar

from tests.servers import free_port
from tests.servers.jaeger import JaegerProgram, at

TOPIC = "jaeger-spans"
PREFIX = "scale"  # of the indices' names

_QUIET = {"metrics": {"level": "none"}, "logs": {"level": "warn"}}


class Collector(JaegerProgram):
    """Takes spans over HTTP and writes them into Kafka. It acknowledges a batch when Kafka has it."""

    name: ClassVar[str] = "collector"

    def __init__(self, broker: str) -> None:
        super().__init__()
        self._broker = broker
        self._thrift_port = free_port()
        self._otlp_port = free_port()

    def address(self, wire: str) -> str:
        """Return the connection string for *wire*: jaeger (thrift over HTTP) or otlp."""
        if wire == "otlp":
            return f"otlp://127.0.0.1:{self._otlp_port}"
        return f"jaeger+http://127.0.0.1:{self._thrift_port}"

    @property
    def url(self) -> str:
        return self.address("jaeger")

    def _configuration(self) -> dict[str, Any]:
        return {
            "service": {
                "extensions": ["healthcheckv2"],
                "pipelines": {"traces": {"receivers": ["otlp", "jaeger"], "processors": [], "exporters": ["kafka"]}},
                "telemetry": _QUIET,
            },
            "extensions": {"healthcheckv2": {"use_v2": True, "http": at(self._health_port)}},
            "receivers": {
                "otlp": {"protocols": {"http": at(self._otlp_port)}},
                "jaeger": {"protocols": {"thrift_http": at(self._thrift_port)}},
            },
            "exporters": {
                "kafka": {
                    "brokers": [self._broker],
                    "traces": {"topic": TOPIC, "encoding": "otlp_proto"},
                    # The spans of a trace stay together, whichever collector they came through.
                    "partition_traces_by_id": True,
                    "producer": {"required_acks": -1, "compression": "snappy"},
                    # With a queue or a batch processor the response would come before the write.
                    "sending_queue": {"enabled": False},
                }
            },
        }


class _WithStorage(JaegerProgram):
    """A role that uses the indices at *index_url*."""

    def __init__(self, index_url: str, shards: int) -> None:
        super().__init__()
        self._index_url = index_url
        self._shards = shards

    def _storage(self) -> dict[str, Any]:
        daily = {"shards": self._shards, "replicas": 0}
        backend = {
            "server_urls": [self._index_url],
            "indices": {"index_prefix": PREFIX, **dict.fromkeys(("spans", "services"), daily)},
            "bulk_processing": {"flush_interval": "500ms", "workers": 2},
        }
        return {"backends": {"indices": {"opensearch": backend}}}


class Ingester(_WithStorage):
    """Reads spans from Kafka and writes them into the indices."""

    name: ClassVar[str] = "ingester"

    def __init__(self, broker: str, index_url: str, shards: int) -> None:
        super().__init__(index_url, shards)
        self._broker = broker

    def _configuration(self) -> dict[str, Any]:
        exporter = "jaeger_storage_exporter"
        return {
            "service": {
                "extensions": ["jaeger_storage", "healthcheckv2"],
                "pipelines": {"traces": {"receivers": ["kafka"], "processors": [], "exporters": [exporter]}},
                "telemetry": _QUIET,
            },
            "extensions": {
                "jaeger_storage": self._storage(),
                "healthcheckv2": {"use_v2": True, "http": at(self._health_port)},
            },
            "receivers": {
                "kafka": {
                    "brokers": [self._broker],
                    "traces": {"topic": TOPIC, "encoding": "otlp_proto"},
                    "group_id": "ingester",
                    "initial_offset": "earliest",
                    "message_marking": {"after": True},
                }
            },
            "exporters": {exporter: {"trace_storage": "indices"}},
        }


class QueryService(_WithStorage):
    """Reads the indices and answers Jaeger's query API."""

    name: ClassVar[str] = "query"

    def __init__(self, index_url: str, shards: int) -> None:
        super().__init__(index_url, shards)
        self._http_port = free_port()
        self._grpc_port = free_port()

    @property
    def url(self) -> str:
        """Return the base of the query service."""
        return f"http://127.0.0.1:{self._http_port}"

    def _configuration(self) -> dict[str, Any]:
        return {
            "service": {
                "extensions": ["jaeger_storage", "jaeger_query", "healthcheckv2"],
                "pipelines": {"traces": {"receivers": ["nop"], "processors": [], "exporters": ["nop"]}},
                "telemetry": _QUIET,
            },
            "extensions": {
                "jaeger_storage": self._storage(),
                "jaeger_query": {
                    "storage": {"traces": "indices"},
                    "enable_tracing": False,
                    "http": at(self._http_port),
                    "grpc": at(self._grpc_port),
                },
                "healthcheckv2": {"use_v2": True, "http": at(self._health_port)},
            },
            "receivers": {"nop": {}},
            "exporters": {"nop": {}},
        }
