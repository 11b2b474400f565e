# SPDX-License-Identifier: Apache-2.0
"""A whole Jaeger v2 in memory: every receiver our senders speak to, remote sampling, and the query API to read back."""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from tests.servers.base import Missing, Server, free_port
from tests.waiting import wait_until

_TOOL = Path(__file__).resolve().parents[2] / "tools" / "jaeger-build"
_EVERYTHING: dict[str, Any] = {"default_strategy": {"type": "probabilistic", "param": 1}}
# Loopback UDP has no flow control: what does not fit into the receiver's socket is gone without an error anywhere.
_UDP_BUFFER_BYTES = 4 * 1024 * 1024
_UDP_QUEUE_PACKETS = 20_000

# The machine's proxy settings are not for 127.0.0.1.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def at(port: int) -> dict[str, str]:
    """Return where a receiver or an extension of Jaeger listens, as its configuration says it."""
    return {"endpoint": f"127.0.0.1:{port}"}


class JaegerProgram(Server):
    """Jaeger's program, in the role that its configuration gives it."""

    def __init__(self) -> None:
        super().__init__()
        self._health_port = free_port()

    @classmethod
    def check(cls) -> None:
        _binary()

    def _configuration(self) -> dict[str, Any]:
        """Return the configuration. Its extension healthcheckv2 is at ``_health_port``."""
        raise NotImplementedError

    def _get(self, url: str) -> Any:
        """Return the JSON that the answer to a GET of *url* holds."""
        with _opener.open(url, timeout=30) as answer:
            return json.load(answer)

    def _prepare(self) -> None:
        (self.data / "config.yaml").write_text(json.dumps(self._configuration(), indent=1))  # JSON is YAML

    def _command(self) -> list[str]:
        return [_binary(), "--config", f"file:{self.data}/config.yaml"]

    def _answers(self) -> bool:
        self._get(f"http://127.0.0.1:{self._health_port}/status")
        return True


class Jaeger(JaegerProgram):
    """Jaeger all-in-one; what it holds is lost at every stop.

    It serves the UI in the folder ``$JAEGER_UI``, where that is set: what is built from the Go module has none.
    """

    name: ClassVar[str] = "jaeger"
    stop_signal: ClassVar[signal.Signals] = signal.SIGKILL  # it has nothing to save, and its orderly end takes 10 s

    def __init__(self) -> None:
        super().__init__()
        self.udp_port = free_port()  # thrift compact
        self.http_port = free_port()  # thrift over HTTP, /api/traces
        self.otlp_grpc_port = free_port()
        self.otlp_http_port = free_port()
        self.query_port = free_port()
        self.sampling_port = free_port()
        self._sampling_file = self.data / "sampling.json"

    @property
    def url(self) -> str:
        """Return the connection string of the acknowledged transport, thrift over HTTP."""
        return f"jaeger+http://127.0.0.1:{self.http_port}?query={self.query_url}"

    @property
    def udp_url(self) -> str:
        """Return the connection string of thrift compact over UDP; a burst may lose spans."""
        return f"jaeger://127.0.0.1:{self.udp_port}?query={self.query_url}"

    @property
    def otlp_url(self) -> str:
        """Return the base of the OTLP/HTTP receiver, without ``/v1/traces``."""
        return f"http://127.0.0.1:{self.otlp_http_port}"

    @property
    def query_url(self) -> str:
        """Return the base of the query service, which is also the UI's."""
        return f"http://127.0.0.1:{self.query_port}"

    @property
    def has_ui(self) -> bool:
        """Return whether the UI is there: what is built from the Go module has a placeholder in its place."""
        with _opener.open(self.query_url, timeout=30) as page:
            return b"not the Jaeger UI" not in page.read()

    @property
    def sampling_url(self) -> str:
        """Return the address of the remote sampling service; it takes ``?service=``."""
        return f"http://127.0.0.1:{self.sampling_port}/sampling"

    @property
    def udp_buffer_bytes(self) -> int:
        """Return how many bytes of packets may wait in the receiver's socket: the kernel's limit caps our wish."""
        return min(_UDP_BUFFER_BYTES, int(Path("/proc/sys/net/core/rmem_max").read_text()))

    def set_sampling(self, strategies: dict[str, Any]) -> None:
        """Serve *strategies* (Jaeger's strategies file, as a dictionary) from now on; it is re-read every second."""
        new = self._sampling_file.with_suffix(".new")
        new.write_text(json.dumps(strategies))
        new.replace(self._sampling_file)

    def sampling(self, service: str) -> dict[str, Any]:
        """Return the strategy served for *service* now."""
        return dict(self._get(f"{self.sampling_url}?{urllib.parse.urlencode({'service': service})}"))

    def services(self) -> list[str]:
        """Return the names of all services that have sent spans."""
        return sorted(self._get(f"{self.query_url}/api/services")["data"] or [])

    def trace(self, trace_id_hex: str) -> dict[str, Any] | None:
        """Return one trace as the query API tells it (traceID, spans, processes); None if it is not there."""
        try:
            found = self._get(f"{self.query_url}/api/traces/{trace_id_hex}")["data"]
        except urllib.error.HTTPError as answer:
            with answer:
                if answer.code == 404:
                    return None
            raise
        return found[0] if found else None

    def traces(self, service: str, **query: str | int) -> list[dict[str, Any]]:
        """Return the traces in which *service* took part; *query* as the API names it, such as ``operation``."""
        words = urllib.parse.urlencode({"service": service, "limit": 10_000, **query})
        return list(self._get(f"{self.query_url}/api/traces?{words}")["data"] or [])

    def wait_for_trace(self, trace_id_hex: str, n_spans: int, timeout_s: float = 30) -> dict[str, Any]:
        """Return the trace once it has at least *n_spans* spans; more is the caller's to see and to judge."""

        def whole() -> dict[str, Any]:
            trace = self.trace(trace_id_hex)
            spans = trace["spans"] if trace else []
            assert len(spans) >= n_spans, f"{len(spans)} of {n_spans} spans: {_names(spans)}"
            assert trace is not None
            return trace

        return wait_until(whole, timeout_s, f"{n_spans} spans of trace {trace_id_hex}")

    def _prepare(self) -> None:
        self.set_sampling(_EVERYTHING)
        super()._prepare()

    def _answers(self) -> bool:
        return super()._answers() and isinstance(self.services(), list)

    def _configuration(self) -> dict[str, Any]:
        udp = {**at(self.udp_port), "socket_buffer_size": _UDP_BUFFER_BYTES, "queue_size": _UDP_QUEUE_PACKETS}
        unused_grpc = {"query": free_port(), "sampling": free_port()}
        return {
            "service": {
                "extensions": ["jaeger_storage", "jaeger_query", "remote_sampling", "healthcheckv2"],
                "pipelines": {
                    "traces": {
                        "receivers": ["otlp", "jaeger"],
                        "processors": [],
                        "exporters": ["jaeger_storage_exporter"],
                    }
                },
                "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
            },
            "extensions": {
                "jaeger_storage": {"backends": {"mem": {"memory": {"max_traces": 200_000}}}},
                "jaeger_query": {
                    "storage": {"traces": "mem"},
                    **({"ui": {"assets_path": os.environ["JAEGER_UI"]}} if os.environ.get("JAEGER_UI") else {}),
                    "http": at(self.query_port),
                    "grpc": at(unused_grpc["query"]),
                },
                "remote_sampling": {
                    "file": {"path": str(self._sampling_file), "reload_interval": "1s"},
                    "http": at(self.sampling_port),
                    "grpc": at(unused_grpc["sampling"]),
                },
                "healthcheckv2": {"use_v2": True, "http": at(self._health_port)},
            },
            "receivers": {
                "otlp": {"protocols": {"grpc": at(self.otlp_grpc_port), "http": at(self.otlp_http_port)}},
                "jaeger": {"protocols": {"thrift_compact": udp, "thrift_http": at(self.http_port)}},
            },
            "exporters": {"jaeger_storage_exporter": {"trace_storage": "mem"}},
        }


def _binary() -> str:
    found = subprocess.run([str(_TOOL), "--where"], stdout=subprocess.PIPE, text=True, check=False)
    if found.returncode:
        raise Missing("no Jaeger binary: set JAEGER_BIN, or run `make jaeger`, which builds one once")
    return found.stdout.strip()


def _names(spans: Iterable[dict[str, Any]]) -> list[str]:
    return sorted(span["operationName"] for span in spans)
