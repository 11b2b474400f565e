# SPDX-License-Identifier: Apache-2.0
"""Zaqar as it was released, with pools in Redis: switches that change while it runs, and its own options."""

import urllib.request
import uuid
from pathlib import Path

import pytest

from osprofiler import _utils
from tests import conftest, released
from tests.integration.test_unpatched_apis import KEY, Api, Place, Request, ask, prepare, serving, zaqar
from tests.servers import Jaeger, MariaDB, Redis
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

POST = Request("POST", "/v2/queues/one/messages", {"messages": [{"body": "hello", "ttl": 300}]}, 201, set(), None)
QUEUE = Request("PUT", "/v2/queues/one", None, 204, set(), None)


def with_pools(at: Place, **options: str) -> Api:
    """Zaqar with pooling on, and more *options* in ``[profiler]``."""
    api = zaqar(at)
    profiler = {**api.options["profiler"], **options}
    default = {"pooling": "true", "admin_mode": "true"}
    return api._replace(
        options={**api.options, "DEFAULT": default, "profiler": profiler},
        headers={**api.headers, "X-Roles": "admin"},
    )


def kinds(operations: set[str]) -> set[str]:
    """What there is in a trace, by the switches."""
    known = {
        "wsgi POST": "wsgi",
        "zaqar.storage.pooling.": "pooling",
        "redis ": "redis",
        "db ": "sqlalchemy",
        "zaqar.storage.redis.": "message store",
        "zaqar.storage.sqlalchemy.": "management store",
    }
    return {kind for operation in operations for start, kind in known.items() if operation.startswith(start)}


EVERYTHING = {"wsgi", "pooling", "redis", "sqlalchemy", "message store", "management store"}


@pytest.fixture
def at(tmp_path: Path, mariadb: MariaDB, redis: Redis) -> Place:
    return Place(conftest.made(released.apis).parent, tmp_path, mariadb.fresh_url(), redis.fresh_url())


def test_each_switch_takes_its_spans_out_of_a_running_zaqar(at: Place, jaeger: Jaeger) -> None:
    policy = at.folder / "policy.yaml"
    policy.write_text("services: {}\n")
    api = with_pools(at, policy_file=str(policy))
    prepare(at, api, jaeger.url)

    def traced() -> set[str]:
        base = str(uuid.uuid4())
        ask(address, api, POST, base)

        def whole() -> set[str]:
            trace = jaeger.trace(base.replace("-", "")) or {"spans": []}
            operations = {span["operationName"] for span in trace["spans"]}
            return operations if "wsgi POST" in operations else set()  # its span is the last to end

        return kinds(wait_until(whole))

    with serving(at, api) as (address, _):
        pool = Request("PUT", "/v2/pools/one", {"weight": 100, "uri": at.redis}, 201, set(), None)
        for request in (pool, QUEUE, POST):
            ask(address, api, request)
        wait_until(lambda: traced() == EVERYTHING)
        for switch, without in (
            ("trace_pooling", "pooling"),
            ("trace_redis", "redis"),
            ("trace_sqlalchemy", "sqlalchemy"),
        ):
            policy.write_text(f"services: {{'*': {{{switch}: false}}}}\n")
            wait_until(lambda left=EVERYTHING - {without}: traced() == left)
        policy.write_text("services: {}\n")
        wait_until(lambda: traced() == EVERYTHING)
    assert "tracing fault" not in (at.folder / "log").read_text()


@pytest.mark.parametrize("transport", ["true", "false"])
def test_zaqars_own_switch_of_requests_is_final_where_it_is_off(transport: str, at: Place, jaeger: Jaeger) -> None:
    policy = at.folder / "policy.yaml"
    policy.write_text("services: {'*': {trace_wsgi: true}}\n")
    api = with_pools(at, trace_wsgi_transport=transport, policy_file=str(policy))
    prepare(at, api, jaeger.url)

    def traced() -> bool:
        info, signature = _utils.signed_pack({"base_id": str(uuid.uuid4())}, KEY)
        headers = {**api.headers, "X-Trace-Info": info, "X-Trace-HMAC": signature}
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(f"{address}/v2/queues", headers=headers), timeout=60) as answer:
            return "X-Trace-Id" in answer.headers

    with serving(at, api) as (address, _):
        assert traced() is (transport == "true")
        if transport == "true":
            policy.write_text("services: {'*': {trace_wsgi: false}}\n")
            wait_until(lambda: not traced())
            policy.write_text("services: {}\n")
            wait_until(traced)
