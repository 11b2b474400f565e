# SPDX-License-Identifier: Apache-2.0
"""The two network exporters and servers on this machine: the outcome of each answer, and of silence."""

import contextlib
import datetime
import email.utils
import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from osprofiler._runtime import guard
from osprofiler.delivery.base import NullReporter
from osprofiler.delivery.exporter import Rejected, Transient
from osprofiler.delivery.jaeger_http import HttpExporter
from osprofiler.delivery.jaeger_udp import PACKET_BYTES, UdpExporter
from osprofiler.delivery.queue import Entry, Recorded
from osprofiler.delivery.reporter import QueueReporter
from osprofiler.drivers.elasticsearch_driver import ElasticsearchDriver
from osprofiler.drivers.exporter import StoreExporter
from osprofiler.drivers.loginsight import LogInsightDriver
from osprofiler.testing.records import two_spans
from tests.unit.reporting_kit import Traced, counted
from tests.unit.test_reporting_codec import read_binary, read_compact
from tests.waiting import wait_until

TOO_LONG = 256 << 20


class Collector(http.server.ThreadingHTTPServer):
    """Answers every POST with *status*, and keeps the requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 202
        self.poison = b""  # the status of what holds it is 500
        self.headers: dict[str, str] = {}
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0
        self.talks = False  # for as long as anybody listens, and no longer than TOO_LONG bytes
        self.told = 0

    def get_request(self) -> Any:
        self.connections += 1
        return super().get_request()

    @property
    def exporter(self) -> HttpExporter:
        return HttpExporter(f"http://127.0.0.1:{self.server_port}", "the test")


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.got.append((self.path, dict(self.headers), body))
        poisoned = self.server.poison and self.server.poison in body
        self.send_response(500 if poisoned else self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(TOO_LONG if self.server.talks else 0))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            while self.server.talks and self.server.told < TOO_LONG:
                self.server.told += self.wfile.write(bytes(1 << 16))

    do_HEAD = do_POST

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return None


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    guard.counters.clear()


@pytest.fixture
def batch() -> list[Entry]:
    return _spans(3)


def _spans(number: int, text: str = "x") -> list[Entry]:
    traced = Traced(NullReporter())
    return [traced.point(f"p{index}", {"text": text}) for index in range(number)]


def soon() -> float:
    return time.monotonic() + 30


def test_a_batch_is_one_request_that_a_collector_can_read(collector: Collector, batch: list[Entry]) -> None:
    exporter = collector.exporter
    exporter.set_process("nova-api", {})
    assert exporter.export(batch, soon()).delivered == 3
    ((path, headers, body),) = collector.got
    assert path == "/api/traces?format=jaeger.thrift"
    assert headers["Content-Type"] == "application/vnd.apache.thrift.binary"
    read = read_binary(body)
    assert read.process.serviceName == "nova-api"
    assert [span.operationName for span in read.spans] == ["p0", "p1", "p2"]


def test_the_connection_is_kept(collector: Collector, batch: list[Entry]) -> None:
    exporter = collector.exporter
    for _ in range(5):
        exporter.export(batch, soon())
    assert collector.connections == 1


def test_a_forked_child_opens_its_own(collector: Collector, batch: list[Entry]) -> None:
    exporter = collector.exporter
    exporter.export(batch, soon())
    exporter.after_fork()
    exporter.export(batch, soon())
    assert collector.connections == 2


def test_an_answer_without_end_is_not_read_to_it(collector: Collector, batch: list[Entry]) -> None:
    exporter = collector.exporter
    collector.talks = True
    assert exporter.export(batch, soon()).delivered == 3
    collector.talks = False
    assert exporter.export(batch, soon()).delivered == 3
    assert collector.connections == 2, "the rest of the first answer is no part of the second"
    assert collector.told < TOO_LONG


@pytest.mark.parametrize("headers", [b"Content-Encoding: gzip\r\nContent-Length: 2", b"Content-Length: 100"])
def test_what_was_taken_is_not_sent_again_for_an_answer_that_cannot_be_read(batch: list[Entry], headers: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n\r\nok")

        thread = threading.Thread(target=take)
        thread.start()
        assert HttpExporter(f"http://127.0.0.1:{server.getsockname()[1]}", "t").export(batch, soon()).delivered == 3
        thread.join()


@pytest.mark.parametrize("status", [200, 202, 204])
def test_taken(collector: Collector, batch: list[Entry], status: int) -> None:
    collector.status = status
    assert collector.exporter.export(batch, soon()).delivered == 3


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_away_for_now(collector: Collector, batch: list[Entry], status: int) -> None:
    collector.status = status
    with pytest.raises(Transient) as caught:
        collector.exporter.export(batch, soon())
    assert caught.value.unreachable


@pytest.mark.parametrize("status", [429, 500, 503])
def test_how_long_it_wants_to_be_left_alone(collector: Collector, batch: list[Entry], status: int) -> None:
    collector.status = status
    in_an_hour = email.utils.format_datetime(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1))
    for text, least_s, most_s in (
        ("7", 7.0, 7.0),
        (in_an_hour, 3500.0, 3600.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0, 0.0),
    ):
        collector.headers = {"Retry-After": text}
        with pytest.raises(Transient) as later:
            collector.exporter.export(batch, soon())
        assert later.value.retry_after_s is not None
        assert least_s <= later.value.retry_after_s <= most_s
    for text in "", "soon", "-1", "\u0663":
        collector.headers = {"Retry-After": text.encode().decode("latin-1")}
        with pytest.raises(Transient) as later:
            collector.exporter.export(batch, soon())
        assert later.value.retry_after_s is None


@pytest.mark.parametrize("store", ["elasticsearch", "loginsight"])
def test_how_long_a_store_wants_to_be_left_alone(collector: Collector, store: str) -> None:
    collector.status = 429
    collector.headers = {"Retry-After": "7"}
    if store == "loginsight":
        driver: Any = LogInsightDriver("loginsight://u:p@127.0.0.1")
        driver._client._api_port = collector.server_port
    else:
        driver = ElasticsearchDriver(f"elasticsearch://127.0.0.1:{collector.server_port}")
    with pytest.raises(Transient) as later:
        StoreExporter(lambda: driver, "the test").export([Recorded(each, 0) for each in two_spans()], soon())
    assert later.value.retry_after_s == 7


def test_one_span_that_a_collector_cannot_take_costs_a_few_requests(collector: Collector) -> None:
    collector.poison = b"poisoned"
    reporter = QueueReporter(collector.exporter, interval_s=3600)
    traced = Traced(reporter)
    traced.points(700)
    traced.point("poisoned")
    traced.points(299)
    assert not reporter.flush(60), "one was lost"
    assert counted() == {"queued": 1000, "delivered": 999, "dropped.rejected": 1}
    assert len(collector.got) <= 16
    reporter.close()


def test_an_error_of_its_own_may_be_the_batchs_fault(collector: Collector, batch: list[Entry]) -> None:
    collector.status = 500
    with pytest.raises(Transient) as caught:
        collector.exporter.export(batch, soon())
    assert not caught.value.unreachable


@pytest.mark.parametrize(("status", "divisible"), [(301, False), (400, True), (404, False), (413, True)])
def test_refused(collector: Collector, batch: list[Entry], status: int, divisible: bool) -> None:
    collector.status = status
    with pytest.raises(Rejected) as caught:
        collector.exporter.export(batch, soon())
    assert caught.value.divisible is divisible
    assert str(status) in str(caught.value)


def test_nobody_there(batch: list[Entry]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: refused
        with pytest.raises(Transient) as caught:
            HttpExporter(f"http://127.0.0.1:{unused.getsockname()[1]}", "t").export(batch, soon())
    assert caught.value.unreachable


def test_one_who_takes_the_connection_and_says_nothing(batch: list[Entry]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        exporter = HttpExporter(f"http://127.0.0.1:{silent.getsockname()[1]}", "t")
        with pytest.raises(Transient) as caught:
            exporter.export(batch, time.monotonic() + 0.1)
    assert caught.value.unreachable


def test_certificates_that_are_not_there_yet_are_waited_for_and_named(
    batch: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(Transient, match="/nowhere/ca") as caught:
        HttpExporter("https://127.0.0.1:9", "t").export(batch, soon())
    assert caught.value.unreachable


@contextlib.contextmanager
def agent() -> Iterator[tuple[UdpExporter, Callable[[], list[bytes]]]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        packets: list[bytes] = []

        def received() -> list[bytes]:
            with contextlib.suppress(BlockingIOError):
                while True:
                    packets.append(receiver.recv(100_000))
            return packets

        yield UdpExporter("127.0.0.1", receiver.getsockname()[1]), received


def test_packets_that_an_agent_can_read() -> None:
    with agent() as (exporter, received):
        outcome = exporter.export(_spans(200, "x" * 2000), soon())
        assert (outcome.delivered, dict(outcome.dropped)) == (200, {})
        wait_until(lambda: sum(len(read_compact(packet).spans) for packet in received()) == 200)
        packets = received()
    assert 6 < len(packets) < 12
    assert max(map(len, packets)) <= PACKET_BYTES


def test_an_agent_that_is_not_there_is_noticed_where_the_host_says_so() -> None:
    with agent() as (exporter, _):
        pass
    outcomes = [exporter.export(_spans(1), soon()) for _ in range(20)]
    lost = sum(outcome.dropped.get("unreachable", 0) for outcome in outcomes)
    assert lost > 0
    assert sum(outcome.delivered for outcome in outcomes) + lost == 20


def test_an_agent_whose_name_is_not_known_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: object, **named: object) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    with agent() as (exporter, received):
        with monkeypatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", unknown)
            with pytest.raises(Transient):
                exporter.export(_spans(1), soon())
        assert exporter.export(_spans(1), soon()).delivered == 1
        wait_until(received)
        # An address once known serves while the name service is away.
        exporter._resolve_at = 0.0
        with monkeypatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", unknown)
            assert exporter.export(_spans(1), soon()).delivered == 1


def test_an_agent_at_another_address_of_its_name_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """On many machines ``localhost`` is ::1 first, but Jaeger listens at 127.0.0.1."""
    with agent() as (exporter, received), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = unused.getsockname()
        unused.close()
        found = [(socket.AF_INET, socket.SOCK_DGRAM, 0, "", address) for address in (nobody, exporter._address)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **named: found)
        for _ in range(5):
            assert exporter.export(_spans(1), soon()).delivered == 1
            exporter._resolve_at = 0.0  # the name still stands for both
        wait_until(lambda: len(received()) >= 4, what="all but what told that nobody is there")
