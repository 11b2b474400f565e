# SPDX-License-Identifier: Apache-2.0
"""The shipped kit on Log Insight's interface, as a stand-in speaks it."""

import functools
from collections.abc import Iterator
from typing import ClassVar
from urllib.parse import quote

import pytest

from osprofiler.drivers.loginsight import LogInsightClient, LogInsightDriver
from osprofiler.testing.drivers import Connect, DriverKit
from tests.servers import Redis
from tests.servers.loginsight import ACCOUNT, LogInsight


@pytest.fixture
def loginsight(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[LogInsight]:
    """A stand-in of the test's own, at which new clients of the driver look."""
    with LogInsight(redis.certificate, redis.data / "key.pem") as server:
        ports = functools.partialmethod(
            LogInsightClient.__init__, api_port=server.http_port, api_ssl_port=server.https_port
        )
        monkeypatch.setattr(LogInsightClient, "__init__", ports)
        yield server


URL = f"loginsight://{quote(ACCOUNT['username'], safe='')}:{quote(ACCOUNT['password'], safe='')}@127.0.0.1"


class TestLogInsight(DriverKit):
    deletes: ClassVar[bool] = False
    long_text: ClassVar[int] = 6_000

    @pytest.fixture
    def connect(self, loginsight: LogInsight) -> Connect:
        return functools.partial(LogInsightDriver, URL)
