# SPDX-License-Identifier: Apache-2.0
"""A store's server is away for some time, and the reporter delivers all records later; or it is always away."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from osprofiler._runtime import guard
from osprofiler.delivery.exporter import Transient
from osprofiler.delivery.queue import Recorded
from osprofiler.drivers import connect
from osprofiler.drivers.base import Driver
from osprofiler.drivers.elasticsearch_driver import ElasticsearchDriver
from osprofiler.drivers.errors import StoreError
from osprofiler.drivers.exporter import StoreExporter
from osprofiler.drivers.loginsight import LogInsightDriver
from osprofiler.drivers.messaging import Messaging
from osprofiler.drivers.mongodb import MongoDB
from osprofiler.drivers.redis_driver import Redis, RedisSentinel
from osprofiler.testing.records import record, two_spans
from tests import servers
from tests.conftest import missing
from tests.waiting import wait_until


@contextmanager
def own(kind: type[servers.Server]) -> Iterator[servers.Server]:
    try:
        made = kind()
    except servers.Missing as lacking:
        missing(str(lacking))
    with made as server:
        yield server


def dropped() -> dict[str, int]:
    return {name: number for name, number in guard.counters.items() if name.startswith("dropped")}


@pytest.mark.parametrize(
    ("kind", "driver"),
    [
        pytest.param(servers.Redis, Redis, id="redis"),
        pytest.param(servers.FerretDB, MongoDB, id="mongodb"),
        pytest.param(servers.Elasticsearch, ElasticsearchDriver, id="elasticsearch"),
    ],
)
def test_what_was_reported_meanwhile_is_stored_in_the_end(
    kind: type[servers.Server], driver: Callable[..., Driver]
) -> None:
    base_id = str(uuid.uuid4())
    before = dropped()
    with own(kind) as server:
        reporter = connect.reporter_for(server.url, project="nova", service="api")
        for number in range(1, 51):
            reporter.report_record(record(number, "start", number, base_id))
        assert reporter.flush(60)
        server.stop()
        for number in range(51, 101):
            reporter.report_record(record(number, "start", number, base_id))
        assert not reporter.flush(0.2)
        server.start()
        assert reporter.flush(60)
        reader = driver(server.url)
        assert len({each["trace_id"] for each in reader.read(base_id)}) == 100
        reporter.close()
    assert dropped() == before


def test_notifications_wait_for_their_broker() -> None:
    """The queue is not durable, so it is lost with the broker. Records that were reported meanwhile are not lost."""
    base_id = str(uuid.uuid4())
    before = dropped()
    with own(servers.Rabbit) as server:
        options: dict[str, Any] = {"transport_url": server.url}
        reporter = connect.reporter_for("messaging://", project="nova", service="api", **options)
        reporter.report_record(record(1, "start", 1, base_id))
        assert reporter.flush(60)
        server.stop()
        for number in range(51, 101):
            reporter.report_record(record(number, "start", number, base_id))
        assert not reporter.flush(0.2)
        server.start()
        assert reporter.flush(60)
        reader = Messaging("messaging://", **options)
        wait_until(lambda: len({each["trace_id"] for each in reader.read(base_id)}) == 50, what="the notifications")
        reader.close()
        reporter.close()
    assert dropped() == before


@pytest.mark.parametrize(
    "driver",
    [
        pytest.param(lambda port: Redis(f"redis://:my-secret@127.0.0.1:{port}/0"), id="redis"),
        pytest.param(lambda port: RedisSentinel(f"redissentinel://:my-secret@127.0.0.1:{port}/0"), id="sentinel"),
        pytest.param(
            lambda port: MongoDB(f"mongodb://osp:my-secret@127.0.0.1:{port}/?serverSelectionTimeoutMS=200"),
            id="mongodb",
        ),
        pytest.param(lambda port: ElasticsearchDriver(f"elasticsearch://osp:my-secret@127.0.0.1:{port}"), id="elastic"),
        pytest.param(
            lambda port: Messaging("messaging://", transport_url=f"rabbit://osp:my-secret@127.0.0.1:{port}/"),
            id="messaging",
        ),
        pytest.param(lambda port: LogInsightDriver("loginsight://osp:my-secret@127.0.0.1"), id="loginsight"),
    ],
)
def test_a_server_that_is_not_there(driver: Callable[[int], Driver]) -> None:
    """The reporter tries again for ever. The reader gets one line without the password."""
    made = driver(servers.free_port())
    exporter = StoreExporter(lambda: made, "the test")
    with pytest.raises(Transient) as kept:
        exporter.export([Recorded(each, 0) for each in two_spans()], 0.0)
    assert kept.value.unreachable
    assert "my-secret" not in str(kept.value)
    with pytest.raises(StoreError) as told:
        made.read("x")
    assert "my-secret" not in str(told.value)
    assert len(str(told.value).splitlines()) == 1
