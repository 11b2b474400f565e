# SPDX-License-Identifier: Apache-2.0
"""Redis and Sentinel: expiry, accounts, TLS, what was stored by versions long ago, and servers that go away."""

import json
import uuid

import pytest
from redis.exceptions import RedisError

from osprofiler import exc
from osprofiler.drivers.redis_driver import Redis, RedisSentinel
from osprofiler.opentracing_compat.reporting import connect
from osprofiler.testing.records import TRACE, point, record, two_spans
from tests import servers
from tests.conftest import missing
from tests.servers.door import door
from tests.waiting import wait_until


def trace_id() -> str:
    return str(uuid.uuid4())


def test_a_trace_is_forgotten_a_while_after_its_last_record(redis: servers.Redis) -> None:
    driver = Redis(f"{redis.fresh_url()}?ttl=2h")
    base_id = trace_id()
    driver.write(two_spans(base_id))
    for key in f"osprofiler_opt:{base_id}", f"osprofiler_error:{base_id}":
        assert 7100 <= driver.db.ttl(key) <= 7200
    driver.db.expire(f"osprofiler_opt:{base_id}", 60)
    driver.write([record(3, "start", 9, base_id)])
    assert driver.db.ttl(f"osprofiler_opt:{base_id}") > 7100


def test_without_a_time_nothing_is_forgotten(redis: servers.Redis) -> None:
    driver = Redis(redis.fresh_url())
    base_id = trace_id()
    driver.write(two_spans(base_id))
    assert driver.db.ttl(f"osprofiler_opt:{base_id}") == -1


def test_a_batch_is_one_transaction_with_a_command_for_each_trace(redis: servers.Redis) -> None:
    driver = Redis(redis.fresh_url())

    def calls() -> list[int]:
        told = driver.db.info("commandstats")
        return [told.get(f"cmdstat_{command}", {"calls": 0})["calls"] for command in ("lpush", "exec")]

    before = calls()
    driver.write([record(i, "start", i, base_id) for i in range(1, 200) for base_id in ("one", "two")])
    assert [now - then for now, then in zip(calls(), before, strict=True)] == [2, 1]


def test_a_purge_looks_at_every_key_a_few_times_only(redis: servers.Redis) -> None:
    driver = Redis(redis.fresh_url())
    old = trace_id()
    for each in two_spans(old):
        driver.db.set(f"osprofiler:{old}_{each['trace_id']}_{each['timestamp']}", json.dumps(each))
    driver.write([each for _ in range(20) for each in two_spans(trace_id())])

    def scans() -> int:
        return int(driver.db.info("commandstats").get("cmdstat_scan", {"calls": 0})["calls"])

    before = scans()
    assert driver.purge(2 * 10**15) == 21
    assert scans() - before < 20
    assert driver.db.dbsize() == 0


def test_records_of_versions_before_2_3_are_read(redis: servers.Redis) -> None:
    driver = Redis(redis.fresh_url())
    base_id, alike = "a*[b", "a*[bc"
    for one in base_id, alike:
        for each in two_spans(one):
            key = f"osprofiler:{one}_{each['trace_id']}_{each['timestamp']}"
            driver.db.set(key, json.dumps(each))
    assert sorted(map(json.dumps, driver.read(base_id))) == sorted(map(json.dumps, two_spans(base_id)))
    assert [trace["base_id"] for trace in driver.list_traces()] == [base_id, alike]
    assert driver.delete(base_id) == 4
    assert driver.read(base_id) == []
    assert len(driver.read(alike)) == 4


def test_foreign_values_under_our_keys_are_passed_over(redis: servers.Redis) -> None:
    driver = Redis(redis.fresh_url())
    driver.write(two_spans("t"))
    driver.db.lpush("osprofiler_opt:t", "no JSON", "[1]")
    driver.db.lpush("osprofiler_opt:other", "no JSON")
    assert len(driver.read("t")) == 4
    assert [trace["base_id"] for trace in driver.list_traces()] == ["t"]


def test_a_certificate_that_is_not_trusted_is_refused(redis: servers.Redis) -> None:
    driver = Redis(redis.tls_url.partition("?")[0])
    with pytest.raises(exc.CommandError, match="certificate"):
        driver.read("x")


@pytest.mark.parametrize(
    "url",
    [
        "redis://:my-secret@:0",
        "redis://:my-secret@h:port/0",
        "redis://:my-secret@h/0?ttl=soon",
        "redissentinel://:my-secret@",
        "redissentinel://:my-secret@h:1,:2/0",
        "redissentinel://:my-secret@h/zero",
        "redissentinel://:my-secret@h/0?colour=red",
    ],
)
def test_a_malformed_string_is_one_line_without_the_password(url: str) -> None:
    kind = RedisSentinel if url.startswith("redissentinel") else Redis
    with pytest.raises(ValueError, match=r".") as caught:
        kind(url)
    assert "my-secret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_the_replica_takes_over() -> None:
    """With the master killed, a write succeeds once the Sentinel has made another; nothing has to be told."""
    try:
        made = servers.RedisSentinel()
    except servers.Missing as lacking:
        missing(str(lacking))
    with made as server:
        driver = RedisSentinel(server.url)
        driver.write(two_spans("before"))
        wait_until(lambda: "osprofiler_opt:before" in server.replica.ask("KEYS", "*"), what="replication")
        server.master.kill()

        def is_written() -> bool:
            try:
                driver.write(two_spans("after"))
            except (RedisError, OSError):
                return False
            return True

        wait_until(is_written, what="the replica to be master")
        assert server.master_port() == server.replica.port
        assert len(driver.read("before")) == 4
        assert len(driver.read("after")) >= 4


def test_a_master_that_has_become_a_replica_is_left() -> None:
    """Without a Sentinel, an address leads to the master of the moment; connections outlive that."""
    try:
        old = servers.Redis()
    except servers.Missing as lacking:
        missing(str(lacking))
    with old, servers.Redis() as new, door(old.port) as place:
        reporter = connect.reporter_for(old.url.replace(str(old.port), str(place.port)), project="nova", service="api")
        reporter.report_record(record(1, "start", 0))
        assert reporter.flush(60)
        old.ask("REPLICAOF", "127.0.0.1", str(new.port))
        place.target = new.port
        reporter.report_record(record(2, "start", 0))
        assert reporter.flush(60)
        assert [each["trace_id"] for each in Redis(new.url).read(TRACE)] == [point(2)]
        reporter.close()
