# SPDX-License-Identifier: Apache-2.0
"""Many requests over one API process and its reused native threads: each has its own trace, and the untraced none."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from osprofiler.demo import outcome
from osprofiler.drivers import base
from tests.e2e import clouds, traces
from tests.servers import MariaDB, Rabbit

_CONCURRENT = 200


def test_two_hundred_requests_at_once_have_a_trace_each(rabbit: Rabbit, mariadb: MariaDB, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'traces.db'}"
    ids = [clouds.new_id() for _ in range(_CONCURRENT)]
    with clouds.running(
        store,
        transport_url=rabbit.url,
        db_url=mariadb.fresh_url(),
        timeout_s=180,
        groups={"demo": {"http_workers": "24"}},
    ) as cloud:

        def order(base_id: str) -> str:
            caller = clouds.Caller(cloud)
            return caller.boot(caller.signed(base_id))

        with ThreadPoolExecutor(_CONCURRENT) as callers:
            servers = list(callers.map(order, ids))
        clouds.Caller(cloud).wait_built(*servers)
    stored = {trace["base_id"] for trace in base.get_driver(store).list_traces()}
    assert stored == set(ids)
    for base_id in ids:
        traces.assert_same(traces.in_store(outcome.read(store, base_id)), clouds.EXPECTED_ORDER)


def test_untraced_requests_leave_nothing_in_the_traces_of_their_threads(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'traces.db'}"
    traced: list[str] = []
    with clouds.running(store, groups={"demo": {"http_workers": "2"}}) as cloud:
        caller = clouds.Caller(cloud)
        servers = []
        for _ in range(20):
            traced.append(clouds.new_id())
            servers.append(caller.boot(caller.signed(traced[-1])))
            servers.append(caller.boot())
        caller.wait_built(*servers)
    stored = Counter(trace["base_id"] for trace in base.get_driver(store).list_traces())
    assert stored == Counter(traced)
    for base_id in traced:
        traces.assert_same(traces.in_store(outcome.read(store, base_id)), clouds.EXPECTED_ORDER_IN_MEMORY)
