# SPDX-License-Identifier: Apache-2.0
"""A connection string gives the right exporter, without a connection, or an error of one clear line."""

import socket
import sys
from typing import Any

import pytest
from oslo_config import cfg

from osprofiler.delivery.jaeger_http import HttpExporter
from osprofiler.delivery.jaeger_udp import UdpExporter
from osprofiler.delivery.reporter import QueueReporter
from osprofiler.drivers import connect, locate
from osprofiler.drivers.base import Driver
from osprofiler.drivers.exporter import StoreExporter


@pytest.fixture
def conf() -> cfg.ConfigOpts:
    made = cfg.ConfigOpts()
    made.register_opts([cfg.StrOpt("service_name_prefix"), cfg.DictOpt("process_tags")], group="profiler_jaeger")
    made([])
    made.set_override("service_name_prefix", "prod", group="profiler_jaeger")
    made.set_override("process_tags", {"rack": "r1"}, group="profiler_jaeger")
    return made


def exporter(connection_string: str, **named: Any) -> Any:
    reporter = connect.reporter_for(connection_string, **named)
    assert isinstance(reporter, QueueReporter)
    return reporter.exporter


@pytest.mark.parametrize(
    ("text", "kind", "target"),
    [
        ("jaeger://agent", UdpExporter, "jaeger://agent:6831"),
        ("jaeger://10.0.0.1:7000?query=http://ui:16686", UdpExporter, "jaeger://10.0.0.1:7000"),
        ("jaeger+http://collector", HttpExporter, "jaeger+http://collector:14268"),
        ("jaeger+https://me:secret@c:443/base/", HttpExporter, "jaeger+https://c:443/base"),
        ("jaeger+http://[::1]:1", HttpExporter, "jaeger+http://[::1]:1"),
    ],
)
def test_jaegers_transports(text: str, kind: type, target: str) -> None:
    made = exporter(text)
    assert type(made) is kind
    assert made.target == target


def test_the_account_goes_to_the_collector_and_nowhere_else() -> None:
    made = exporter("jaeger+https://me:secret@c/")
    assert made._collector.url == "https://me:secret@c:14268/api/traces?format=jaeger.thrift"
    assert "secret" not in made.target


def test_any_other_scheme_is_a_store_whose_driver_is_made_later() -> None:
    made_of: list[tuple[str, dict[str, Any]]] = []

    class Memory(Driver):
        max_span_chars = 1234

        def __init__(self, connection_str: str, **named: Any) -> None:
            made_of.append((connection_str, named))
            super().__init__(connection_str, **named)

        @classmethod
        def get_name(cls) -> str:
            return "memorytest"

    reporter = connect.reporter_for("memorytest://x", project="nova", service="api", host="h", context=7)
    assert isinstance(reporter, QueueReporter)
    assert isinstance(reporter.exporter, StoreExporter)
    assert reporter.max_span_chars == 1234
    assert not made_of
    reporter.exporter._open()
    assert made_of == [("memorytest://x", {"project": "nova", "service": "api", "host": "h", "context": 7})]


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("sqlite:////x.db", True),
        ("mysql+pymysql://h/d", False),
        ("postgresql+psycopg://h/d", True),
        ("redis://h", False),
    ],
)
def test_stores_whose_client_waits_in_c_are_known(text: str, blocks: bool) -> None:
    assert locate.driver_class(text).blocks(text) is blocks


@pytest.mark.parametrize(
    "text",
    [
        "jaeger://",
        "jaeger://:6831",
        "jaeger://host:port",
        "jaeger://host:99999",
        "jaeger://host:0",
        "jaeger://host/path",
        "jaeger+http://me:secret@:1",
        "jaeger+http://me:secret@[::1",
        "nosuchthing://me:secret@host",
        "://",
        "",
    ],
)
def test_a_malformed_string_is_one_line_without_the_password(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        connect.reporter_for(text)
    line = str(caught.value)
    assert "secret" not in line
    assert len(line.splitlines()) == 1


def test_nothing_is_looked_up_or_connected_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **named: object) -> Any:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "socket", refuse)
    exporter("jaeger://agent.example")
    exporter("jaeger+http://collector.example")


def test_the_service_name_is_as_jaegers_users_know_it(conf: cfg.ConfigOpts) -> None:
    assert connect.service_name("nova", "api", conf) == "prod-nova-api"
    assert connect.service_name("nova", "api") == "nova-api"
    assert connect.service_name("nova", "api", cfg.ConfigOpts()) == "nova-api"
    assert connect.service_name(None, None) == "osprofiler"


def test_the_process_has_the_configured_tags(conf: cfg.ConfigOpts) -> None:
    data = exporter("jaeger://h", project="nova", service="api", host="node7", conf=conf)._encoder.process()
    for word in (b"prod-nova-api", b"rack", b"r1", b"node7", b"project"):
        assert word in data


def test_eventlet_is_not_loaded() -> None:
    if "eventlet" not in sys.modules:
        reporter = connect.reporter_for("jaeger://127.0.0.1:9")
        reporter.flush(5)
        assert "eventlet" not in sys.modules
