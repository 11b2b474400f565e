# SPDX-License-Identifier: Apache-2.0
"""Wrong credentials lose no span: an operator corrects them, and what waited arrives."""

from collections.abc import Callable, Iterator

import pytest

from osprofiler._runtime import guard, http_status
from osprofiler.delivery.backlog import URGENT_RETRY_S
from osprofiler.delivery.exporter import Exporter
from osprofiler.delivery.reporter import QueueReporter
from osprofiler.drivers import connect
from osprofiler.drivers.elasticsearch_driver import ElasticsearchDriver
from osprofiler.drivers.exporter import StoreExporter
from osprofiler.drivers.loginsight import LogInsightDriver
from tests.servers.account import Account, account
from tests.unit.reporting_kit import Traced, counted
from tests.waiting import wait_until

PASSWORD = "s3cret-of-mine"


def spans(scheme: str) -> Callable[[int], Exporter]:
    def make(port: int) -> Exporter:
        exporter = connect.span_exporter(f"{scheme}://osp:{PASSWORD}@127.0.0.1:{port}")
        assert exporter is not None
        return exporter

    return make


def elasticsearch(port: int) -> Exporter:
    url = f"elasticsearch://osp:{PASSWORD}@127.0.0.1:{port}"
    return StoreExporter(lambda: ElasticsearchDriver(url), "the store", connection_string=url)


def log_insight(port: int) -> Exporter:
    driver = LogInsightDriver(f"loginsight://osp:{PASSWORD}@127.0.0.1")
    driver._client._api_port = port
    return StoreExporter(lambda: driver, "the store")


#: Every exporter and store over HTTP.
OVER_HTTP = {
    "jaeger+http": spans("jaeger+http"),
    "otlp": spans("otlp"),
    "elasticsearch": elasticsearch,
    "loginsight": log_insight,
}


@pytest.fixture(scope="module")
def server() -> Iterator[Account]:
    with account() as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    guard.counters.clear()
    monkeypatch.setattr(guard, "_last_logged", {})


@pytest.mark.parametrize("status", [401, 403, 407])
@pytest.mark.parametrize("make", OVER_HTTP.values(), ids=list(OVER_HTTP))
def test_spans_wait_until_access_is_given(
    server: Account,
    make: Callable[[int], Exporter],
    status: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_status, "DENIED_RETRY_S", 0.05)
    server.answer(status)
    denied, accepted = server.denied, server.accepted
    exporter = make(server.port)
    reporter = QueueReporter(exporter, interval_s=3600)
    Traced(reporter).points(100)
    # Each flush is an attempt. A batch that is not kept would be given up, or halved, within a few.
    wait_until(lambda: reporter.flush(0.01) or server.denied >= denied + 5)
    assert reporter.pending()
    (line,) = [line for line in caplog.messages if line.startswith(f"traces cannot be delivered to {exporter.target}")]
    assert f"HTTP status {status}: " in line
    assert line.endswith("; kept for now")
    assert PASSWORD not in caplog.text

    server.answer(200)
    assert reporter.flush(60)
    assert counted() == {"queued": 100, "delivered": 100}
    assert server.accepted == accepted + 1, "the batch is whole"
    reporter.close()


def test_an_account_is_not_locked_by_many_attempts(server: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_status, "DENIED_RETRY_S", 3600.0)
    server.answer(401)
    denied = server.denied
    reporter = QueueReporter(spans("otlp")(server.port), interval_s=0.01)
    Traced(reporter).point("first")
    wait_until(lambda: server.denied == denied + 1)
    assert not reporter.flush(2 * URGENT_RETRY_S)
    assert server.denied == denied + 2, "a flush is one more attempt only"
    server.answer(200)
    assert reporter.flush(60)
    reporter.close()
