# SPDX-License-Identifier: Apache-2.0
"""Our HTTP requests end at their deadline, although each single wait is short; in threads and in greenthreads."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from osprofiler._runtime import deadlines, guard, http_session
from osprofiler.delivery import collector
from osprofiler.delivery.exporter import Transient
from osprofiler.delivery.jaeger_http import HttpExporter
from osprofiler.delivery.queue import Recorded
from osprofiler.delivery.reporter import QueueReporter
from osprofiler.drivers import network
from osprofiler.drivers.elasticsearch_driver import ElasticsearchDriver
from osprofiler.drivers.errors import StoreError
from osprofiler.drivers.exporter import StoreExporter
from osprofiler.drivers.jaeger import Jaeger
from osprofiler.drivers.loginsight import LogInsightDriver
from osprofiler.testing.records import two_spans
from tests.servers import certificate
from tests.servers.trickle import Trickle, trickle
from tests.unit.reporting_kit import Traced, counted
from tests.waiting import wait_until

#: The slow part of the response, with and without TLS.
KINDS = [("http", "headers"), ("http", "body"), ("https", "handshake"), ("https", "headers"), ("https", "body")]


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    made = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(certificate.command(*made), check=True, capture_output=True)
    return made


@pytest.fixture
def server(
    request: pytest.FixtureRequest, tls: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Trickle]:
    scheme, part = request.param
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls[0]))
    with trickle(tls if scheme == "https" else None) as made:
        made.part = part
        yield made
        assert not made.waited_for


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    guard.counters.clear()
    monkeypatch.setattr(guard, "_last_logged", {})


@pytest.mark.parametrize("server", KINDS, indirect=True)
def test_a_request_ends_at_its_deadline_and_its_connection_is_closed(server: Trickle) -> None:
    with http_session.session() as session, pytest.raises(requests.Timeout):
        session.post(server.url, data=b"x", timeout=(5, 0.5))
    assert server.trickled == 1
    wait_until(lambda: not server.trickling, what="the connection to be closed")


@pytest.mark.parametrize("server", [("http", "headers"), ("http", "body")], indirect=True)
def test_a_connection_that_was_kept_has_the_deadline_of_each_request(server: Trickle) -> None:
    part, server.part = server.part, ""
    with http_session.session() as session:
        assert session.post(server.url, data=b"1", timeout=(5, 30)).status_code == 202
        server.part = part
        with pytest.raises(requests.Timeout):
            session.post(server.url, data=b"2", timeout=(5, 0.5))
        server.part = ""
        assert session.post(server.url, data=b"3", timeout=(5, 30)).content == b"{}"


@pytest.mark.parametrize("server", [("http", "headers")], indirect=True)
def test_so_does_one_through_a_proxy_that_trickles(server: Trickle) -> None:
    with http_session.session() as session, pytest.raises(requests.Timeout):
        session.get("https://192.0.2.1/", proxies={"https": server.url}, timeout=(5, 0.5))
    wait_until(lambda: not server.trickling)


@pytest.mark.parametrize("server", [("http", "headers")], indirect=True)
def test_an_earlier_deadline_of_the_work_at_hand_holds(server: Trickle) -> None:
    with http_session.session() as session, deadlines.until(time.monotonic() + 0.3), pytest.raises(requests.Timeout):
        session.post(server.url, data=b"x", timeout=(5, 3600))


@pytest.mark.parametrize("server", [("http", "")], indirect=True)
def test_an_answer_has_a_bound(server: Trickle) -> None:
    with http_session.session(response_bytes=1) as session:
        with pytest.raises(requests.RequestException, match="longer than 1 byte") as fault:
            session.get(server.url, timeout=(5, 30))
        assert fault.value.response.status_code == 202
    with http_session.session(response_bytes=2) as session:
        assert session.get(server.url, timeout=(5, 30)).content == b"{}"


@pytest.mark.parametrize("server", KINDS, indirect=True)
def test_spans_are_delivered_when_the_collector_is_well_again(
    server: Trickle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(collector, "_WHOLE_S", 0.5)
    reporter = QueueReporter(HttpExporter(server.url, "the test"), interval_s=0.01, max_entries=20_000)
    traced = Traced(reporter)
    traced.points(10_500)
    wait_until(lambda: server.trickled >= 2, what="another attempt")
    assert [line for line in caplog.messages if line.startswith("traces cannot be delivered to the test: ")]
    assert not counted().get("delivered")
    server.part = ""
    assert reporter.flush(60)
    assert counted() == {"queued": 10_500, "delivered": 10_500}
    assert len(server.taken) == 11, "so many batches, none of them twice"
    reporter.close()


@pytest.mark.parametrize("server", [("http", "headers"), ("http", "body")], indirect=True)
@pytest.mark.parametrize("store", ["elasticsearch", "loginsight"])
def test_a_store_behind_a_trickle_is_away(server: Trickle, store: str) -> None:
    if store == "loginsight":
        driver: Any = LogInsightDriver("loginsight://u:p@127.0.0.1")
        driver._client._api_port = server.port
    else:
        driver = ElasticsearchDriver(f"elasticsearch://127.0.0.1:{server.port}")
    exporter = StoreExporter(lambda: driver, "the test")
    with pytest.raises(Transient) as kept:
        exporter.export([Recorded(each, 0) for each in two_spans()], time.monotonic() + 0.5)
    assert kept.value.unreachable
    wait_until(lambda: not server.trickling)


@pytest.mark.parametrize("server", [("http", "headers"), ("http", "body")], indirect=True)
def test_who_reads_is_told(server: Trickle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "READ_TIMEOUT_S", 0.5)
    for driver in (
        Jaeger(f"jaeger://h?query={server.url}"),
        ElasticsearchDriver(f"elasticsearch://127.0.0.1:{server.port}"),
    ):
        with pytest.raises(StoreError, match=r"no whole response in 0\.5 s"):
            driver.read("x")


_GREEN = """
import eventlet; eventlet.monkey_patch()
import json, sys
import requests
from osprofiler._runtime import http_session
ticks = 0
def tick():
    global ticks
    while True:
        ticks += 1
        eventlet.sleep(0.01)
eventlet.spawn(tick)
with http_session.session() as session:
    try:
        session.post(sys.argv[1], data=b"x", timeout=(5, 0.5))
    except requests.Timeout:
        print(json.dumps({"timeout": True, "others_ran": ticks > 5}))
"""


@pytest.mark.parametrize("server", KINDS, indirect=True)
def test_greenthreads_too(server: Trickle) -> None:
    command = [sys.executable, "-W", "ignore", "-c", _GREEN, server.url]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert json.loads(ran.stdout or "{}") == {"timeout": True, "others_ran": True}
    wait_until(lambda: not server.trickling)
