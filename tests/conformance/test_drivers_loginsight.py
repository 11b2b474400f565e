# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on a stand-in of Log Insight's HTTP API."""

import functools
from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import quote

import pytest

from osprofiler.drivers.base import Driver
from osprofiler.drivers.errors import StoreError
from osprofiler.drivers.loginsight import LogInsightClient, LogInsightDriver
from osprofiler.testing.drivers import WRONG_PASSWORD, Connect, OwnServer, Plant, Refuse, ServerKit, guarantee
from osprofiler.testing.records import TRACE, no_records, record, two_spans
from tests.servers import Redis
from tests.servers.loginsight import ACCOUNT, LogInsight


@pytest.fixture
def loginsight(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[LogInsight]:
    """The test's own stand-in. New clients of the driver connect to it."""
    with LogInsight(redis.certificate, redis.data / "key.pem") as server:
        ports = functools.partialmethod(
            LogInsightClient.__init__, api_port=server.http_port, api_ssl_port=server.https_port
        )
        monkeypatch.setattr(LogInsightClient, "__init__", ports)
        yield server


_USER, _PASSWORD = (quote(ACCOUNT[name], safe="") for name in ("username", "password"))
URL = f"loginsight://{_USER}:{_PASSWORD}@127.0.0.1"
_WRONG_URL = f"loginsight://{_USER}:{WRONG_PASSWORD}@127.0.0.1"


class TestLogInsight(ServerKit):
    title: ClassVar[str] = "Log Insight (a stand-in)"
    driver_class: ClassVar[type[Driver]] = LogInsightDriver
    refuses: ClassVar[bool] = True
    long_text: ClassVar[int] = 6_000
    takes_garbage: ClassVar[bool] = True

    @pytest.fixture
    def plant(self, loginsight: LogInsight) -> Plant:
        def planted() -> int:
            # A record of 500 levels, and 20,000 brackets, are longer than Log Insight's limit.
            contents = [text for text in no_records() if len(text) < 900]
            for content in contents:
                fields = [{"name": "base_id", "content": TRACE}, {"name": "trace", "content": content}]
                loginsight.events.append({"text": "OSProfiler trace", "fields": fields, "timestamp": 1})
            loginsight.events.append({"text": "osprofiler is enabled", "fields": [], "timestamp": 1})  # a log's line
            return len(contents)

        return planted

    @pytest.fixture
    def refuse(self) -> Refuse:
        """The longest text of Log Insight has 16 kB."""
        return lambda: [*two_spans(), record(9, "start", 1, long="x" * 20_000)]

    @pytest.fixture
    def connect(self, loginsight: LogInsight) -> Connect:
        return functools.partial(LogInsightDriver, URL)

    @pytest.fixture
    def forgetful(self) -> Connect:
        return functools.partial(LogInsightDriver, f"{URL}?ttl=2")

    @pytest.fixture
    def own_server(self, loginsight: LogInsight, connect: Connect) -> OwnServer:
        return OwnServer(connect, loginsight.stop, loginsight.start)

    @pytest.fixture
    def denied(self, loginsight: LogInsight) -> Driver:
        return LogInsightDriver(_WRONG_URL)

    @pytest.fixture
    def absent(self, loginsight: LogInsight) -> Driver:
        loginsight.stop()
        return LogInsightDriver(_WRONG_URL)

    @guarantee("wrong password")
    def test_a_wrong_password_is_one_line_that_does_not_tell_it(self, denied: Driver) -> None:
        """It takes events without an account, but needs one to show them."""
        denied.write(two_spans())
        with pytest.raises(StoreError) as told:
            denied.read(TRACE)
        assert WRONG_PASSWORD not in str(told.value)
