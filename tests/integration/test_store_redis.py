# SPDX-License-Identifier: Apache-2.0
"""Redis, clusters and Sentinel: expiry, accounts, TLS, records of old versions, and servers that stop."""

import json
import math
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from osprofiler.drivers import connect, redis_index, search
from osprofiler.drivers.errors import StoreError
from osprofiler.drivers.redis_driver import Redis, RedisSentinel
from osprofiler.drivers.redis_index import BEGAN, RECORDS, WRITTEN
from osprofiler.records.record import timestamp
from osprofiler.testing.records import T0_US, TRACE, point, record, span, two_spans
from tests import servers
from tests.conftest import missing
from tests.servers.door import door
from tests.unit.reporting_kit import counted
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


def test_a_trace_is_found_by_its_beginning_without_a_record_being_read(redis: servers.Redis) -> None:
    driver = Redis(redis.fresh_url())
    base_ids = [trace_id() for _ in range(20)]
    for base_id in base_ids:
        driver.write(two_spans(base_id))
    driver.db.config_resetstat()
    assert driver.find_ids(base_ids[7][:20]) == [base_ids[7]]
    used = {name.removeprefix("cmdstat_") for name in driver.db.info("commandstats")}
    assert not used & {"lrange", "get", "mget"}


def test_foreign_values_under_our_keys_are_passed_over(redis: servers.Redis) -> None:
    driver = Redis(redis.fresh_url())
    driver.write(two_spans("t"))
    driver.db.lpush("osprofiler_opt:t", "no JSON", "[1]")
    driver.db.lpush("osprofiler_opt:other", "no JSON")
    assert len(driver.read("t")) == 4
    assert [trace["base_id"] for trace in driver.list_traces()] == ["t"]


def test_a_certificate_that_is_not_trusted_is_refused(redis: servers.Redis) -> None:
    driver = Redis(redis.tls_url.partition("?")[0])
    with pytest.raises(StoreError, match="certificate"):
        driver.read("x")


def as_stock(driver: Redis, *records: dict[str, Any]) -> None:
    """Write like osprofiler 4.4.0, which keeps no index."""
    for each in records:
        driver.db.lpush(f"osprofiler_opt:{each['base_id']}", json.dumps(each))


def found(driver: Redis, **conditions: Any) -> list[str]:
    wanted = search.Wanted(**conditions)
    if search.must_read(driver, wanted):
        return [trace.base_id for trace in search.traces(driver, wanted)]
    return [mark["base_id"] for mark in search.identified(driver, wanted)]


def test_traces_of_stock_are_found_among_those_in_the_index(redis: servers.Redis) -> None:
    driver = Redis(redis.fresh_url())
    driver.write([*span(1, 10, "ours 1"), *span(1, 30, "ours 3")])
    as_stock(driver, *span(1, 20, "stock 2"), *span(1, 40, "stock 4"))
    assert found(driver) == ["stock 4", "ours 3", "stock 2", "ours 1"]
    assert found(driver, limit=2) == ["stock 4", "ours 3"]


def test_a_trace_that_stock_has_written_into_too_is_looked_at(redis: servers.Redis) -> None:
    """The index knows neither its first record nor all of its services."""
    url = redis.fresh_url()
    driver = Redis(url, project="neutron", service="neutron-server")
    driver.write([*span(2, 20, "both"), *span(1, 15, "ours"), *span(1, 40, "newest")])
    as_stock(driver, *({**each, "project": "nova", "service": "nova-api"} for each in span(1, 10, "both")))
    assert found(driver) == ["newest", "ours", "both"]
    assert next(mark for mark in driver.list_traces() if mark["base_id"] == "both")["timestamp"] == timestamp(
        T0_US + 10
    )
    assert found(driver, service="nova-*") == ["both"]
    assert found(driver, service="neutron-server", limit=1) == ["newest"]


def test_a_list_reads_no_records_and_without_a_scan_no_other_names(redis: servers.Redis) -> None:
    url = redis.fresh_url()
    driver = Redis(url, project="nova", service="api")
    base_ids = [trace_id() for _ in range(1_200)]  # more than two pages
    driver.write([each for i, base_id in enumerate(base_ids) for each in span(1, i // 2, base_id)])
    driver.write(two_spans("failed"))
    as_stock(driver, *span(1, 5_000, "stock"))
    for suffix, unscanned in ("", {"stock"}), ("?scan=no", set[str]()):
        reader = Redis(f"{url}{suffix}")
        reader.db.config_resetstat()
        assert set(found(reader)) == {*base_ids, "failed", *unscanned}
        assert found(reader, error=True) == ["failed"]
        assert len(list(reader.candidates(search.Wanted(service="nova-*", since_us=T0_US + 500)))) >= 200
        used = {name.removeprefix("cmdstat_") for name in reader.db.info("commandstats")}
        assert used & {"lrange", "scan"} == ({"lrange", "scan"} if unscanned else set())
        assert not unscanned or reader.db.info("commandstats")["cmdstat_lrange"]["calls"] <= 2  # of stock's trace


def test_the_index_forgets_what_has_expired(redis: servers.Redis) -> None:
    driver = Redis(f"{redis.fresh_url()}?ttl=1h")
    driver.write([each for i in range(1_100) for each in span(1, i, f"old {i}")])
    ago_us = time.time_ns() // 1000 - 2 * 3_600_000_000
    driver.db.zadd(WRITTEN, {f"old {i}": ago_us for i in range(1_100)})
    driver.db.delete(*(f"osprofiler_opt:old {i}" for i in range(1_100)))  # as the server does
    assert found(driver) == []
    driver._index._trimmed = -math.inf
    driver.write(span(1, 1, "new"))
    assert driver.db.zrange(BEGAN, 0, -1) == driver.db.zrange(WRITTEN, 0, -1) == driver.db.hkeys(RECORDS) == [b"new"]
    driver.delete("new")
    assert not driver.db.keys("osprofiler_index:*")


def test_a_server_without_the_least_of_two_times(redis: servers.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Redis 6.2: the first time to arrive stays."""
    monkeypatch.setattr(redis_index, "_HAS_LESS_THAN", (99, 0))
    driver = Redis(redis.fresh_url())
    for at_us in 30, 10, 20:
        driver.write([record(at_us, "start", at_us, "t")])
    assert driver.list_traces() == [{"base_id": "t", "timestamp": timestamp(T0_US + 30)}]


def test_an_account_for_the_keys_of_stock_only_writes_without_an_index(redis: servers.Redis) -> None:
    redis.ask("ACL", "SETUSER", "stock", "on", ">of-redis", "~osprofiler_opt:*", "~osprofiler_error:*", "+@all")
    url = redis.fresh_url()
    driver = Redis(url.replace(":of-redis@", "stock:of-redis@"))
    driver.write(two_spans())
    driver.write(span(3, 5))
    assert len(driver.read(TRACE)) == 6
    assert found(Redis(url)) == [TRACE]
    assert not driver._keeps_index


@pytest.fixture(params=[1, 3], ids=["one shard", "three shards"], scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[servers.RedisCluster]:
    try:
        made = servers.RedisCluster(request.param)
    except servers.Missing as lacking:
        missing(str(lacking))
    with made:
        yield made


def test_a_failing_request_is_stored_whole_in_a_cluster(cluster: servers.RedisCluster) -> None:
    base_id = trace_id()
    before = counted()
    reporter = connect.reporter_for(cluster.url, project="nova", service="api")
    for each in two_spans(base_id):  # one has an error
        reporter.report_record(each)
    assert reporter.flush(60)
    reporter.close()
    assert counted().get("dropped.rejected") == before.get("dropped.rejected")
    driver = Redis(cluster.url)
    assert len(driver.read(base_id)) == 4
    assert base_id in [trace["base_id"] for trace in driver.list_error_traces()]
    assert {key.decode() for key in driver.db.scan_iter(f"*{base_id}")} == {
        f"osprofiler_opt:{base_id}",
        f"osprofiler_error:{base_id}",
    }, "where a plain client looks for them"


def test_a_cluster_is_read_listed_and_purged_whole(cluster: servers.RedisCluster) -> None:
    cluster.flush()
    driver = Redis(f"{cluster.url}?ttl=2h")
    traces = [trace_id() for _ in range(50)]
    driver.write([each for base_id in traces for each in two_spans(base_id)])
    before_2_3 = trace_id()
    for each in two_spans(before_2_3):
        driver.db.set(f"osprofiler:{before_2_3}_{each['trace_id']}_{each['timestamp']}", json.dumps(each))
    assert 7100 <= driver.db.ttl(f"osprofiler_error:{traces[0]}") <= 7200
    assert [len(driver.read(base_id)) for base_id in (*traces, before_2_3)] == [4] * 51
    assert {trace["base_id"] for trace in driver.list_traces()} == {*traces, before_2_3}
    assert {trace["base_id"] for trace in driver.list_error_traces()} == set(traces)
    assert driver.delete(traces[0]) == 4
    assert {trace["base_id"] for trace in driver.list_error_traces()} == set(traces[1:])
    assert driver.purge(2 * 10**15) == 50
    assert not list(driver.db.scan_iter("*"))
    driver.close()


def test_a_cluster_over_tls(cluster: servers.RedisCluster) -> None:
    driver = Redis(cluster.tls_url)
    base_id = trace_id()
    driver.write(two_spans(base_id))
    assert len(driver.read(base_id)) == 4
    assert {node.port for node in driver.db.get_nodes()} == {node.tls_port for node in cluster.nodes}


def test_a_shard_that_is_away_is_waited_for(cluster: servers.RedisCluster) -> None:
    base_ids = [trace_id() for _ in range(20)]
    reporter = connect.reporter_for(cluster.url, project="nova", service="api")
    reporter.report_record(record(1, "start", 1, trace_id()))
    assert reporter.flush(60)
    before = counted()
    cluster.nodes[0].stop()
    for base_id in base_ids:
        for each in two_spans(base_id):
            reporter.report_record(each)
    assert not reporter.flush(0.5)
    cluster.nodes[0].start()
    wait_until(cluster.serves)
    assert reporter.flush(60)
    reporter.close()
    assert counted().get("dropped.rejected") == before.get("dropped.rejected")
    driver = Redis(cluster.url)
    for base_id in base_ids:
        assert {each["name"] for each in driver.read(base_id)} == {each["name"] for each in two_spans(base_id)}


def test_an_account_that_may_not_ask_what_the_server_is(
    redis: servers.Redis, redis_cluster: servers.RedisCluster
) -> None:
    rights = ["on", ">of-redis", "~*", "+@all", "-info"]
    for node in redis, *redis_cluster.nodes:
        node.ask("ACL", "SETUSER", "few", *rights)
    base_id = trace_id()
    for url in redis.url, f"{redis.url}?cluster=no", f"{redis_cluster.url}?cluster=yes":
        driver = Redis(url.replace(":of-redis@", "few:of-redis@"))
        driver.write(two_spans(base_id))
        assert len(driver.read(base_id)) >= 4
        driver.delete(base_id)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:my-secret@h/0?cluster=perhaps",
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
    """After the master is killed, a write succeeds as soon as the Sentinel has made another one."""
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
            except StoreError:
                return False
            return True

        wait_until(is_written, what="the replica to be master")
        assert server.master_port() == server.replica.port
        assert len(driver.read("before")) == 4
        assert len(driver.read("after")) >= 4


def test_a_master_that_has_become_a_replica_is_left() -> None:
    """Without a Sentinel, the address leads to the present master. Old connections still lead to the former one."""
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
