# SPDX-License-Identifier: Apache-2.0
"""Log Insight's HTTP API, with a stand-in: sessions that end, many events, wrong passwords, certificates."""

import threading
from collections.abc import Iterator

import pytest

from osprofiler import exc
from osprofiler.drivers import base
from osprofiler.drivers.errors import StoreError
from osprofiler.drivers.loginsight import LogInsightClient, LogInsightDriver
from osprofiler.testing.records import TRACE, record, two_spans
from tests import servers
from tests.servers.loginsight import ACCOUNT, LogInsight


@pytest.fixture
def server(redis: servers.Redis) -> Iterator[LogInsight]:
    with LogInsight(redis.certificate, redis.data / "key.pem") as running:
        yield running


def client(server: LogInsight, password: str = ACCOUNT["password"]) -> LogInsightClient:
    return LogInsightClient(
        "127.0.0.1", ACCOUNT["username"], password, api_port=server.http_port, api_ssl_port=server.https_port
    )


def driver(server: LogInsight, options: str = "", **account: str) -> LogInsightDriver:
    made = LogInsightDriver(f"loginsight://osp%40profiler:of%3Ainsight@127.0.0.1{options}")
    access = made._client.http.access
    made._client = client(server, **account)
    made._client.http.access = access
    return made


def test_storing_needs_no_login_and_reading_logs_in_once(server: LogInsight) -> None:
    made = driver(server)
    made.write(two_spans())
    assert not server.sessions
    for _ in range(3):
        assert len(made.read(TRACE)) == 4
    assert len(server.sessions) == 1


def test_a_session_that_has_ended_is_renewed(server: LogInsight) -> None:
    made = driver(server)
    made.write(two_spans())
    assert len(made.read(TRACE)) == 4
    server.expire()
    assert len(made.read(TRACE)) == 4


def test_many_who_find_no_session_log_in_once(server: LogInsight) -> None:
    made = client(server)
    threads = [threading.Thread(target=made.login) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.sessions) == 1


def test_a_batch_is_one_request_for_each_500_records(server: LogInsight) -> None:
    driver(server).write([record(i, "start", i) for i in range(1, 1202)])
    assert len(server.requests) == 3


def test_more_events_than_one_query_returns(server: LogInsight, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("osprofiler.drivers.loginsight_client._LIMIT", 40)
    made = driver(server)
    made.write([record(i, "start", i) for i in range(1, 201)])
    for number, event in enumerate(server.events):
        event["timestamp"] = 1_000_000 + number // 7  # several events in each millisecond
    assert len(made.read(TRACE)) == 200


def test_events_of_others_and_cut_ones_are_passed_over(server: LogInsight) -> None:
    made = driver(server)
    made.write(two_spans())
    fields = [{"name": "base_id", "content": TRACE}, {"name": "trace", "content": '{"base_id": "cut'}]
    server.events.append({"text": "OSProfiler trace", "fields": fields, "timestamp": 1})
    server.events.append({"text": "OSProfiler trace", "timestamp": 1})
    assert len(made.read(TRACE)) == 4
    assert [trace["base_id"] for trace in made.list_traces()] == [TRACE]


def test_a_wrong_password_is_one_line_that_does_not_tell_it(server: LogInsight) -> None:
    with pytest.raises(StoreError, match="Invalid username or password") as caught:
        driver(server, password="my-secret").read("x")
    assert "my-secret" not in str(caught.value)


def test_a_certificate_is_checked_if_asked_for(server: LogInsight, redis: servers.Redis) -> None:
    assert driver(server, f"?ca_certs={redis.certificate}").read("x") == []
    with pytest.raises(StoreError, match="certificate"):
        driver(server, "?verify=yes").read("x")


def test_an_event_that_is_too_large_is_refused_for_good(server: LogInsight) -> None:
    """The reporter drops a refused record, instead of trying for ever."""
    with pytest.raises(base.RecordsRefused) as refused:
        driver(server).write([record(1, "start", 0, text="x" * 20_000)])
    assert isinstance(refused.value.__cause__, exc.LogInsightAPIError)


@pytest.mark.parametrize(
    "url", ["loginsight://h", "loginsight://osp@h", "loginsight://a:my-secret:b@h", "loginsight://a@b:my-secret@h"]
)
def test_a_malformed_string_is_one_line_without_the_password(url: str) -> None:
    with pytest.raises(ValueError, match="loginsight://user:password@host") as caught:
        LogInsightDriver(url)
    assert "my-secret" not in str(caught.value)
