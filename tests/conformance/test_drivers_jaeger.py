# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on Jaeger, by thrift over HTTP and by OTLP, both read through its query service."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests

from osprofiler.drivers.base import Driver
from osprofiler.drivers.jaeger import Jaeger
from osprofiler.drivers.otlp import OTLP
from osprofiler.drivers.span_store import SpanStore
from osprofiler.records import ids
from osprofiler.testing.drivers import WRONG_PASSWORD, Connect, OwnServer, ServerKit, wait_for
from tests import servers
from tests.conftest import own
from tests.servers.gate import gate


class _Seen(SpanStore):
    """Jaeger acknowledges a batch before it can be read. Here a write returns when it can be read."""

    def write(self, records: Sequence[dict[str, Any]]) -> None:
        super().write(records)
        wanted: dict[str, set[int]] = {}
        for record in records:
            if record["name"].endswith("-stop"):
                wanted.setdefault(str(record["base_id"]), set()).add(ids.span_id_of(record["trace_id"]))
        wait_for(lambda: all(self._numbers(each) >= spans for each, spans in wanted.items()), "the spans in Jaeger")

    def _numbers(self, base_id: str) -> set[int]:
        """The spans of a trace that can be read now."""
        address = f"{self.query_address(self.connection_str)}/api/traces/{ids.trace_id_of(base_id):032x}"
        answer = requests.get(address, timeout=30)
        spans = answer.json()["data"][0]["spans"] if answer.status_code == 200 else []
        return {int(span["spanID"], 16) for span in spans}


class SeenJaeger(_Seen, Jaeger):
    """Thrift over HTTP."""


class SeenOTLP(_Seen, OTLP):
    """OTLP over HTTP."""


@pytest.fixture(scope="module")
def lasting() -> Iterator[servers.Jaeger]:
    with own(servers.Jaeger) as server:
        yield server


@pytest.fixture
def empty(lasting: servers.Jaeger) -> servers.Jaeger:
    """An empty Jaeger: it loses all traces when it stops."""
    lasting.restart()
    return lasting


@pytest.fixture
def trusted(redis: servers.Redis, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The certificate of a proxy. This process trusts it, by its environment."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(redis.certificate))
    return redis.certificate


class JaegerKit(ServerKit):
    """The common part for both transports."""

    survives: ClassVar[bool] = False  # this Jaeger has its traces in memory

    kind: ClassVar[type[SpanStore]]
    scheme: ClassVar[str]  # with an "s" behind it over TLS

    @classmethod
    def at(cls, collector: str, query: str, *, tls: bool = False, account: str = "", **options: Any) -> Driver:
        """A driver for the collector and the query service at these ``host:port``."""
        s = "s" if tls else ""
        return cls.kind(f"{cls.scheme}{s}://{account}{collector}?query=http{s}://{account}{query}", **options)

    @classmethod
    def of(cls, server: servers.Jaeger) -> str:
        """The ``host:port`` of the collector."""
        raise NotImplementedError

    @pytest.fixture
    def connect(self, empty: servers.Jaeger) -> Connect:
        return functools.partial(self.at, self.of(empty), f"127.0.0.1:{empty.query_port}")

    @pytest.fixture
    def forgetful(self) -> Connect:
        return functools.partial(self.kind, f"{self.scheme}://127.0.0.1?ttl=2")

    @pytest.fixture
    def own_server(self, empty: servers.Jaeger, connect: Connect) -> OwnServer:
        return OwnServer(connect, empty.stop, empty.start)

    @pytest.fixture
    def denied(self, lasting: servers.Jaeger, trusted: Path) -> Iterator[Driver]:
        key = trusted.with_name("key.pem")
        collector = int(self.of(lasting).rpartition(":")[2])
        with gate(collector, trusted, key) as sent_to, gate(lasting.query_port, trusted, key) as asked:
            account = f"osp:{WRONG_PASSWORD}@"
            yield self.at(f"127.0.0.1:{sent_to}", f"127.0.0.1:{asked}", tls=True, account=account)

    @pytest.fixture
    def absent(self) -> Driver:
        port = servers.free_port()
        return self.at(f"127.0.0.1:{port}", f"127.0.0.1:{port}", account=f"osp:{WRONG_PASSWORD}@")


class TestJaeger(JaegerKit):
    title: ClassVar[str] = "Jaeger, thrift over HTTP"
    kind = driver_class = SeenJaeger
    scheme = "jaeger+http"

    @classmethod
    def of(cls, server: servers.Jaeger) -> str:
        return f"127.0.0.1:{server.http_port}"


class TestOTLP(JaegerKit):
    title: ClassVar[str] = "Jaeger, OTLP"
    kind = driver_class = SeenOTLP
    scheme = "otlp"

    @classmethod
    def of(cls, server: servers.Jaeger) -> str:
        return f"127.0.0.1:{server.otlp_http_port}"
